// Makes a greeting of every event that has a name, and keeps the others from crossing.
import { type Transform, config, drop, field, transform as makes } from './sdk/index.js';

export const transform: Transform = makes<{ name?: string }>((crossing, visitor) => {
  if (visitor?.name === undefined) return drop;
  const name = field(visitor, 'name', 'string');
  return { text: `${config<string>('greeting')}, ${name}` };
});
