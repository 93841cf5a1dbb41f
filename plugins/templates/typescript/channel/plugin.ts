// Answers what clients send on `{{channel}}`.
import { type Handler, handler as answers } from './sdk/index.js';
import type { {{inbound}} } from './types.ts';

// To publish a `{{payload}}` to the subscribers: `effects: [emit(context.topic, payload)]`, and the grant in plugin.yaml.
export const handler: Handler = answers<{{inbound}}>((context, message) => ({ reply: message }));
