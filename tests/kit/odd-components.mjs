// WebAssembly that is no plugin, made byte by byte: https://webassembly.github.io/spec/core/binary/, and for components
// https://github.com/WebAssembly/component-model/blob/main/design/mvp/Binary.md

const MAGIC = [0x00, 0x61, 0x73, 0x6d];

function leb(number) {
  const bytes = [];
  do {
    const rest = number >>> 7;
    bytes.push((number & 0x7f) | (rest ? 0x80 : 0));
    number = rest;
  } while (number);
  return Buffer.from(bytes);
}

const sized = (bytes) => Buffer.concat([leb(bytes.length), bytes]);
const section = (id, bytes) => Buffer.concat([Buffer.from([id]), sized(bytes)]);
const vector = (items) => Buffer.concat([leb(items.length), ...items]);

// A module of so many functions `(i64) -> i64`, each a chain of multiplications that no two functions share.
function module(functions, steps) {
  const body = (seed) => {
    const code = [Buffer.from([0x00, 0x20, 0x00])];
    for (let step = 0; step < steps; step++) {
      // i64.const seed; i64.mul; local.get 0; i64.add
      code.push(Buffer.concat([Buffer.from([0x42]), leb(((seed * 31 + step) % 63) + 1), Buffer.from([0x7e, 0x20, 0x00, 0x7c])]));
    }
    code.push(Buffer.from([0x0b]));
    return sized(Buffer.concat(code));
  };
  const type = Buffer.from([0x60, 0x01, 0x7e, 0x01, 0x7e]);
  return Buffer.concat([
    Buffer.from([...MAGIC, 0x01, 0x00, 0x00, 0x00]),
    section(1, vector([type])),
    section(3, vector(Array.from({ length: functions }, () => leb(0)))),
    section(10, vector(Array.from({ length: functions }, (_, seed) => body(seed)))),
  ]);
}

export const coreModule = () => module(1, 1);

// A component that exports nothing, and takes the longer to compile the more functions it has: about 2 ms each.
export const slowToCompile = (functions) =>
  Buffer.concat([Buffer.from([...MAGIC, 0x0d, 0x00, 0x01, 0x00]), section(1, module(functions, 2000))]);
