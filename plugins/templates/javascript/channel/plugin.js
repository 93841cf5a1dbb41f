// Answers what clients send on `{{channel}}`.
import { handler as answers } from './sdk/index.js';

// To publish to the subscribers: `effects: [emit(context.topic, payload)]`, and the grant in plugin.yaml.
export const handler = answers((context, message) => ({ reply: message }));
