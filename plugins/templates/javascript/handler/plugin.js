// Greets whoever is named in a message.
import { Refusal, config, handler as answers } from './sdk/index.js';

export const handler = answers((context, { name }) => {
  if (typeof name !== 'string') throw Refusal.invalidPayload('`name` is missing');
  return { reply: { text: `${config('greeting')}, ${name}` } };
});
