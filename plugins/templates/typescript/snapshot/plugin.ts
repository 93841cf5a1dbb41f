// Gives the greeting of the config to who subscribes.
import { type Snapshot, config, snapshot as provides } from './sdk/index.js';

interface Greeting { text: string }

export const snapshot: Snapshot = provides<Greeting>(() => [{ text: config<string>('greeting') ?? '' }]);
