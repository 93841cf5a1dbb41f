// The component's side of a plugin: what `build.mjs` puts around the functions that a module exports.
import { bytes, write } from '#host';
import { HostError, isAway } from './granted.js';
import { Refusal } from './index.js';

// A component is a snapshot of the engine after the module ran at build time, the state of `Math.random` included. Left
// alone, every instance would draw the same numbers. What a module draws while it is built is the build's.
let draw = Math.random;
Math.random = () => draw();

// Once an instance is called, the first draw seeds it.
function seed() {
  draw = generator(new Uint32Array(new Uint8Array(bytes(16)).buffer));
  return draw();
}
let isLive = false;

const FRAMES_MAX = 8;

/** The functions of a kind as the server calls them. */
export const live = (kind) => Object.fromEntries(Object.keys(kind).map((name) => [name, (...given) => {
  if (!isLive) {
    isLive = true;
    draw = seed;
  }
  try {
    return kind[name](...given);
  } catch (error) {
    throw answered(error, name === 'handle');
  }
}]));

// What the contract has for an exception: the plugin's own words, or the server's. Any other is a mistake, which is told in
// the log; the engine traps on it, so that the server counts it as a fault.
function answered(error, isHandler) {
  const isHosts = error instanceof HostError;
  if (!isHosts && !(error instanceof Refusal)) {
    write('error', told(error), []);
    return Symbol('a mistake');
  }
  const sentence = isHosts ? told(error) : error.message;
  const tag = isHosts ? (isAway(error) ? 'unavailable' : 'failed') : error.tag;
  return isHandler ? { tag, val: sentence } : sentence;
}

function told(error) {
  if (!(error instanceof Error)) return `thrown: ${String(error)}`;
  const frames = [...String(error.stack).matchAll(/^ *at (.*?) \(.*?:(\d+):(\d+)\)$/gm)].flatMap(([, called, line, column]) => {
    const place = placed(Number(line), Number(column));
    return place ? [/^<|^$/.test(called) ? place : `${place} in ${called}`] : [];
  });
  const at = frames.length > 0 ? `, at ${frames.slice(0, FRAMES_MAX).join(', ')}` : '';
  return `${error.name}: ${error.message}${at}`;
}

// The place in the author's files of one in the bundle. The build left it in a table: a line of the bundle a line, in it
// `column:file:line`; undefined is the SDK's.
function placed(line, column) {
  const { files, lines } = globalThis.tidegatePlaces ?? { files: [], lines: '' };
  const segments = (lines.split('\n')[line - 1] ?? '').split(' ').map((segment) => segment.split(':').map(Number));
  const [, file, at] = segments.findLast(([from]) => from < column) ?? segments[0];
  return files[file] && `${files[file]}:${at}`;
}

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
