// `tidegate dev` while a feature team works on a plugin in Rust.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, describe, test } from "node:test";

import { io } from "socket.io-client";

import { ask, SECRET, token, within } from "@tidegate/kit/harness.mjs";
import { binary, repository, target } from "@tidegate/kit/paths.mjs";

// Longer than building the SDK and the shipped plugins from nothing takes on a small machine.
const BUILD_PATIENCE_MS = 300_000;

// `tidegate dev` in a copy of the project.
class Dev {
  seen = [];
  #waiting = [];

  constructor() {
    this.directory = mkdtempSync(join(tmpdir(), "tidegate-dev-"));
    for (const part of ["channels", "config", "plugins", "wit", "rust-toolchain.toml"]) {
      cpSync(join(repository, part), join(this.directory, part), {
        recursive: true,
        filter: (path) => !path.endsWith(".wasm") && !path.includes("node_modules") && !path.includes(join("plugins", "target")),
      });
    }
    // What others wrote is compiled once for all runs.
    const kept = join(target, "e2e-dev");
    mkdirSync(kept, { recursive: true });
    symlinkSync(kept, join(this.directory, "plugins/target"));
    this.#start("127.0.0.1:0");
  }

  #start(listen) {
    this.process = spawn(binary(), ["dev", "--listen", listen], {
      cwd: this.directory,
      env: { ...process.env, TIDEGATE_JWT_SECRET: SECRET, RUST_LOG: "info" },
      stdio: ["ignore", "ignore", "pipe"],
    });
    this.exited = once(this.process, "close");
    createInterface({ input: this.process.stderr }).on("line", (line) => this.#line(line));
  }

  // Ends it, does something to the files, and starts it again over them.
  async restart(listen = "127.0.0.1:0", meanwhile = () => {}) {
    this.process.kill("SIGKILL");
    await this.exited;
    meanwhile();
    this.#start(listen);
  }

  #line(line) {
    if (process.env.TIDEGATE_E2E_LOG) console.error(line);
    this.seen.push(line);
    this.#waiting = this.#waiting.filter((take) => !take(line));
  }

  // The first line from now on that matches, whatever comes before it.
  async line(pattern) {
    const found = new Promise((resolve) => this.#waiting.push((line) => pattern.test(line) && (resolve(line), true)));
    return await within(`line ${pattern}`, found, BUILD_PATIENCE_MS).catch((error) => {
      throw new Error(`${error.message}\n${this.seen.slice(-40).join("\n")}`);
    });
  }

  // Changes a file in one step, as an editor does, and waits for these lines, in whatever order.
  async change(path, change, ...patterns) {
    const lines = Promise.all(patterns.map((pattern) => this.line(pattern)));
    const whole = join(this.directory, path);
    const aside = join(this.directory, `.${basename(dirname(path))}-${basename(path)}`);
    writeFileSync(aside, typeof change === "string" ? change : change(readFileSync(whole, "utf8")));
    mkdirSync(dirname(whole), { recursive: true });
    renameSync(aside, whole);
    return await lines;
  }

  stop() {
    this.process.kill("SIGKILL");
    rmSync(this.directory, { recursive: true, force: true });
  }
}

const replaced = (from, to) => (text) => {
  assert.ok(text.includes(from), `nothing to change: ${from}`);
  return text.replace(from, to);
};

