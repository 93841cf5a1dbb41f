// Makes a greeting of every event that has a name, and keeps the others from crossing.
import { config, drop, transform as makes } from './sdk/index.js';

export const transform = makes((crossing, { name }) => {
  if (name === undefined) return drop;
  return { text: `${config('greeting')}, ${name}` };
});
