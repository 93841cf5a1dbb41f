// Stands in for the server in unit tests under Node.
import { randomBytes } from 'node:crypto';

const settings = new Map();
const lines = [];
let clockMs;

/** Sets one key of the `config:` section; undefined takes it away. */
export const setConfig = (key, value) => {
  if (value === undefined) settings.delete(key);
  else settings.set(key, JSON.stringify(value));
};

/** Makes the clock stand at a time, in milliseconds since the Unix epoch; undefined lets it go. */
export const setClock = (ms) => { clockMs = ms; };

/** The log lines since this was last asked. */
export const logged = () => lines.splice(0);

/** The context of an anonymous connection on a topic, with what else the test needs. */
export const context = (topic, more = {}) => ({
  topic, channel: topic, params: [], connectionId: 'c1', receivedAtMs: 0, deadlineMs: 100, attributes: [], ...more,
});

/** What a `transform` is called with: an event with this data, on its way to a topic. */
export const crossing = (topic, payload, { data = null, ...event } = {}) => ({
  event: { kind: 'event', source: '/test', id: 'e1', ...event, data: JSON.stringify(data) },
  topic, payload: JSON.stringify(payload), deadlineMs: 100,
});

/** An anonymous connection, with what else the test needs. */
export const peer = (more = {}) => ({ connectionId: 'c1', receivedAtMs: 0, deadlineMs: 100, ...more });

export {
  clearBuckets, getEntry, getSecret, increment, keys, put, remove, run, send, setHttp, setQuery, setSecret,
} from './testing-granted.js';

// The host's side, as `host.js` has it.
export const write = (level, message, fields) => lines.push({ level, message, fields: Object.fromEntries(fields) });
export const get = (key) => settings.get(key);
export const nowMs = () => BigInt(clockMs ?? Date.now());
export const monotonicUs = () => process.hrtime.bigint() / 1000n;
export const bytes = (length) => new Uint8Array(randomBytes(length));
export const nextU64 = () => randomBytes(8).readBigUInt64BE();