describe("dev", () => {
  const APPLIED = /reload\.applied/;
  const SOURCE = "plugins/ping/src/lib.rs";
  let dev;
  let socket;
  const pong = async (n) => {
    const ack = await ask(socket, "realtime-ping", { n });
    assert.equal(ack.ok, true, JSON.stringify(ack));
    return ack.reply.pong;
  };

  before(async () => {
    dev = new Dev();
    const line = await dev.line(/server\.listening/);
    const [address] = /127\.0\.0\.1:\d+/.exec(line);
    socket = io(`http://${address}`, { transports: ["websocket"], auth: { token: token("alice") } });
    const answer = new Promise((resolve, reject) => socket.once("connect", resolve).once("connect_error", reject));
    await within("connect", answer);
    assert.equal((await ask(socket, "subscribe", { channel: "realtime-ping" })).ok, true);
  });
  after(() => {
    socket?.close();
    dev?.stop();
  });

  test("a saved source is built and serves, without a socket dropped", async () => {
    let dropped = 0;
    socket.on("disconnect", () => (dropped += 1));
    assert.equal(await pong(1), 1);
    const edit = replaced("pong: ping.n }", "pong: ping.n + 1000 }");
    await dev.change(SOURCE, edit, /built plugin `ping`/, APPLIED, /warning: is answered differently: .*found 1007/, /plugin test ping --update/);
    assert.equal(await pong(1), 1001);
    assert.equal(dropped, 0);
  });

  test("a golden vector that is saved builds nothing and is asked again", async () => {
    const lines = dev.seen.length;
    await dev.change("plugins/ping/tests/answers.json", replaced('"pong": 7', '"pong": 1007'), APPLIED);
    assert.equal(dev.seen.slice(lines).filter((line) => line.includes("building plugin")).length, 0);
  });

  test("a plugin with a mistake is told once and keeps no other from going live", async () => {
    const manifest = readFileSync(join(dev.directory, "plugins/vault-members/plugin.yaml"), "utf8");
    await dev.change("plugins/vault-members/plugin.yaml", `${manifest}oops: 1\n`, /unknown key `oops`/, /the server continues with the version before/);
    const lines = dev.seen.length;
    await dev.change(SOURCE, replaced("ping.n + 1000 }", "ping.n + 1001 }"), /built plugin `ping`/, APPLIED);
    assert.equal(await pong(1), 1002);
    assert.equal(dev.seen.slice(lines).filter((line) => line.includes("unknown key `oops`")).length, 0);
    await dev.change("plugins/vault-members/plugin.yaml", manifest, APPLIED);
    await dev.change(SOURCE, replaced("ping.n + 1001 }", "ping.n + 1000 }"), /built plugin `ping`/, APPLIED);
  });

  test("a build error is told in the words of the toolchain, and the old version serves until a good save", async () => {
    await dev.change(
      SOURCE,
      replaced("ping.n + 1000 }", "ping.m + 2000 }"),
      /no field `m` on type/,
      /plugin `ping` does not build/,
      /the server continues with the version before/,
    );
    assert.equal(await pong(1), 1001);
    const divides = "ping.n + 2000 / i64::from(ping.n != 13) }";
    await dev.change(SOURCE, replaced("ping.m + 2000 }", divides), /built plugin `ping`/, APPLIED);
    assert.equal(await pong(1), 2001);
  });

  test("a message that a plugin fails on is told, with the line that failed", async () => {
    const source = readFileSync(join(dev.directory, SOURCE), "utf8").split("\n");
    const told = dev.line(/plugin\.fault/);
    assert.equal((await ask(socket, "realtime-ping", { n: 13 })).error.code, "handler_failed");
    const { detail, input, level } = JSON.parse(await told);
    assert.equal(level, "ERROR");
    assert.match(detail, new RegExp(`^panic: attempt to divide by zero, at .*src/lib.rs:${source.findIndex((line) => line.includes("!= 13")) + 1}$`));
    assert.equal(input, '{"n":13}');
  });

  test("a change in the SDK builds the plugins that depend on it", async () => {
    const lines = [/building plugin `ping`/, /building plugin `vault-members`/, /built plugin `vault-members`/];
    await dev.change("plugins/sdk/rust/src/lib.rs", (text) => `${text}\n// Another comment.\n`, ...lines);
  });

  test("a plugin that appears is built and loaded", async () => {
    const manifest = "component: copy.wasm\nbuild: cp ../ping/ping.wasm copy.wasm\ngrants: { emit: [realtime-ping], publish: [ping.seen] }\n";
    await dev.change("plugins/copy/plugin.yaml", manifest, /built plugin `copy`/, APPLIED);
    const shipped = readFileSync(join(dev.directory, "channels/realtime-ping.yaml"), "utf8");
    const declared = shipped.replaceAll("realtime-ping", "copied").replace("handler: ping", "handler: copy");
    await dev.change("channels/copied.yaml", declared, APPLIED);
    assert.equal((await ask(socket, "subscribe", { channel: "copied" })).ok, true);
    const ack = await ask(socket, "copied", { n: 5 });
    assert.equal(ack.reply?.pong, 2005, JSON.stringify(ack));
  });

  test("a second start builds nothing that did not change", async () => {
    const lines = dev.seen.length;
    const listening = dev.line(/server\.listening/);
    await dev.restart();
    await listening;
    assert.deepEqual(dev.seen.slice(lines).filter((line) => line.includes("building plugin")), []);
  });

  test("an address that is taken is told before anything is built", async () => {
    const lines = dev.seen.length;
    const taken = createServer();
    await new Promise((resolve) => taken.listen(0, "127.0.0.1", resolve));
    await dev.restart(`127.0.0.1:${taken.address().port}`, () => {
      writeFileSync(join(dev.directory, SOURCE), `${readFileSync(join(dev.directory, SOURCE), "utf8")}\n// Another.\n`);
    });
    await dev.exited;
    taken.close();
    const said = dev.seen.slice(lines);
    assert.ok(said.some((line) => line.includes("failed to listen on")), said.join("\n"));
    assert.deepEqual(said.filter((line) => line.includes("building plugin")), []);
  });
});
