// Greets whoever is named in a message.
import { config, field, handler as answers } from './sdk/index.js';

export const handler = answers((context, message) => {
  const name = field(message, 'name', 'string');
  return { reply: { text: `${config('greeting')}, ${name}` } };
});
