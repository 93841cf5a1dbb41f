// A plugin in JavaScript, built from source with its SDK and served by the real binary.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";

import { ask, next, Server, subscribe, token } from "./harness.mjs";
import { repository } from "./paths.mjs";

const MANIFEST = `
component: js.wasm
config: { greeting: "grüß dich 🦊" }
grants: { emit: [realtime-ping], publish: [ping.seen] }
`;

const CHANNELS = `
feature: js
channels:
  realtime-ping:
    scope: public
    authorizer: js
    payload: { type: object, required: [pong] }
    inbound: { payload: { type: object }, handler: js }
`;

describe("a plugin in JavaScript", () => {
  let server;
  let scratch;
  let socket;
  before(async () => {
    scratch = mkdtempSync(join(tmpdir(), "tidegate-js-"));
    const [sdk, component] = [join(repository, "plugins/sdk/javascript"), join(scratch, "js/js.wasm")];
    mkdirSync(join(scratch, "js"));
    writeFileSync(join(scratch, "js/plugin.yaml"), MANIFEST);
    const build = [join(sdk, "build.mjs"), join(sdk, "test/ping.js"), component, "handler", "authorizer"];
    execFileSync(process.execPath, build, { stdio: ["ignore", "ignore", "inherit"] });
    server = await Server.start({ plugins: false });
    // In one step, so that no reload sees half a plugin.
    await server.reload(() => renameSync(join(scratch, "js"), join(server.directory, "plugins/js")));
    await server.reload(() => server.write("channels/js.yaml", CHANNELS));
    socket = await server.connect({ token: token("u1") });
    await subscribe(socket, "realtime-ping");
  });
  after(async () => {
    await server?.stop();
    rmSync(scratch, { recursive: true, force: true });
  });

  test("its reply reads the config, and its emit reaches subscribers", async () => {
    const publication = next(socket, "realtime-ping");
    const reply = { pong: 7, greeting: "grüß dich 🦊" };
    assert.deepEqual(await ask(socket, "realtime-ping", { n: 7 }), { ok: true, reply });
    assert.deepEqual((await publication)[0], { pong: 7 });
  });

  for (const [refuse, code] of [
    ["invalidPayload", "invalid_payload"],
    ["forbidden", "forbidden"],
    ["unavailable", "unavailable"],
    ["failed", "handler_failed"],
  ]) {
    test(`Refusal.${refuse} reaches the client as ${code}`, async () => {
      assert.equal((await ask(socket, "realtime-ping", { refuse })).error.code, code);
    });
  }

  test("an exception is a refusal that names it, and no trap", async () => {
    assert.equal((await ask(socket, "realtime-ping", { bug: true })).error.code, "handler_failed");
    // A trap would be a `plugin.fault`; a refusal carries the plugin's own sentence.
    assert.match(await server.printed("TypeError: cannot read property"), /handler refused/);
    assert.equal((await ask(socket, "realtime-ping", { n: 8 })).reply.pong, 8);
  });

  test("its authorizer turns the anonymous away", async () => {
    const anonymous = await server.connect();
    const ack = await ask(anonymous, "subscribe", { channel: "realtime-ping" });
    assert.equal(ack.ok, false);
    assert.equal(ack.error.code, "unauthenticated");
  });
});
