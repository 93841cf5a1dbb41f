// Greets whoever is named in a message.
import { type Handler, Refusal, config, handler as answers } from './sdk/index.js';

interface Name { name?: string }

export const handler: Handler = answers<Name>((context, { name }) => {
  if (name === undefined) throw Refusal.invalidPayload('`name` is missing');
  return { reply: { text: `${config<string>('greeting')}, ${name}` } };
});
