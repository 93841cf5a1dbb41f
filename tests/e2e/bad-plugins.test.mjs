// A plugin that does what it must not, and files that are no plugin: what the client hears, what the log says, and that
// the plugin beside it and the version before it serve on.

import assert from "node:assert/strict";
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";

import { cargoBuild } from "@tidegate/kit/guest.mjs";
import { ask, Server, subscribe, token } from "@tidegate/kit/harness.mjs";
import { coreModule, slowToCompile } from "@tidegate/kit/odd-components.mjs";
import { repository } from "@tidegate/kit/paths.mjs";

const MANIFEST = {
  component: "bad.wasm",
  grants: { emit: ["granted"], publish: ["granted.*"] },
  limits: { memory: "64MiB", cpu: "100ms", wall: "2s" },
  // The table below faults on purpose, and often.
  breaker: { faults: 1000 },
};

const CHANNELS = {
  feature: "abuse",
  channels: {
    abuse: { scope: "authenticated", payload: {}, inbound: { payload: true, handler: "bad" } },
    granted: { scope: "public", payload: {} },
  },
};

// What it does → the code its caller gets, and the kind of fault in log and metrics.
const DEEDS = {
  panic: ["handler_failed", "trap"],
  exit: ["handler_failed", "trap"],
  recursion: ["handler_failed", "trap"],
  loop: ["handler_timeout", "cpu"],
  sleep: ["handler_timeout", "timeout"],
  memory: ["handler_failed", "memory"],
  huge: ["handler_failed", "invalid_output"],
  large: ["handler_failed", "invalid_output"],
  garbage: ["handler_failed", "invalid_output"],
  "not-utf8": ["handler_failed", "invalid_output"],
  effects: ["handler_failed", "invalid_output"],
  "garbage-effect": ["handler_failed", "invalid_output"],
  "not-granted-emit": ["handler_failed", "not_granted"],
  "not-granted-publish": ["handler_failed", "not_granted"],
};

const MANY = 25;
const MEGABYTES = 1 << 20;

describe("a bad plugin", () => {
  let server;
  let socket;
  before(async () => {
    const scratch = mkdtempSync(join(tmpdir(), "tidegate-bad-"));
    mkdirSync(join(scratch, "bad"));
    writeFileSync(join(scratch, "bad/plugin.yaml"), JSON.stringify(MANIFEST));
    copyFileSync(cargoBuild(join(repository, "tests/plugins/guests/bad"), "bad"), join(scratch, "bad/bad.wasm"));
    server = await Server.start();
    // In one step, so that no reload sees half a plugin.
    await server.reload(() => renameSync(join(scratch, "bad"), join(server.directory, "plugins/bad")));
    await server.reload(() => server.write("channels/abuse.yaml", JSON.stringify(CHANNELS)));
    rmSync(scratch, { recursive: true });
    socket = await server.connect({ token: token("u1") });
    await subscribe(socket, "abuse");
    await subscribe(socket, "realtime-ping");
  }, { timeout: 300_000 });
  after(() => server?.stop());

  const residentBytes = () => Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${server.process.pid}/status`, "utf8"))[1]) * 1024;
  const pings = async () => assert.equal((await ask(socket, "realtime-ping", { n: 1 })).ok, true);
  const faults = async (kind) => {
    const { text } = await server.get("/metrics");
    const line = text.split("\n").find((line) => line.startsWith("tidegate_plugin_faults_total") && line.includes('plugin="bad"') && line.includes(`kind="${kind}"`));
    return Number(line?.split(" ").at(-1) ?? 0);
  };

  for (const [deed, [code, kind]] of Object.entries(DEEDS)) {
    test(`\`${deed}\` is \`${code}\` to the client and \`${kind}\` to the operator, and the plugin beside it answers`, async () => {
      const counted = await faults(kind);
      const logged = server.logged("plugin.fault");
      const [ack] = await Promise.all([ask(socket, "abuse", deed), pings()]);
      assert.equal(ack.error?.code, code, JSON.stringify(ack));
      // Nothing of the inside goes to a client.
      assert.equal(ack.error.details, undefined);
      const { plugin, kind: told, channel, user, version } = await logged;
      assert.deepEqual({ plugin, told, channel, user }, { plugin: "bad", told: kind, channel: "abuse", user: "u1" });
      assert.match(version, /^[0-9a-f]{12}$/);
      assert.equal(await faults(kind), counted + 1);
      assert.equal((await ask(socket, "abuse", "well")).reply, "well");
    });
  }

  test("one bad call after the other leaves no memory behind", async () => {
    const round = async () => {
      for (const deed of ["memory", "huge", "panic", "recursion"]) await ask(socket, "abuse", deed);
    };
    await round();
    const before = residentBytes();
    for (let n = 0; n < MANY; n++) await round();
    const grown = residentBytes() - before;
    assert.ok(grown < 64 * MEGABYTES, `${Math.round(grown / MEGABYTES)} MiB more after ${MANY} rounds`);
    await pings();
  });

  const whole = () => readFileSync(join(server.directory, "plugins/bad/bad.wasm"));
  const FILES = {
    "half a component": () => whole().subarray(0, whole().length / 2),
    "a core module": coreModule,
    "a hundred megabytes of zeros": () => Buffer.alloc(100 * MEGABYTES),
    "an empty file": () => Buffer.alloc(0),
    "text": () => Buffer.from("<html>404</html>"),
    "a component that exports nothing": () => slowToCompile(1),
  };

  for (const [what, make] of Object.entries(FILES)) {
    test(`${what} in a component's place is refused, and the version before it serves on`, async () => {
      const good = whole();
      const content = make();
      const rejected = server.logged("reload.rejected");
      server.write("plugins/bad/bad.wasm", content);
      assert.match((await rejected).first, /bad\.wasm`: /);
      assert.equal((await ask(socket, "abuse", "well")).reply, "well");
      await pings();
      const { body } = await server.get("/v1/plugins", { key: "e2e-operator-key-0123456789abcdef" });
      const states = body.plugins.filter(({ name }) => name === "bad").map(({ state }) => state);
      assert.deepEqual(states.sort(), ["active", "rejected"]);
      const reverted = server.logged("reload.reverted");
      server.write("plugins/bad/bad.wasm", good);
      await reverted;
    });
  }
});
