// Makes a greeting of every event that has a name, and keeps the others from crossing.
import { type Transform, config, drop, transform as makes } from './sdk/index.js';

interface Visitor { name?: string }

export const transform: Transform = makes<Visitor>((crossing, { name }) => {
  if (name === undefined) return drop;
  return { text: `${config<string>('greeting')}, ${name}` };
});
