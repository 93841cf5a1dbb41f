// The servers under test, each a process of its own: the reference (`control`), and the transport's example (`tidegate`).

import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";

import { within } from "./within.mjs";

const place = (path) => fileURLToPath(new URL(path, import.meta.url));
const target = process.env.CARGO_TARGET_DIR ?? place("../../../target");

const COMMANDS = {
  control: [process.execPath, place("../control.mjs")],
  tidegate: [join(target, "debug", "examples", "conformance")],
};

const chosen = (process.env.CONFORMANCE_SERVERS ?? Object.keys(COMMANDS).join(",")).split(",");

const running = new Map();
after(() => Promise.all([...running.values()].map((server) => server.stop())));

class Server {
  constructor(name, options) {
    Object.assign(this, { name, options, path: options.path ?? "/socket.io/" });
  }

  /** Tests of one configuration share a process. */
  static of(name, options) {
    const key = JSON.stringify([name, options]);
    if (!running.has(key)) running.set(key, new Server(name, options));
    return running.get(key);
  }

  start() {
    return (this.started ??= this.spawn());
  }

  async spawn() {
    const [program, ...words] = COMMANDS[this.name];
    if (!existsSync(program)) throw new Error(`${program} is not built: cargo build --locked --workspace --example conformance`);
    this.child = spawn(program, [...words, JSON.stringify(this.options)], { stdio: ["ignore", "pipe", "inherit"] });
    process.once("exit", () => this.child.kill("SIGKILL"));
    const ended = once(this.child, "exit").then(([code]) => Promise.reject(new Error(`${this.name} ended with ${code}`)));
    ended.catch(() => {});
    const [line] = await within(`start of ${this.name}`, Promise.race([once(this.child.stdout, "data"), ended]));
    const [, url] = /listening on (http:\S+)/.exec(line);
    this.url = new URL(url);
    this.child.stdout.resume();
  }

  async stop() {
    if (!this.child || this.child.exitCode !== null) return;
    this.child.kill("SIGKILL");
    await once(this.child, "exit");
  }
}

/**
 * Tests of one configuration, for each server. `body` gets the server and a `test(name, { says, only, why }, run)`: `says`
 * names sentences of the README, `only` the one server that it is about, and `why` says why.
 */
export function conformance(title, options, body) {
  for (const name of chosen) {
    describe(`${name}: ${title}`, { concurrency: true }, () => {
      const server = Server.of(name, options);
      before(() => server.start());
      body(server, (sentence, { only = name, why } = {}, run) => {
        if (only !== name) return;
        test(sentence + (why ? ` (${only} only: ${why})` : ""), { timeout: 30_000 }, run);
      });
    });
  }
}
