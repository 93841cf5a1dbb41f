// The component's side of a plugin: what `build.mjs` puts around the functions that a module exports.
//
// A component is a snapshot of the engine after the module ran at build time, the state of `Math.random` included. Left
// alone, every instance would draw the same numbers.
import { bytes } from '#host';

// What a module draws while it is built is the build's, whatever is done here.
let draw = Math.random;
let isLive = false;
Math.random = () => draw();

/** Has an instance draw numbers of its own from its first call on. */
export const live = (kind) => Object.fromEntries(Object.keys(kind).map((name) => [name, (...given) => {
  if (!isLive) {
    isLive = true;
    draw = generator(new Uint32Array(new Uint8Array(bytes(16)).buffer));
  }
  return kind[name](...given);
}]));

// xoshiro128+ (Blackman, Vigna): 53 bits of two draws. Not for secrets; `random` is.
function generator(state) {
  const next = () => {
    const sum = (state[0] + state[3]) >>> 0;
    const shifted = state[1] << 9;
    state[2] ^= state[0];
    state[3] ^= state[1];
    state[1] ^= state[2];
    state[0] ^= state[3];
    state[2] ^= shifted;
    state[3] = (state[3] << 11) | (state[3] >>> 21);
    return sum;
  };
  return () => (next() * 2 ** 21 + (next() >>> 11)) / 2 ** 53;
}
