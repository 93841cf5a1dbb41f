#!/usr/bin/env node
// The tools of the build, in the versions of package-lock.json, from the user's cache: `node tools.mjs tsc -p .` runs one.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, readFileSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const FILES = ['package.json', 'package-lock.json'];
// A project of its own has it below this file.
const shared = [join(here, 'componentize'), join(here, '../componentize')].find((path) => existsSync(path));
const { toolchain } = await import(pathToFileURL(join(shared, 'toolchain.mjs')));

/** The path of a tool; all of them are fetched where they are missing. */
export function tool(name) {
  const version = createHash('sha256').update(readFileSync(join(here, 'package-lock.json'))).digest('hex').slice(0, 12);
  const installed = toolchain(`javascript-${version}`, (into) => {
    for (const file of FILES) copyFileSync(join(here, file), join(into, file));
    const ran = spawnSync('npm', ['ci', '--silent', '--no-audit', '--no-fund'], { cwd: into, stdio: ['ignore', 'inherit', 'inherit'] });
    if (ran.status === 0) return;
    console.error(ran.error?.code === 'ENOENT'
      ? 'error: `npm` is not installed\nhint: install Node 20 or later with npm: https://nodejs.org'
      : 'error: the tools cannot be installed\nhint: they come from the npm registry: is there a network, and what does npm say above?');
    process.exit(69);
  });
  return join(installed, 'node_modules/.bin', name);
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const [name, ...args] = process.argv.slice(2);
  process.exit(spawnSync(tool(name), args, { stdio: 'inherit' }).status ?? 1);
}
