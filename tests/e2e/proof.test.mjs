// Proof before a plugin goes live: an operator records calls of clients, and another component answers them again.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";

import { cargoBuild } from "@tidegate/kit/guest.mjs";
import { ask, Server, subscribe, token, until } from "@tidegate/kit/harness.mjs";
import { binary, repository } from "@tidegate/kit/paths.mjs";

const KEY = "e2e-recorder-key-0123456789abcdef";
const CALLS = 12;

// Runs a command to its end: what it printed, and its exit code.
async function run(args, options = {}) {
  const child = spawn(binary(), args, { stdio: ["ignore", "pipe", "pipe"], ...options });
  const said = { stdout: "", stderr: "" };
  for (const of of ["stdout", "stderr"]) child[of].on("data", (text) => (said[of] += text));
  options.began?.(child, said);
  const [code] = await once(child, "close");
  return { code, ...said };
}

const lines = (file) => readFileSync(file, "utf8").trim().split("\n").map((line) => JSON.parse(line));

describe("a recording", () => {
  let server;
  let scratch;
  let socket;
  before(async () => {
    scratch = mkdtempSync(join(tmpdir(), "tidegate-proof-"));
    server = await Server.start({
      config: (config) => ({
        ...config,
        api_keys: [...config.api_keys, { name: "recorder", key: KEY, may: ["operate", "read"] }],
        limits: { ...config.limits, recordings: 1 },
      }),
    });
    socket = await server.connect({ token: token("u1") });
    await subscribe(socket, "realtime-ping");
  }, { timeout: 300_000 });
  after(async () => {
    await server?.stop();
    rmSync(scratch, { recursive: true, force: true });
  });

  const at = () => ["--url", server.url, "--key", KEY];
  const ping = () => join(server.directory, "plugins/ping/ping.wasm");

  // Records while a client sends; `meanwhile` happens once it records.
  async function record(file, calls, meanwhile) {
    let told;
    const isOn = new Promise((resolve) => (told = resolve));
    const began = (child, said) => child.stderr.on("data", () => said.stderr.includes("recording") && told(child));
    const recorded = run(["record", "--plugin", "ping", "--calls", String(calls), "--out", file, ...at()], { began });
    const child = await Promise.race([isOn, recorded]);
    assert.ok(child.kill, JSON.stringify(child));
    await meanwhile(child);
    return await recorded;
  }
  const send = async (count) => {
    for (let n = 0; n < count; n++) assert.equal((await ask(socket, "realtime-ping", { n })).reply.pong, n);
  };

  test("of what clients sent is answered alike by the same component, and another one differs by kind", async () => {
    const file = join(scratch, "ping.ndjson");
    const { code, stdout, stderr } = await record(file, CALLS, () => send(CALLS + 3));
    assert.equal(code, 0, stderr);
    assert.match(stdout, new RegExp(`^${CALLS} calls in .*ping.ndjson \\(calls\\)`));
    assert.equal(statSync(file).mode & 0o777, 0o600);
    const told = lines(file);
    assert.equal(told.length, CALLS + 2);
    assert.deepEqual([told[0].by, told[1].payload, told[1].user.id, told.at(-1).end.reason], ["recorder", { n: 0 }, "u1", "calls"]);

    const same = await run(["plugin", "replay", file, "--component", ping()]);
    assert.equal(same.code, 0, same.stdout + same.stderr);
    assert.match(same.stdout, new RegExp(`^${CALLS} calls of ping replayed in .*: ${CALLS} the same\n$`));

    const next = join(scratch, "next");
    mkdirSync(next);
    copyFileSync(cargoBuild(join(repository, "tests/plugins/guests/bad"), "bad"), join(next, "ping.wasm"));
    const other = await run(["plugin", "replay", file, "--component", join(next, "ping.wasm"), "--format", "json"]);
    assert.equal(other.code, 1, other.stderr);
    const { ok, differences } = JSON.parse(other.stdout);
    assert.equal(ok, false);
    assert.deepEqual(differences.map(({ kind, calls, first_line: line }) => [kind, calls, line]), [["reply", CALLS, 2], ["effects", CALLS, 2]]);
    const allowed = await run(["plugin", "replay", file, "--component", join(next, "ping.wasm"), "--allow", "reply,effects"]);
    assert.equal(allowed.code, 0, allowed.stdout);

    // The same component, which may do less.
    writeFileSync(join(next, "plugin.yaml"), "component: ping.wasm\n");
    copyFileSync(ping(), join(next, "ping.wasm"));
    const bound = await run(["plugin", "replay", file, "--component", join(next, "ping.wasm")]);
    assert.equal(bound.code, 1);
    assert.match(bound.stdout, /fault +12 calls, the first on line 2\n.*not_granted/);
  });

  test("ends early with what there is", async () => {
    const file = join(scratch, "early.ndjson");
    const { code, stdout } = await record(file, 1000, async (child) => {
      await send(3);
      await until("three calls are written", () => lines(file).length === 4);
      child.kill("SIGINT");
    });
    assert.equal(code, 0);
    assert.match(stdout, /^3 calls in .* \(stopped\)/);
    assert.deepEqual(lines(file).at(-1).end.reason, "stopped");
  });

  test("goes on beside a faulty candidate, which is asked what clients ask and changes no reply", async () => {
    const file = join(scratch, "plugin.yaml");
    const home = join(server.directory, "plugins/ping");
    copyFileSync(cargoBuild(join(repository, "tests/plugins/guests/bad"), "bad"), join(home, "ping.next.wasm"));
    const begun = server.logged("plugin.shadow");
    writeFileSync(file, `${readFileSync(join(home, "plugin.yaml"), "utf8")}\nshadow: { version: ping.next.wasm }\n`);
    await server.reload(() => renameSync(file, join(home, "plugin.yaml")));
    assert.equal((await begun).level, "INFO");
    await send(5);
    const shadow = await until("the candidate answered", async () => {
      const answer = await fetch(`${server.url}/v1/plugins`, { headers: { authorization: `Bearer ${KEY}` } });
      const { plugins } = await answer.json();
      const shadow = plugins.find(({ name, state }) => name === "ping" && state === "active").shadow;
      return shadow?.calls === 5 && shadow;
    });
    assert.deepEqual(shadow.differences, { effects: 5, reply: 5 });
    assert.match(shadow.last_differences[0].shown[0], /expected/);
    const { text } = await server.get("/metrics");
    assert.match(text, /tidegate_plugin_shadow_calls_total\{plugin="ping",outcome="differs"\} 5/);
    // A file that is no component.
    const broken = server.logged("plugin.shadow");
    writeFileSync(join(scratch, "no.wasm"), "nothing");
    renameSync(join(scratch, "no.wasm"), join(home, "ping.next.wasm"));
    assert.match((await broken).why, /is not WebAssembly/);
    await send(2);
  });

  test("is told in the log with the operator's name, and is refused twice and without a key that may read", async () => {
    const begun = server.logged("plugin.recording");
    await record(join(scratch, "log.ndjson"), 1, async () => {
      const busy = await run(["record", "--plugin", "ping", "--out", join(scratch, "busy.ndjson"), ...at()]);
      assert.match(busy.stderr, /`recorder` records this plugin already/);
      await send(1);
    });
    const { operator, plugin } = await begun;
    assert.deepEqual([operator, plugin], ["recorder", "ping"]);
    const other = join(scratch, "refused.ndjson");
    const refused = await run(["record", "--plugin", "ping", "--out", other, "--url", server.url, "--key", "e2e-operator-key-0123456789abcdef"]);
    assert.equal(refused.code, 69);
    assert.match(refused.stderr, /only a key that may `read` sees/);
    assert.throws(() => statSync(other), { code: "ENOENT" });
  });
});
