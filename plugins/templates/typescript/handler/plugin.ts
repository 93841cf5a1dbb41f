// Greets whoever is named in a message.
import { type Handler, config, field, handler as answers } from './sdk/index.js';

export const handler: Handler = answers((context, message) => {
  const name = field(message, 'name', 'string');
  return { reply: { text: `${config<string>('greeting')}, ${name}` } };
});
