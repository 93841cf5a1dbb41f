// Tells the bus who came and who went.
import { type Connection, connection as hears, publish } from './sdk/index.js';

export const connection: Connection = hears((peer, phase) => [
  publish(phase === 'connected' ? 'visitor.came' : 'visitor.went', { user: peer.user?.id ?? null }),
]);
