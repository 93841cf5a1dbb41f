// What a component imports from the server. Under Node `#host` is `testing.js` instead: see `imports` in package.json.
export { write } from 'tidegate:host/log@0.1.0';
export { get } from 'tidegate:host/config@0.1.0';
export { nowMs, monotonicUs } from 'tidegate:host/clock@0.1.0';
export { bytes, nextU64 } from 'tidegate:host/random@0.1.0';
