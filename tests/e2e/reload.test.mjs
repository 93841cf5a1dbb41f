// Files change while clients talk.

import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";

import { ask, next, Server, subscribe, token } from "@tidegate/kit/harness.mjs";
import { components } from "@tidegate/kit/paths.mjs";

const PING = (extra = "") => `
feature: ping
channels:
  realtime-ping:
    scope: authenticated
    payload: { type: object, required: [pong], properties: { pong: { type: integer } }, additionalProperties: false }
    inbound:
      payload: { type: object, required: [n], properties: { n: { type: integer } }, additionalProperties: false }
      handler: ping
${extra}`;

const EXTRA = (name) => `
  ${name}:
    scope: public
    payload: {}
`;

// The manifest that declares realtime-ping, whatever file ships it.
const MANIFEST = "channels/realtime-ping.yaml";

describe("reload", () => {
  let server;
  before(async () => {
    server = await Server.start();
    await server.reload(() => server.write(MANIFEST, PING()));
  });
  after(() => server?.stop());

  test("fifty sockets ping while a plugin and a manifest are swapped twenty times", async () => {
    const users = Array.from({ length: 50 }, (_, index) => `u${index}`);
    const sockets = await Promise.all(users.map((user) => server.connect({ token: token(user) })));
    const disconnects = [];
    for (const socket of sockets) {
      await subscribe(socket, "realtime-ping");
      socket.on("disconnect", (reason) => disconnects.push(reason));
    }
    let swapping = true;
    const answers = { old: 0, new: 0 };
    const pinging = sockets.map(async (socket) => {
      for (let n = 0; swapping; n++) {
        const ack = await ask(socket, "realtime-ping", { n });
        assert.equal(ack.ok, true, JSON.stringify(ack));
        assert.ok(ack.reply.pong === n || ack.reply.pong === n + 1000, `pong ${ack.reply.pong} for ${n}`);
        answers[ack.reply.pong === n ? "old" : "new"] += 1;
        await pause(20);
      }
    });
    for (let swap = 1; swap <= 20; swap++) {
      const version = swap % 2 ? components.second : components.shipped;
      await server.reload(() => server.plugin("ping", version));
      await server.reload(() => server.write(MANIFEST, PING(EXTRA(`e2e.swap-${swap}`))));
      await subscribe(sockets[swap], `e2e.swap-${swap}`);
    }
    swapping = false;
    await Promise.all(pinging);
    assert.deepEqual(disconnects, []);
    assert.ok(answers.old > 0 && answers.new > 0, JSON.stringify(answers));
    for (const socket of sockets) socket.close();
  });

  test("a bad file never replaces a good one", async () => {
    const socket = await server.connect({ token: token("u1") });
    await subscribe(socket, "realtime-ping");
    const good = PING();
    await server.reload(() => server.write(MANIFEST, good + "# good\n"));
    const answers = async (n) => assert.equal((await ask(socket, "realtime-ping", { n })).ok, true);

    const rejected = (change) => server.reload(change, "reload.rejected");
    await rejected(() => server.write(MANIFEST, good.replace("handler: ping", "handler: nobody")));
    await answers(1);
    await rejected(() => server.write(MANIFEST, "feature: [unclosed"));
    await answers(2);
    // Written in place and only half, as a full disk or a killed editor leaves it.
    await rejected(() => writeFileSync(join(server.directory, MANIFEST), good.slice(0, good.length / 2)));
    await answers(3);
    await server.reload(() => server.write(MANIFEST, good));

    const component = server.plugin("ping");
    await rejected(() => server.write(component, "this is no component"));
    await answers(4);
    await server.reload(() => server.plugin("ping", components.second));
    assert.equal((await ask(socket, "realtime-ping", { n: 5 })).reply.pong, 1005);
    await server.reload(() => server.plugin("ping"));
    assert.equal((await ask(socket, "realtime-ping", { n: 6 })).reply.pong, 6);
    assert.ok(socket.connected);
  });

  test("whom an authorizer no longer knows is taken out of what it was let into", async () => {
    const alice = await server.connect({ token: token("alice") });
    const bob = await server.connect({ token: token("bob") });
    for (const socket of [alice, bob]) await subscribe(socket, "vault.v1");
    const told = next(alice, "tidegate");
    const manifest = "plugins/vault-members/plugin.yaml";
    const text = readFileSync(join(server.directory, manifest), "utf8");
    await server.reload(() => server.write(manifest, text.replace("alice", "nobody")));
    assert.deepEqual(await told, [{ type: "revoked", channel: "vault.v1", reason: "forbidden" }]);
    assert.equal((await ask(bob, "unsubscribe", { channel: "vault.v1" })).ok, true);
    await server.reload(() => server.write(manifest, text));
  });

  test("SIGHUP reloads", async () => {
    await server.reload(() => server.signal("SIGHUP"));
  });

  test("a subscription to a channel that is gone ends with a word, the connection stays", async () => {
    await server.reload(() => server.write(MANIFEST, PING(EXTRA("e2e.passing"))));
    const socket = await server.connect({ token: token("u1") });
    await subscribe(socket, "e2e.passing");
    await subscribe(socket, "realtime-ping");
    const told = next(socket, "tidegate");
    await server.reload(() => server.write(MANIFEST, PING()));
    assert.deepEqual(await told, [{ type: "revoked", channel: "e2e.passing", reason: "unknown_channel" }]);
    assert.equal((await ask(socket, "unsubscribe", { channel: "e2e.passing" })).error.code, "not_subscribed");
    assert.equal((await ask(socket, "realtime-ping", { n: 7 })).ok, true);
  });

  test("a subscription that the scope no longer admits ends with a word", async () => {
    const open = EXTRA("e2e.narrowing");
    await server.reload(() => server.write(MANIFEST, PING(open)));
    const socket = await server.connect({ token: token("u1") });
    await subscribe(socket, "e2e.narrowing");
    const told = next(socket, "tidegate");
    await server.reload(() => server.write(MANIFEST, PING(open.replace("public", "{ role: editor }"))));
    assert.deepEqual(await told, [{ type: "revoked", channel: "e2e.narrowing", reason: "forbidden" }]);
  });
});
