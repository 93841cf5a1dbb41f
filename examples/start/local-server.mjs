// A server of this machine (PostgreSQL, Redis) that runs in a temporary directory for as long as an example does.

import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { accessSync, constants, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

// Longer than any of them takes to start on a busy machine.
const START_TIMEOUT_MS = 30_000;
const LOOK_INTERVAL_MS = 20;

/** The path of a program: on the PATH, or in a folder where distributions keep it. */
export function findProgram(name, { variable, packageName, folders = [] }) {
  for (const folder of [...process.env.PATH.split(delimiter), ...folders]) {
    try {
      accessSync(join(folder, name), constants.X_OK);
      return join(folder, name);
    } catch {
      // Not in this folder.
    }
  }
  throw new Error(`\`${name}\` is not installed\nhint: install it (Debian, Ubuntu: apt-get install ${packageName}), or set ${variable} to a server that runs`);
}

/** A port of 127.0.0.1 that nobody uses now. */
export async function freePort() {
  const holder = createServer().listen(0, "127.0.0.1");
  await once(holder, "listening");
  const { port } = holder.address();
  holder.close();
  await once(holder, "close");
  return port;
}

// PostgreSQL refuses to run as root: in a container, where everybody is root, it runs as nobody.
export function asNobody() {
  if (process.getuid() !== 0) return {};
  const line = readFileSync("/etc/passwd", "utf8").split("\n").find((line) => line.startsWith("nobody:"));
  const [uid, gid] = line.split(":").slice(2, 4).map(Number);
  return { uid, gid };
}

/** A directory of its own, removed by `stop`. */
export function temporaryDirectory(name) {
  const directory = mkdtempSync(join(tmpdir(), `${name}-`));
  const { uid, gid } = asNobody();
  if (uid !== undefined) execFileSync("chown", [`${uid}:${gid}`, directory]);
  return directory;
}

/** Runs a server, waits until `isReady` says so, and returns `{ stop }`. */
export async function runServer({ name, program, args, directory, isReady, signal = "SIGTERM" }) {
  // A group of its own: Ctrl-C reaches the example first, which stops its servers last.
  const child = spawn(program, args, { cwd: directory, stdio: ["ignore", "ignore", "pipe"], detached: true, ...asNobody() });
  let said = "";
  child.stderr.on("data", (chunk) => (said = (said + chunk).slice(-4096)));
  const ended = once(child, "exit");
  // Where the example ends without stopping it, by a mistake for example.
  const forget = () => child.kill(signal);
  process.once("exit", forget);
  const stop = async () => {
    process.off("exit", forget);
    if (child.exitCode === null && child.signalCode === null) child.kill(signal);
    await ended;
    rmSync(directory, { recursive: true, force: true });
  };
  const started = Date.now();
  while (!(await isReady())) {
    const isOver = child.exitCode !== null || child.signalCode !== null;
    if (isOver || Date.now() - started > START_TIMEOUT_MS) {
      await stop();
      throw new Error(`${name} did not start: ${said.trim() || "it says nothing"}`);
    }
    await sleep(LOOK_INTERVAL_MS);
  }
  return { stop };
}
