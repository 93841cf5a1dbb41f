#!/usr/bin/env node
// Makes a component of C: `node build.mjs plugin.c plugin.wasm handler authorizer`, the kinds it exports last. More
// sources and options of the compiler (`-DNDEBUG`) may stand before the component.
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { commandLine, componentize, fromPip, run, scratch } from '../componentize/index.mjs';

// Of one instance, in bytes. zig's own default is 16 MiB.
const STACK_BYTES = 128 * 1024;
// As deep as the host's own reader goes, and what the stack has room for.
const JSON_DEPTH = 128;

const here = dirname(fileURLToPath(import.meta.url));
const { sources, output, kinds } = commandLine('<source.c>...');
const zig = join(fromPip('ziglang==0.17.0'), 'ziglang/zig');
await scratch(async (work) => {
  const core = join(work, 'core.wasm');
  const layer = ['tidegate.c', 'gen/guest.c', 'cjson/cJSON.c'].map((file) => join(here, file));
  const defines = [...kinds.map((kind) => `-DTG_${kind.toUpperCase()}`), `-DCJSON_NESTING_LIMIT=${JSON_DEPTH}`];
  run(zig, [
    'cc', '-target', 'wasm32-wasi', '-mexec-model=reactor', '-Os', '-s', `-Wl,-z,stack-size=${STACK_BYTES}`, '-Wall',
    '-I', here, ...defines, ...layer, ...sources, '-o', core,
  ]);
  await componentize({ core, kinds, output });
});
