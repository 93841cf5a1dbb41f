// What a person does with the program of any package: asks its version, makes a project, serves it, connects, and stops it.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

import { ask, io, next, subscribe, until, within } from "@tidegate/kit/harness.mjs";
import { repository } from "@tidegate/kit/paths.mjs";
import { version } from "./made.mjs";

const PATIENCE_MS = 60_000;

/** Two clients hold a topic; what one sends, or what comes of it, the other hears. */
export async function hears(url, topic, sent, expected, token) {
  const auth = token && { token };
  const [writer, reader] = [0, 1].map(() => io(url, { auth, forceNew: true, reconnection: false }));
  try {
    await within("the connections", Promise.all([writer, reader].map((socket) => once(socket, "connect"))));
    for (const socket of [writer, reader]) await subscribe(socket, topic);
    const heard = next(reader, topic);
    assert.equal((await ask(writer, topic, sent)).ok, true);
    assert.deepEqual((await heard)[0], expected);
  } finally {
    for (const socket of [writer, reader]) socket.disconnect();
  }
}

/** The channel of a new project: all hear what one of them sends. */
export const isServed = (url) => hears(url, "greetings", { text: "hello" }, { text: "hello" });

// The dashboard's page is in the program where it was built before the program.
async function isPageThere(url) {
  if (!existsSync(join(repository, "host/dashboard/dist"))) return;
  const page = await fetch(`${url}/dashboard/`);
  assert.equal(page.status, 200);
  assert.match(await page.text(), /<script type="module"[^>]* src="\/dashboard\/assets\//);
}

/** `dev` in a new project, once clients can connect. */
export async function dev(place, command, options = {}) {
  const file = place.path("ready.json");
  const [program, ...args] = [...command, "dev", "--listen", "127.0.0.1:0", "--ready-file", file];
  const running = spawn(program, args, { cwd: place.path("app"), env: place.env, stdio: ["ignore", "ignore", "inherit"], ...options });
  const exited = once(running, "exit");
  const ready = await until("the ready file", () => existsSync(file) && JSON.parse(readFileSync(file, "utf8")), PATIENCE_MS);
  assert.equal(ready.error, undefined);
  return { running, exited, ready, file };
}

/** Uses the program as people do. `command` is how they call it. */
export async function isUsed(place, command) {
  const told = await place.done([...command, "--version"]);
  assert.ok(told.startsWith(`tidegate ${version} (commit `), told);
  await place.done([...command, "init", "app"]);
  const { running, exited, ready } = await dev(place, command);
  try {
    await isServed(ready.url);
    await isPageThere(ready.url);
  } finally {
    running.kill("SIGTERM");
  }
  assert.deepEqual(await within("the end", exited, PATIENCE_MS), [0, null], "SIGTERM ends it well");
  assert.equal((await place.run([...command, "check", "--nonsense"])).code, 2, "its exit code is the program's");
}
