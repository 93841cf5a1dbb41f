#!/usr/bin/env node
// Makes a component of a module: `node build.mjs plugin.js plugin.wasm handler authorizer`, the kinds it exports last.
// JavaScript and TypeScript alike; types are stripped, not checked.
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const KINDS = ['handler', 'authorizer'];
const here = dirname(fileURLToPath(import.meta.url));
const [entry, output, ...kinds] = process.argv.slice(2);
if (!output || kinds.length === 0 || kinds.some((kind) => !KINDS.includes(kind))) {
  console.error(`error: usage: build.mjs <module> <component.wasm> <kind>...\nhint: the kinds are ${KINDS.join(', ')}`);
  process.exit(64);
}

const work = mkdtempSync(join(tmpdir(), 'tidegate-plugin-'));
try {
  const wit = join(work, 'wit');
  cpSync(join(here, '../../../wit'), wit, { recursive: true });
  const includes = kinds.map((kind) => `    include ${kind}-plugin;\n`).join('');
  writeFileSync(join(wit, 'built.wit'), `package tidegate:plugin@0.1.0;\n\nworld built {\n${includes}}\n`);
  const bundle = join(work, 'bundle.js');
  tool('rolldown', [resolve(entry), '--external', 'tidegate:host/log@0.1.0', '--external', 'tidegate:host/config@0.1.0', '--format', 'esm', '-o', bundle]);
  // Without --sync the component needs asynchronous components, which the host does not offer.
  tool('componentize-qjs', ['--wit', wit, '--world', 'built', '--js', bundle, '--sync', '--output', resolve(output)]);
} finally {
  rmSync(work, { recursive: true, force: true });
}

function tool(name, args) {
  const ran = spawnSync(join(here, 'node_modules/.bin', name), args, { stdio: ['ignore', 'inherit', 'inherit'] });
  if (ran.error?.code === 'ENOENT') {
    console.error(`error: \`${name}\` is not installed\nhint: run \`npm ci\` in ${here}`);
    process.exit(69);
  }
  if (ran.status !== 0) {
    console.error(`error: \`${name}\` failed on ${entry}`);
    process.exit(1);
  }
}
