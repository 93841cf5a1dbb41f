// Sessions that end in time: told ahead, renewed, over; revoked by a backend, or by an event on the bus.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";

import { ask, collect, KEYS, next, now, Server, subscribe, TRANSPORTS, token, within } from "@tidegate/kit/harness.mjs";
import { components } from "@tidegate/kit/paths.mjs";

const ONE_SECOND_MS = 1000;
// For how long the authorizer `fickle` grants its first yes.
const GRANT_MS = 1500;

// The reason a client was disconnected for, and what it was told before.
async function ended(socket) {
  const told = [];
  socket.on("tidegate", (event) => told.push(event));
  const [reason] = await next(socket, "disconnect");
  return { reason, told };
}

// A stock client that was sent away stays away.
function staysAway(socket) {
  assert.equal(socket.active, false);
  assert.equal(socket.connected, false);
}

const config = (config) => ({
  ...config,
  auth: { ...config.auth, expiring_ahead: "1s" },
  api_keys: [...config.api_keys, { name: "security", key: KEYS.security, may: ["revoke"] }],
});
KEYS.security = "e2e-security-key-0123456789abcdef";

for (const transport of TRANSPORTS) {
  describe(`a session ends in time, over ${transport}`, () => {
    let server;
    before(async () => {
      server = await Server.start({ config });
    });
    after(() => server?.stop());

    const connect = (user, claims) => server.connect({ transport, token: token(user, claims) });
    const revoke = (body) => server.post("/v1/revoke", body, { key: KEYS.security });

    test("it is told ahead, and over when its credential is", async () => {
      const exp = now() + 3;
      const socket = await connect("u1", { iat: now() - 100, exp });
      await subscribe(socket, "e2e.open");
      const end = ended(socket);
      const { reason, told } = await end;
      const late = Date.now() - exp * 1000;
      assert.equal(reason, "io server disconnect");
      assert.deepEqual(told, [{ type: "expiring", expires_at: exp, expires_in: 1 }, { type: "expired" }]);
      assert.ok(late >= 0 && late < ONE_SECOND_MS, `${late} ms after its time`);
      staysAway(socket);
      assert.equal(await server.refused({ transport, token: token("u1", { exp }) }), "token_expired");
    });

    test("it goes on when it is renewed, and ends with the new credential", async () => {
      const socket = await connect("u2", { iat: now() - 100, exp: now() + 2 });
      await subscribe(socket, "e2e.inbox.u2");
      const [told] = await next(socket, "tidegate");
      assert.equal(told.type, "expiring");
      const exp = now() + 4;
      assert.deepEqual(await ask(socket, "authenticate", { token: token("u2", { iat: now() - 100, exp }) }), {
        ok: true, expires_at: exp,
      });
      const end = ended(socket);
      const [again] = await next(socket, "tidegate");
      assert.deepEqual(again, { type: "expiring", expires_at: exp, expires_in: 1 });
      assert.ok(socket.connected, "the first credential is over, the session is not");
      assert.deepEqual((await end).told, [again, { type: "expired" }]);
      assert.ok(Date.now() >= exp * 1000);
    });

    test("another user's token ends it, once that was answered", async () => {
      const socket = await connect("u3");
      await subscribe(socket, "e2e.inbox.u3");
      const end = ended(socket);
      const ack = await ask(socket, "authenticate", { token: token("u4") });
      assert.equal(ack.error.code, "forbidden");
      assert.deepEqual(await end, { reason: "io server disconnect", told: [{ type: "revoked", reason: "forbidden" }] });
      staysAway(socket);
    });

    test("a revoked user's sessions end within a second and come back with a later token only", async () => {
      const old = token("u5", { iat: now() - 10 });
      const sockets = [await server.connect({ transport, token: old }), await connect("u5"), await connect("u6")];
      const ends = sockets.slice(0, 2).map(ended);
      const began = Date.now();
      const { status, body } = await revoke({ user: "u5", reason: "left the company" });
      assert.equal(status, 202);
      assert.deepEqual(body.here, { sessions: 2, subscriptions: 0, rechecked: 0 });
      for (const end of ends) {
        assert.deepEqual(await end, {
          reason: "io server disconnect", told: [{ type: "revoked", reason: "token_revoked" }],
        });
      }
      assert.ok(Date.now() - began < ONE_SECOND_MS);
      sockets.slice(0, 2).forEach(staysAway);
      assert.ok(sockets[2].connected);
      assert.equal(await server.refused({ transport, token: old }), "token_revoked");
      assert.equal(await server.refused({ transport: "polling", token: old }), "token_revoked");
      await connect("u5", { iat: now() + 2 });
    });

    test("a revoked token ends its sessions and no other's", async () => {
      const [mine, others] = [await connect("u7", { jti: `t-${transport}` }), await connect("u7", { jti: "other" })];
      const end = ended(mine);
      assert.deepEqual((await revoke({ token: `t-${transport}` })).body.here.sessions, 1);
      assert.equal((await end).told[0].reason, "token_revoked");
      assert.ok(others.connected);
      assert.equal(await server.refused({ transport, token: token("u7", { jti: `t-${transport}` }) }), "token_revoked");
      const renewed = await ask(others, "authenticate", { token: token("u7", { jti: `t-${transport}` }) });
      assert.equal(renewed.error.code, "token_revoked");
    });

    test("a revoked subscription is left by whom it is about; the rest goes on, and it may be had again", async () => {
      const [alice, bob] = [await connect("u8"), await connect("u9")];
      for (const socket of [alice, bob]) {
        await subscribe(socket, "e2e.open");
        await subscribe(socket, "e2e.room.r1");
      }
      const told = next(alice, "tidegate");
      const { body } = await revoke({ user: "u8", topic: "e2e.room.r1" });
      assert.deepEqual(body.here, { sessions: 0, subscriptions: 1, rechecked: 1 });
      assert.deepEqual(await told, [{ type: "revoked", channel: "e2e.room.r1", reason: "forbidden" }]);
      const [missed, got] = [collect(alice, "e2e.room.r1"), collect(bob, "e2e.room.r1")];
      await server.publish("e2e.room.r1", { n: 1 });
      await got.count(1);
      const open = next(alice, "e2e.open");
      await server.publish("e2e.open", { goes: "on" });
      assert.deepEqual((await open)[0], { goes: "on" });
      assert.deepEqual(missed.received, []);
      await subscribe(alice, "e2e.room.r1");

      const both = [next(alice, "tidegate"), next(bob, "tidegate")];
      assert.equal((await revoke({ topic: "e2e.room.r1" })).body.here.subscriptions, 2);
      for (const [event] of await Promise.all(both)) assert.equal(event.channel, "e2e.room.r1");
    });
  });
}

