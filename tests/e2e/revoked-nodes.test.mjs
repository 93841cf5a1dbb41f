// What is revoked on one node is revoked on all of them, within a second, and on those that start later.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";

import { Cluster, until } from "@tidegate/kit/cluster.mjs";
import { collect, KEYS, next, now, Server, subscribe, token } from "@tidegate/kit/harness.mjs";
import { RedisLink } from "@tidegate/kit/redis-link.mjs";

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

  const heard = async (node) => Number(/tidegate_revocations_total\{from="broker"\} (\d+)/.exec((await node.get("/metrics")).text)?.[1] ?? 0);

  for (const ahead of [3, 30, 300]) {
    test(`with an issuer whose clock is ${ahead} s ahead a session of before ends, its token is refused on both, and a new one is let in`, async () => {
      const user = `ahead-${ahead}`;
      const issued = (age) => token(user, { iat: now() + ahead + age, jti: `${user} ${age}` });
      const old = issued(-1);
      // Seen by one node, revoked and brought to the other.
      const end = ended(await b.connect({ token: old }));
      const before = await heard(a);
      assert.equal((await revoke(a, { user })).status, 202);
      assert.deepEqual(await end, { told: { type: "revoked", reason: "token_revoked" }, reason: "io server disconnect" });
      await until("the other's word", async () => (await heard(a)) > before);
      for (const node of [a, b]) {
        assert.equal(await node.refused({ token: old }), "token_revoked");
        await node.connect({ token: issued(0) });
      }
    });
  }

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

const BRIDGE = `
rules:
  - on: member.removed
    revoke: e2e.room.{room}
    params: { room: event.data.room }
    user: event.data.user
  - { on: user.blocked, end_sessions: { user: event.data.user } }
`;

describe("two nodes on a Redis, each of which reads the events that revoke", () => {
  const ROUNDS = 40;
  let cluster, a, b, link;
  let events = 0;
  before(async () => {
    const reading = (config, index, { redis }) => ({
      ...config, node: `n${index}`, bus: [{ redis: { url: redis.url, stream: "members" } }],
    });
    const files = (directory) => writeFileSync(join(directory, "config/bridge.yaml"), BRIDGE);
    cluster = await Cluster.start({ config: reading, files });
    [a, b] = cluster.nodes;
    await Promise.all(cluster.nodes.map((node) => node.printed("bus.back")));
    link = await RedisLink.open(cluster.redis.url);
  });
  after(async () => {
    link?.close();
    await cluster?.stop();
  });

  async function happens(type, data) {
    events += 1;
    const event = { specversion: "1.0", id: String(events), source: "/members", type, data };
    await link.ask("XADD", "members", "*", "event", JSON.stringify(event));
  }

  test("who is let in again when told stays in: one event revokes once", async () => {
    const sockets = await Promise.all([a, b, a, b].map((node) => node.connect({ token: token("u5") })));
    const told = sockets.map((socket) => collect(socket, "tidegate"));
    let again = 0;
    // As an application does that takes a member out and in again, and a page that subscribes again when told.
    for (const socket of sockets) {
      await subscribe(socket, "e2e.room.again");
      socket.on("tidegate", async () => {
        await subscribe(socket, "e2e.room.again");
        again += 1;
      });
    }
    for (let round = 1; round <= ROUNDS; round += 1) {
      await happens("member.removed", { room: "again", user: "u5" });
      await until(`round ${round}`, () => again >= round * sockets.length);
    }
    const crossed = new RegExp(`tidegate_bridge_events_total\\{on="member.removed",.*outcome="revoked"\\} ${ROUNDS}\\b`);
    for (const node of [a, b]) await until("both to have read all", async () => crossed.test((await node.get("/metrics")).text));
    // Whatever one node still has to say to the other comes before this.
    await happens("member.removed", { room: "other", user: "u5" });
    const others = await b.connect({ token: token("u6") });
    const gone = next(others, "disconnect");
    await happens("user.blocked", { user: "u6" });
    await gone;
    assert.deepEqual(told.map(({ received }) => received.length), sockets.map(() => ROUNDS));
    for (const socket of sockets) socket.close();
  });

  test("an event ends the sessions of a user on both, and who logs in again is let in", async () => {
    const old = token("u7", { iat: now() - 10 });
    const sockets = await Promise.all([a, b].map((node) => node.connect({ token: old })));
    const ends = sockets.map(ended);
    await happens("user.blocked", { user: "u7" });
    for (const end of ends) {
      assert.deepEqual(await end, { told: { type: "revoked", reason: "token_revoked" }, reason: "io server disconnect" });
    }
    for (const node of [a, b]) {
      assert.equal(await node.refused({ token: old }), "token_revoked");
      await node.connect({ token: token("u7", { iat: now() + 5 }) });
    }
  });
});
