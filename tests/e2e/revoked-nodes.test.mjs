// What is revoked on one node is revoked on all of them, within a second, and on those that start later.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { Cluster, until } from "./cluster.mjs";
import { collect, KEYS, next, now, Server, subscribe, token } from "./harness.mjs";

const ONE_SECOND_MS = 1000;
KEYS.security = "e2e-security-key-0123456789abcdef";

const config = (config) => ({
  ...config,
  api_keys: [...config.api_keys, { name: "security", key: KEYS.security, may: ["revoke"] }],
});
const revoke = (node, body) => node.post("/v1/revoke", body, { key: KEYS.security });

// What a client was told, and why it was disconnected.
async function ended(socket) {
  const [[told], [reason]] = await Promise.all([next(socket, "tidegate"), next(socket, "disconnect")]);
  return { told, reason };
}

describe("two nodes on a Redis, each with a store of its own", () => {
  let cluster, a, b;
  before(async () => {
    cluster = await Cluster.start({ config });
    [a, b] = cluster.nodes;
  });
  after(() => cluster?.stop());

  test("a revoked user's sessions end on both within a second, and no node lets the credential in", async () => {
    const old = token("u1", { iat: now() - 10 });
    const sockets = await Promise.all([a, b].map((node) => node.connect({ token: old })));
    const ends = sockets.map(ended);
    const began = Date.now();
    const { status, body } = await revoke(a, { user: "u1" });
    assert.equal(status, 202);
    assert.equal(body.here.sessions, 1, "what ended on the node that was asked");
    for (const end of ends) {
      assert.deepEqual(await end, { told: { type: "revoked", reason: "token_revoked" }, reason: "io server disconnect" });
    }
    const took = Date.now() - began;
    assert.ok(took < ONE_SECOND_MS, `${took} ms`);
    for (const node of [a, b]) assert.equal(await node.refused({ token: old }), "token_revoked");
    await b.connect({ token: token("u1", { iat: now() + 5 }) });
  });

  test("a revoked subscription is left on both, and each node acts once", async () => {
    const sockets = await Promise.all([a, b].map((node) => node.connect({ token: token("u2") })));
    for (const socket of sockets) await subscribe(socket, "e2e.room.left");
    const told = sockets.map((socket) => next(socket, "tidegate"));
    const taken = [a, b].map((node) => node.logged("revocation.taken"));
    const { body } = await revoke(b, { user: "u2", topic: "e2e.room.left" });
    for (const event of told) {
      assert.deepEqual(await event, [{ type: "revoked", channel: "e2e.room.left", reason: "forbidden" }]);
    }
    const [heard, asked] = await Promise.all(taken);
    assert.deepEqual([heard.from, asked.from], ["broker", "http"]);
    assert.deepEqual([heard.id, asked.id], [body.revocation.id, body.revocation.id]);
    // Whoever is told subscribes again and stays: the word that comes back to the node that sent it does nothing.
    for (const socket of sockets) await subscribe(socket, "e2e.room.left");
    const more = sockets.map((socket) => collect(socket, "tidegate"));
    await revoke(b, { token: "nobody's" });
    await until("the next word", async () => /from="broker"\} [2-9]/.test((await a.get("/metrics")).text));
    for (const { received } of more) assert.deepEqual(received, []);
  });

  test("a node that starts later knows", async () => {
    assert.equal((await revoke(a, { token: "lost" })).status, 202);
    const late = await Server.start({ plugins: false, config: cluster.config });
    await until("it to be ready", async () => (await late.get("/readyz")).status === 200);
    assert.equal(await late.refused({ token: token("u3", { jti: "lost" }) }), "token_revoked");
    await late.connect({ token: token("u3", { jti: "kept" }) });
    await late.stop();
  });

  test("while Redis is away it is in force on the node that was asked, which says so, and soon after on the other", async () => {
    const sockets = await Promise.all([a, b].map((node) => node.connect({ token: token("u4", { jti: "t4" }) })));
    const [here, there] = sockets.map(ended);
    await cluster.redis.kill();
    const { status, body } = await revoke(a, { token: "t4" });
    assert.equal(status, 503);
    assert.equal(body.error.details.here.sessions, 1);
    assert.equal((await here).told.reason, "token_revoked");
    assert.ok(sockets[1].connected);
    await cluster.redis.restart();
    assert.equal((await there).told.reason, "token_revoked");
  });
});