const BRIDGE = `
rules:
  - on: member.removed
    revoke: e2e.room.{room}
    params: { room: event.data.room }
    user: event.data.user
  - { on: room.closed, revoke: "e2e.room.{room}", params: { room: event.data.room } }
`;

describe("an event that a bridge rule lists revokes", () => {
  let server;
  before(async () => {
    const files = (directory) => writeFileSync(join(directory, "config/bridge.yaml"), BRIDGE);
    server = await Server.start({ config, files });
  });
  after(() => server?.stop());

  const send = (type, data) =>
    server.post("/v1/events", { specversion: "1.0", id: String(Math.random()), source: "/e2e", type, data });

  test("one user's subscription, or everybody's", async () => {
    const [alice, bob] = await Promise.all(["alice", "bob"].map((user) => server.connect({ token: token(user) })));
    for (const socket of [alice, bob]) await subscribe(socket, "e2e.room.1");
    const told = next(alice, "tidegate");
    const began = Date.now();
    assert.equal((await send("member.removed", { room: "1", user: "alice" })).status, 202);
    assert.deepEqual(await told, [{ type: "revoked", channel: "e2e.room.1", reason: "forbidden" }]);
    assert.ok(Date.now() - began < ONE_SECOND_MS);
    const got = next(bob, "e2e.room.1");
    await server.publish("e2e.room.1", { n: 1 });
    assert.deepEqual((await got)[0], { n: 1 });
    const closed = next(bob, "tidegate");
    await send("room.closed", { room: "1" });
    assert.equal((await closed)[0].channel, "e2e.room.1");
  });

  test("nobody's when it does not say whose: it is a dead letter", async () => {
    const alice = await server.connect({ token: token("alice") });
    await subscribe(alice, "e2e.room.2");
    const buried = server.logged("bridge.dead_letter");
    await send("member.removed", { room: "2" });
    assert.match((await buried).reason, /`user`/);
    const got = next(alice, "e2e.room.2");
    await server.publish("e2e.room.2", { n: 2 });
    assert.deepEqual((await got)[0], { n: 2 });
  });
});

test("a membership that ended in the database takes effect when the authorizer's grant is over", async () => {
  const server = await Server.start({ config });
  await server.reload(() => server.plugin("vault-members", components.fickle));
  const alice = await server.connect({ token: token("alice") });
  const began = Date.now();
  await subscribe(alice, "vault.v1");
  const [told] = await next(alice, "tidegate");
  const took = Date.now() - began;
  assert.deepEqual(told, { type: "revoked", channel: "vault.v1", reason: "forbidden" });
  assert.ok(took > 0.9 * GRANT_MS - 50 && took < GRANT_MS + ONE_SECOND_MS, `${took} ms after it was granted`);
  assert.match((await server.get("/metrics")).text, /tidegate_reauthorized_total\{channel="vault.\{vaultId\}",outcome="lost"\} 1/);
  await server.stop();
});

test("what was revoked is known after a restart", async () => {
  const first = await Server.start({ config });
  const [mine, other] = [token("u1", { jti: "lost" }), token("u2", { iat: now() - 5 })];
  for (const body of [{ token: "lost" }, { user: "u2" }]) {
    assert.equal((await first.post("/v1/revoke", body, { key: KEYS.security })).status, 202);
  }
  first.signal("SIGKILL");
  await first.ended();
  const again = await Server.start({ directory: first.directory });
  assert.equal(await again.refused({ token: mine }), "token_revoked");
  assert.equal(await again.refused({ token: other }), "token_revoked");
  await again.connect({ token: token("u3") });
  await again.stop();
});

test("a client that does not go is cut", async () => {
  const server = await Server.start({ config });
  const { default: WebSocket } = await import("ws");
  const raw = new WebSocket(`${server.url.replace("http", "ws")}/socket.io/?EIO=4&transport=websocket`);
  const closed = new Promise((resolve) => raw.once("close", resolve));
  const connected = new Promise((resolve) => {
    raw.on("message", (data) => {
      if (String(data) === "2") raw.send("3");
      if (String(data).startsWith("0")) raw.send(`40${JSON.stringify({ token: token("u1") })}`);
      if (String(data).startsWith("40")) resolve();
    });
  });
  await within("connect", connected);
  assert.equal((await server.post("/v1/revoke", { user: "u1" }, { key: KEYS.security })).body.here.sessions, 1);
  await within("close", closed);
  await server.stop();
});
