// Makes a greeting of every event that has a name, and keeps the others from crossing.
import { config, drop, field, transform as makes } from './sdk/index.js';

export const transform = makes((crossing, visitor) => {
  if (visitor?.name === undefined) return drop;
  const name = field(visitor, 'name', 'string');
  return { text: `${config('greeting')}, ${name}` };
});
