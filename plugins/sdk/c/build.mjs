#!/usr/bin/env node
// Makes a component of C: `node build.mjs plugin.c plugin.wasm handler authorizer`, the kinds it exports last. More
// sources and options of the compiler (`-DNDEBUG`) may stand before the component.
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { commandLine, componentize, run, scratch } from '../componentize/index.mjs';
import { LAYER, zig } from './compiler.mjs';

// Of one instance, in bytes. zig's own default is 16 MiB.
const STACK_BYTES = 128 * 1024;
// Where the plugin does one of these, checks.c tells of it and traps.
const CHECKS = 'null,nonnull-attribute,integer-divide-by-zero,bounds';

const here = dirname(fileURLToPath(import.meta.url));
const { sources, output, kinds } = commandLine('<source.c>...');
await scratch(async (work) => {
  const core = join(work, 'core.wasm');
  const layer = [...LAYER, 'call.c', 'checks.c', 'host.c', 'granted.c', ...kinds.map((kind) => `${kind}.c`)].map((file) => join(here, file));
  run(zig(), [
    'cc', '-target', 'wasm32-wasi', '-mexec-model=reactor', '-std=gnu17', '-Os', '-s', `-Wl,-z,stack-size=${STACK_BYTES}`, '-Wall',
    `-fsanitize=${CHECKS}`, '-fno-sanitize-recover=all', '-include', join(here, 'nonnull.h'), '-I', here, ...layer, ...sources, '-o', core,
  ]);
  await componentize({ core, kinds, output });
});
