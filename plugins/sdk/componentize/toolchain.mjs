// Pinned toolchains in the user's cache: fetched whole or not at all, once for all plugins.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'tidegate/toolchains');
const LOOK_MS = 200;
// A lock that is older belongs to a build that was killed and whose number another process has by now.
const LOCK_AGE_MAX_MS = 15 * 60_000;

/** The directory of a toolchain; `install(directory)` fills it where it is missing. A build that wants it meanwhile waits. */
export function toolchain(name, install) {
  const installed = join(cache, name);
  if (existsSync(installed)) return installed;
  mkdirSync(cache, { recursive: true });
  const unlock = lock(`${installed}.lock`);
  process.once('exit', unlock);
  // Another build had the lock, and was done.
  if (!existsSync(installed)) {
    // What is left of builds that were killed.
    readdirSync(cache).filter((left) => left.startsWith(`.${name}-`)).forEach((left) => remove(join(cache, left)));
    const aside = mkdtempSync(join(cache, `.${name}-`));
    process.once('exit', () => remove(aside));
    console.error(`installing ${name} into ${installed}`);
    install(aside);
    renameSync(aside, installed);
  }
  unlock();
  return installed;
}

function lock(path) {
  const mine = String(process.pid);
  for (;;) {
    try {
      writeFileSync(path, mine, { flag: 'wx' });
      return () => { if (read(path) === mine) remove(path); };
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
    }
    if (isHeld(path)) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, LOOK_MS);
    else remove(path);
  }
}

function isHeld(path) {
  const holder = Number(read(path));
  try {
    if (Date.now() - statSync(path).mtimeMs > LOCK_AGE_MAX_MS) return false;
    // Empty: it is being written.
    return holder === 0 || process.kill(holder, 0);
  } catch (error) {
    // Somebody else's process lives, too; a file that is gone is looked at again.
    return error.code === 'EPERM';
  }
}

function read(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function remove(path) {
  rmSync(path, { recursive: true, force: true });
}
