// A plugin in TypeScript, built from source with its SDK and served by the real binary.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";

import { ask, next, Server, subscribe, token } from "./harness.mjs";
import { repository } from "./paths.mjs";

const sdk = join(repository, "plugins/sdk/javascript");
const MANIFEST = `
component: js.wasm
config: { greeting: "grüß dich 🦊", members: { a: [u1, u2], b: [u2] } }
grants: { emit: ["js.{room}"], publish: [ping.seen] }
limits: { memory: 16MiB, cpu: 300ms, wall: 2s }
`;

const CHANNELS = `
feature: js
channels:
  js.{room}:
    scope: public
    authorizer: js
    payload: { type: object, required: [pong] }
    inbound: { payload: { type: object }, handler: js }
`;

function build(module, component, ...kinds) {
  const ran = spawnSync(process.execPath, [join(sdk, "build.mjs"), module, component, ...kinds], { encoding: "utf8" });
  return { ok: ran.status === 0, said: ran.stdout + ran.stderr };
}

describe("a plugin in TypeScript", () => {
  let server;
  let scratch;
  let socket;
  const tell = (message) => ask(socket, "js.a", message);

  before(async () => {
    scratch = mkdtempSync(join(tmpdir(), "tidegate-js-"));
    mkdirSync(join(scratch, "js"));
    writeFileSync(join(scratch, "js/plugin.yaml"), MANIFEST);
    const { ok, said } = build(join(sdk, "test/probe.ts"), join(scratch, "js/js.wasm"), "handler", "authorizer");
    assert.ok(ok, said);
    server = await Server.start({ plugins: false, config: withTenants });
    // In one step, so that no reload sees half a plugin.
    await server.reload(() => renameSync(join(scratch, "js"), join(server.directory, "plugins/js")));
    await server.reload(() => server.write("channels/js.yaml", CHANNELS));
    socket = await server.connect({ token: token("u1", { roles: ["editor", "admin"], tenant: "t1" }) });
    await subscribe(socket, "js.a");
  });
  after(async () => {
    await server?.stop();
    rmSync(scratch, { recursive: true, force: true });
  });

  function withTenants(config) {
    config.auth.providers[0].jwt.tenant = "tenant";
    return config;
  }

  test("its reply reads the config, and its emit reaches subscribers", async () => {
    const publication = next(socket, "js.a");
    const reply = { pong: 7, greeting: "grüß dich 🦊" };
    assert.deepEqual(await tell({ n: 7 }), { ok: true, reply });
    assert.deepEqual((await publication)[0], { pong: 7 });
  });

  test("it reads every field of the context", async () => {
    const { reply } = await tell({ ask: "context" });
    const { connectionId, receivedAtMs, ...rest } = reply;
    assert.deepEqual(rest, {
      topic: "js.a",
      channel: "js.{room}",
      params: [["room", "a"]],
      user: { id: "u1", roles: ["editor", "admin"], tenant: "t1" },
      deadlineMs: 2000,
      attributes: [],
    });
    assert.equal(typeof connectionId, "string");
    assert.ok(Math.abs(receivedAtMs - Date.now()) < 60_000, `${receivedAtMs}`);
  });

  test("its clock is that of the server, and its randomness differs from call to call", async () => {
    const { now, ticks } = (await tell({ ask: "clock" })).reply;
    assert.ok(Math.abs(now - Date.now()) < 60_000, `${now}`);
    assert.ok(ticks[1] >= ticks[0]);
    const [first, second] = [(await tell({ ask: "random" })).reply, (await tell({ ask: "random" })).reply];
    assert.equal(first.bytes.length, 16);
    assert.notDeepEqual(first.bytes, second.bytes);
    assert.notEqual(first.u64, second.u64);
  });

  for (const [refuse, code] of [
    ["invalidPayload", "invalid_payload"],
    ["forbidden", "forbidden"],
    ["unavailable", "unavailable"],
    ["failed", "handler_failed"],
  ]) {
    test(`Refusal.${refuse} reaches the client as ${code}`, async () => {
      assert.equal((await tell({ refuse })).error.code, code);
    });
  }

  test("an exception is a refusal that names it, and no trap", async () => {
    assert.equal((await tell({ ask: "bug" })).error.code, "handler_failed");
    // A trap would be a `plugin.fault`; a refusal carries the plugin's own sentence.
    assert.match(await server.printed("TypeError: cannot read property"), /handler refused/);
    assert.equal((await tell({ n: 8 })).reply.pong, 8);
  });

  test("a loop without end is cut off, and the next message is answered", async () => {
    assert.equal((await tell({ ask: "loop" })).error.code, "handler_timeout");
    assert.equal((await tell({ n: 9 })).reply.pong, 9);
  });

  test("it gets no more memory than its limit, and the next message is answered", async () => {
    assert.equal((await tell({ ask: "hog" })).error.code, "handler_failed");
    assert.equal((await tell({ n: 10 })).reply.pong, 10);
  });

  test("its authorizer lets the members of a room in, and nobody else", async () => {
    const enter = async (who, room) => {
      const client = await server.connect(who ? { token: token(who) } : {});
      const ack = await ask(client, "subscribe", { channel: `js.${room}` });
      return ack.ok || ack.error.code;
    };
    assert.equal(await enter("u2", "a"), true);
    assert.equal(await enter("u2", "b"), true);
    assert.equal(await enter("u1", "b"), "forbidden");
    assert.equal(await enter(undefined, "a"), "unauthenticated");
  });

  test("its authorizer judges what is sent", async () => {
    assert.equal((await tell({ n: 13 })).error.code, "forbidden");
    assert.equal((await tell({ n: 12 })).ok, true);
  });
});

describe("the build of a plugin in TypeScript or JavaScript", () => {
  let scratch;
  before(() => {
    scratch = mkdtempSync(join(tmpdir(), "tidegate-js-build-"));
  });
  after(() => rmSync(scratch, { recursive: true, force: true }));

  // Builds `text` as a plugin that is a handler.
  function built(name, text) {
    const module = join(scratch, name);
    writeFileSync(module, `import { allow, authorizer as decides, handler as answers } from ${JSON.stringify(join(sdk, "index.js"))};\n${text}\n`);
    const { ok, said } = build(module, join(scratch, `${name}.wasm`), "handler");
    assert.equal(existsSync(join(scratch, `${name}.wasm`)), ok, "a component is made by a build that succeeds");
    return { ok, said };
  }

  for (const [what, name, text, words] of [
    ["an export of the wrong kind", "kind.ts", "export const handler = decides(() => allow());", /does not satisfy the expected type 'Handler'/],
    ["a missing export", "missing.ts", "export const handle = answers(() => {});", /no exported member .*'handler'/],
    ["a missing export", "missing.js", "export const handle = answers(() => {});", /"handler" is not exported/],
    ["an async function", "async.ts", "export const handler = answers(async () => ({}));", /is not assignable to type/],
    ["a mistake of types", "types.ts", "export const handler = answers<{ n: number }>((_, { m }) => ({ reply: m }));", /Property 'm' does not exist/],
  ]) {
    test(`refuses ${what} (${name})`, () => {
      const { ok, said } = built(name, text);
      assert.equal(ok, false);
      assert.match(said, words);
    });
  }

  test("makes a component of plain JavaScript", () => {
    const { ok, said } = built("plain.js", "export const handler = answers((_, { n }) => ({ reply: n }));");
    assert.ok(ok, said);
  });
});
