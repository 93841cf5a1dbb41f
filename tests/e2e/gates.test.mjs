// Each gate refuses what it should, and answers whatever a client sends.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { ask, next, now, Server, subscribe, TRANSPORTS, token, within } from "@tidegate/kit/harness.mjs";

const deep = (levels) => {
  let value = 0;
  for (let level = 0; level < levels; level++) value = [value];
  return value;
};

const HOSTILE = {
  "nothing": [],
  "null": [null],
  "a number": [7],
  "a string": ["text"],
  "a boolean": [true],
  "an array": [[1, 2, 3]],
  "an empty object": [{}],
  "an object of other fields": [{ __proto__: null, constructor: 1, channel: 7, token: {}, n: "x" }],
  "ten arguments": [1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
  "binary": [Buffer.from([1, 2, 3])],
  "binary inside": [{ channel: Buffer.from("realtime-ping"), n: Buffer.from([1]) }],
  "1 MB": ["x".repeat(1_000_000)],
  "a deep nesting": [deep(1_000)],
};

for (const transport of TRANSPORTS) {
  describe(`gates, over ${transport}`, () => {
    let server;
    before(async () => {
      const config = (config) => ({ ...config, limits: { ...config.limits, subscriptions_per_connection: 4 } });
      server = await Server.start({ config });
    });
    after(() => server?.stop());

    const refused = (options) => server.refused({ transport, ...options });
    const connect = (user, claims) =>
      server.connect({ transport, token: user === undefined ? undefined : token(user, claims) });
    const code = async (socket, event, ...args) => (await ask(socket, event, ...args)).error?.code;

    test("gate 1 refuses an expired token", async () => {
      assert.equal(await refused({ token: token("u1", { exp: now() - 3600 }) }), "token_expired");
    });

    test("gate 1 refuses a token that was tampered with, unsigned or signed with another key", async () => {
      const [head, , signature] = token("u1").split(".");
      const claims = Buffer.from(JSON.stringify({ sub: "admin", exp: now() + 3600 })).toString("base64url");
      for (const bad of [
        `${head}.${claims}.${signature}`,
        token("u1", {}, { alg: "none" }),
        token("u1", {}, { secret: "another secret, which is just as long as the right one is" }),
        "garbage",
        7,
        { token: "nested" },
      ]) {
        assert.equal(await refused({ token: bad }), "unauthenticated", JSON.stringify(bad));
      }
    });

    test("gate 1 takes the token as bearer or cookie, too, and refuses a bad one there", async () => {
      for (const header of [(value) => ({ Authorization: `Bearer ${value}` }), (value) => ({ Cookie: `session=${value}` })]) {
        const socket = await server.connect({ transport, extraHeaders: header(token("u1")) });
        await subscribe(socket, "e2e.inbox.u1");
        assert.equal(await refused({ extraHeaders: header("garbage") }), "unauthenticated");
      }
    });

    test("gate 1 refuses pages of origins that are not listed", async () => {
      assert.equal(await refused({ extraHeaders: { Origin: "https://evil.example" } }), "forbidden");
      await server.connect({ transport, extraHeaders: { Origin: "https://app.example.com" } });
      await server.connect({ transport, extraHeaders: { Origin: server.url } });
    });

    test("gate 2 tells an undeclared topic from one that is not allowed", async () => {
      const anonymous = await connect();
      await subscribe(anonymous, "e2e.open");
      assert.equal(await code(anonymous, "subscribe", { channel: "e2e.nothing" }), "unknown_channel");
      assert.equal(await code(anonymous, "subscribe", { channel: "e2e.room.1" }), "unauthenticated");
      assert.equal(await code(anonymous, "subscribe", { channel: "subscribe" }), "unknown_channel");
      const u1 = await connect("u1");
      await subscribe(u1, "e2e.inbox.u1");
      assert.equal(await code(u1, "subscribe", { channel: "e2e.inbox.u2" }), "forbidden");
      assert.equal(await code(u1, "subscribe", { channel: "e2e.inbox" }), "unknown_channel");
      assert.equal(await code(u1, "subscribe", { channel: "e2e.inbox.u1.more" }), "unknown_channel");
      assert.equal(await code(u1, "subscribe", { channel: "e2e.editors" }), "forbidden");
      await subscribe(await connect("u2", { roles: ["editor"] }), "e2e.editors");
    });

    test("gate 2 asks the authorizer after the scope", async () => {
      await subscribe(await connect("alice"), "vault.v1");
      assert.equal(await code(await connect("mallory"), "subscribe", { channel: "vault.v1" }), "forbidden");
      assert.equal(await code(await connect(), "subscribe", { channel: "vault.v1" }), "unauthenticated");
    });

    test("gate 2 keeps a connection to its number of subscriptions", async () => {
      const socket = await connect("u1");
      for (const room of [1, 2, 3, 4]) await subscribe(socket, `e2e.room.${room}`);
      assert.equal(await code(socket, "subscribe", { channel: "e2e.room.5" }), "too_many_subscriptions");
      await subscribe(socket, "e2e.room.4");
      assert.equal((await ask(socket, "unsubscribe", { channel: "e2e.room.1" })).ok, true);
      await subscribe(socket, "e2e.room.5");
    });

    test("gate 3 refuses what is not held, not declared, not taken, not in the schema, too large, too much", async () => {
      const socket = await connect("u1");
      assert.equal(await code(socket, "realtime-ping", { n: 1 }), "not_subscribed");
      assert.equal(await code(socket, "e2e.nothing", { n: 1 }), "unknown_channel");
      await subscribe(socket, "e2e.inbox.u1");
      assert.equal(await code(socket, "e2e.inbox.u1", { text: "to myself" }), "no_handler");
      await subscribe(socket, "realtime-ping");
      const { error } = await ask(socket, "realtime-ping", { n: "one" });
      assert.equal(error.code, "invalid_payload");
      assert.equal(error.retry, false);
      assert.equal(error.details.violations[0].path, "/n");
      await subscribe(socket, "e2e.open");
      assert.equal(await code(socket, "e2e.open", "x".repeat(66_000)), "payload_too_large");
      assert.equal((await ask(socket, "e2e.open", "x".repeat(60_000))).ok, true);
      await subscribe(socket, "e2e.slow");
      const outcomes = [];
      for (const n of [1, 2, 3, 4]) outcomes.push((await ask(socket, "e2e.slow", { n })).error?.code ?? "ok");
      assert.deepEqual(outcomes, ["ok", "ok", "ok", "rate_limited"]);
    });

    for (const [what, args] of Object.entries(HOSTILE)) {
      test(`whatever is sent is answered: ${what}`, async () => {
        const socket = await connect("u1");
        await subscribe(socket, "realtime-ping");
        for (const event of ["subscribe", "unsubscribe", "authenticate", "realtime-ping", "e2e.nothing", "", " ", "tidegate"]) {
          const ack = await ask(socket, event, ...args);
          assert.equal(ack.ok, false, event);
          assert.equal(typeof ack.error.code, "string");
          assert.equal(typeof ack.error.message, "string");
          assert.equal(typeof ack.error.retry, "boolean");
        }
        assert.deepEqual((await ask(socket, "realtime-ping", { n: 5 })).reply, { pong: 5 });
      });
    }

    test("a nesting deeper than any client can write is answered", async () => {
      const socket = await connect("u1");
      await subscribe(socket, "e2e.open");
      const nested = "[".repeat(30_000) + "]".repeat(30_000);
      for (const [id, event] of Object.entries({ 9001: "e2e.open", 9002: "subscribe", 9003: "authenticate" })) {
        const acked = new Promise((resolve) => (socket.acks[id] = resolve));
        socket.io.engine.write(`2${id}["${event}",${nested}]`);
        const ack = await within(`ack of ${event}`, acked);
        assert.equal(ack.error.code, "invalid_payload", event);
      }
    });

    test("a refused event without an ack is told on `tidegate`", async () => {
      const socket = await connect("u1");
      const told = next(socket, "tidegate");
      socket.emit("e2e.nothing", 1);
      const [event] = await told;
      assert.equal(event.type, "error");
      assert.equal(event.event, "e2e.nothing");
      assert.equal(event.error.code, "unknown_channel");
    });

    test("an event whose name is no text ends the transport, and the client comes back", async () => {
      const socket = await connect("u1");
      const gone = next(socket, "disconnect");
      const back = next(socket, "connect");
      socket.emit(7, "x");
      assert.match((await gone)[0], /^transport/);
      await back;
    });

    test("more events at once than the queue takes are each answered", async () => {
      const socket = await connect("u1");
      await subscribe(socket, "e2e.room.9");
      const acks = await Promise.all(Array.from({ length: 1000 }, (_, n) => ask(socket, "e2e.room.9", { n })));
      const codes = new Set(acks.map((ack) => ack.error?.code ?? "ok"));
      assert.ok(codes.has("ok"));
      codes.delete("ok");
      codes.delete("rate_limited");
      assert.deepEqual([...codes], []);
    });

    test("a malformed packet ends its own client and touches no other", async () => {
      const [bad, good] = [await connect("u1"), await connect("u2")];
      await subscribe(good, "realtime-ping");
      const gone = next(bad, "disconnect");
      bad.io.engine.write("9not a packet");
      await gone;
      assert.deepEqual((await ask(good, "realtime-ping", { n: 6 })).reply, { pong: 6 });
    });
  });
}

describe("gate 1 without anonymous connections", () => {
  let server;
  before(async () => {
    server = await Server.start({ config: (config) => ({ ...config, auth: { ...config.auth, anonymous: "deny" } }) });
  });
  after(() => server?.stop());

  for (const transport of TRANSPORTS) {
    test(`no credential is refused, a good one is not, over ${transport}`, async () => {
      assert.equal(await server.refused({ transport }), "unauthenticated");
      assert.equal(await server.refused({ transport, token: "" }), "unauthenticated");
      await server.connect({ transport, token: token("u1") });
    });
  }

  test("a refused client is not connected and may try again with another token", async () => {
    const socket = server.client({ token: "garbage" });
    const [error] = await next(socket, "connect_error");
    assert.equal(error.message, "unauthenticated");
    assert.equal(socket.active, false);
    socket.auth = { token: token("u1") };
    const connected = next(socket, "connect");
    socket.connect();
    await within("connect", connected);
  });
});

test("who guesses credentials waits for the next minute, on every way in", async () => {
  const config = (config) => ({ ...config, limits: { ...config.limits, failed_connects: 3 } });
  const server = await Server.start({ config });
  const inside = await server.connect({ token: token("u1") });
  assert.equal(await server.refused({ token: "guess 1" }), "unauthenticated");
  assert.equal((await ask(inside, "authenticate", { token: "guess 2" })).error.code, "unauthenticated");
  assert.equal(await server.refused({ token: token("u1", { exp: now() - 60 }) }), "token_expired");
  assert.equal(await server.refused({ token: "guess 3" }), "unauthenticated");
  // Not even asked about: the transport is refused, so that a client with a good credential comes back later.
  assert.equal(await server.refused({ token: token("u1"), reconnection: false }), "websocket error");
  assert.equal((await ask(inside, "authenticate", { token: token("u1") })).error.code, "rate_limited");
  assert.ok((await ask(inside, "subscribe", { channel: "e2e.open" })).ok, "who is in stays in");
  const { text } = await server.get("/metrics");
  assert.match(text, /tidegate_connections_refused_total\{code="rate_limited"\} 1/);
  await server.stop();
});
