#!/usr/bin/env node
// Makes a component of a module: `node build.mjs plugin.js plugin.wasm handler authorizer`, the kinds it exports last.
// JavaScript and TypeScript alike; TypeScript is checked first.
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { SourceMap } from 'node:module';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

import { tool as path } from './tools.mjs';

/** Kind, and the type of `index.d.ts` that its export must have. */
const KINDS = {
  handler: 'Handler', authorizer: 'Authorizer', snapshot: 'Snapshot', transform: 'Transform', connection: 'Connection',
};
const OPTIONS = {
  strict: true, noEmit: true, allowImportingTsExtensions: true, skipLibCheck: true,
  target: 'es2022', lib: ['es2023'], module: 'esnext', moduleResolution: 'bundler', types: [],
};

const here = dirname(fileURLToPath(import.meta.url));
const [source, output, ...kinds] = process.argv.slice(2);
if (!output || kinds.length === 0 || kinds.some((kind) => !Object.hasOwn(KINDS, kind))) {
  fail(64, `usage: build.mjs <module> <component.wasm> <kind>...`, `the kinds are ${Object.keys(KINDS).join(', ')}`);
}
const entry = resolve(source);
if (!existsSync(entry)) fail(66, `\`${source}\` is not there`, `run it in the plugin's directory`);

const work = mkdtempSync(join(tmpdir(), 'tidegate-plugin-'));
let exit = 0;
try {
  exit = typed() && bundled() && placed() && componentized() ? 0 : 1;
} finally {
  rmSync(work, { recursive: true, force: true });
}
process.exit(exit);

// A plugin that lacks an export, or has it of another shape, would only be found when it is called.
function typed() {
  if (!/\.[cm]?ts$/.test(entry)) return true;
  const types = kinds.map((kind) => KINDS[kind]).join(', ');
  write('check.ts', [
    `import type { ${types} } from ${JSON.stringify(join(here, 'index.js'))};`,
    `import { ${kinds.join(', ')} } from ${JSON.stringify(entry)};`,
    ...kinds.map((kind) => `${kind} satisfies ${KINDS[kind]};`),
  ]);
  write('tsconfig.json', [JSON.stringify({ compilerOptions: OPTIONS, files: ['check.ts'] })]);
  return tool('tsc', ['-p', work]);
}

function bundled() {
  write('entry.js', [
    // First: it has to be there before the plugin's own module runs.
    `import { live } from ${JSON.stringify(join(here, 'component.js'))};`,
    `import { ${kinds.map((kind) => `${kind} as the_${kind}`).join(', ')} } from ${JSON.stringify(entry)};`,
    ...kinds.map((kind) => `export const ${kind} = live(the_${kind});`),
  ]);
  write('rolldown.config.mjs', [`export default ${JSON.stringify({
    input: join(work, 'entry.js'),
    platform: 'neutral',
    // An import of the server's that is not used is none: it would need its grant.
    treeshake: { moduleSideEffects: 'no-external' },
    output: { file: join(work, 'bundle.js'), format: 'esm', codeSplitting: false, sourcemap: true },
  }).slice(0, -1)}, external: /^tidegate:/ };`]);
  return tool('rolldown', ['-c', join(work, 'rolldown.config.mjs'), '--log-level', 'warn']);
}

// Leaves in the bundle where its lines come from: see component.js.
function placed() {
  const bundle = readFileSync(join(work, 'bundle.js'), 'utf8');
  const map = new SourceMap(JSON.parse(readFileSync(join(work, 'bundle.js.map'), 'utf8')));
  const files = [];
  const lines = bundle.split('\n').map((text, line) => {
    const segments = [];
    for (let column = 0; column <= text.length; column += 1) {
      const { generatedLine, generatedColumn, originalSource, originalLine } = map.findEntry(line, column);
      if (generatedLine !== line || generatedColumn !== column || !originalSource) continue;
      const file = resolve(work, originalSource);
      // The SDK's own say nothing to the author.
      const own = [here, work].includes(dirname(file)) ? '' : relative(dirname(entry), file);
      if (!files.includes(own)) files.push(own);
      segments.push(`${column}:${files.indexOf(own)}:${originalLine + 1}`);
    }
    return segments.join(' ');
  });
  // At the end, where it moves no line.
  write('bundle.js', [bundle, `globalThis.tidegatePlaces = ${JSON.stringify({ files, lines: lines.join('\n') })};`]);
  return true;
}

function componentized() {
  const wit = join(work, 'wit');
  // A project of its own has the contract beside this file.
  const contract = [join(here, 'wit'), join(here, '../../../wit')].find((path) => existsSync(path));
  cpSync(contract, wit, { recursive: true });
  write('wit/built.wit', [
    'package tidegate:plugin@0.3.0;', '', 'world built {', ...imported().map((name) => `    import ${name};`),
    ...kinds.map((kind) => `    include ${kind}-plugin;`), '}',
  ]);
  // Without --sync the component needs asynchronous components, which the host does not offer.
  const args = ['--wit', wit, '--world', 'built', '--js', join(work, 'bundle.js'), '--sync', '--output', resolve(output)];
  return tool('componentize-qjs', args);
}

// What the bundle imports of the server. The component imports all that its world names.
function imported() {
  const bundle = readFileSync(join(work, 'bundle.js'), 'utf8');
  return [...bundle.matchAll(/^import\b[^;]*?\bfrom ["'](tidegate:[^"']+)["']/gm)].map(([, name]) => name);
}

function write(name, lines) {
  writeFileSync(join(work, name), lines.join('\n') + '\n');
}

function tool(name, args) {
  const ran = spawnSync(path(name), args, { stdio: ['ignore', 'inherit', 'inherit'] });
  if (ran.status !== 0) console.error(`error: \`${name}\` failed on ${source}`);
  return ran.status === 0;
}

function fail(code, sentence, hint) {
  console.error(`error: ${sentence}\nhint: ${hint}`);
  process.exit(code);
}
