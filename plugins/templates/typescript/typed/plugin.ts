// Answers what clients send on `{{channel}}`.
import { type Handler, handler as answers } from './sdk/index.js';
import type { {{inbound}} } from './types.ts';

// Subscribers receive a `{{payload}}`: `effects: [emit(context.topic, payload)]`.
export const handler: Handler = answers<{{inbound}}>((context, message) => ({ reply: message }));
