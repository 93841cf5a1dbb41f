// Tells the bus who came and who went.
import { connection as hears, publish } from './sdk/index.js';

export const connection = hears((peer, phase) => [
  publish(phase === 'connected' ? 'visitor.came' : 'visitor.went', { user: peer.user?.id ?? null }),
]);
