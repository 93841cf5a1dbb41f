// Gives the greeting of the config to who subscribes.
import { config, snapshot as provides } from './sdk/index.js';

export const snapshot = provides(() => [{ text: config('greeting') }]);
