// What a component imports from the server; of what is unused nothing is left in it. Under Node `#host` is `testing.js`
// instead: see `imports` in package.json.
export { write } from 'tidegate:host/log@0.1.0';
export { get } from 'tidegate:host/config@0.1.0';
export { nowMs, monotonicUs } from 'tidegate:host/clock@0.1.0';
export { bytes, nextU64 } from 'tidegate:host/random@0.1.0';
// By grant.
export { get as getSecret } from 'tidegate:host/secrets@0.1.0';
export { get as getEntry, put, delete as remove, increment, keys } from 'tidegate:kv/store@0.1.0';
export { run } from 'tidegate:sql/queries@0.1.0';
export { send } from 'tidegate:http/client@0.1.0';
