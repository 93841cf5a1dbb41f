// The first minute: connect, subscribe, send, receive.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { ask, next, Server, TRANSPORTS, token } from "@tidegate/kit/harness.mjs";

describe("realtime-ping", () => {
  let server;
  before(async () => {
    server = await Server.start();
  });
  after(() => server?.stop());

  for (const transport of TRANSPORTS) {
    test(`a client with a session token pings and receives the pong, over ${transport}`, async () => {
      const socket = await server.connect({ token: token("u1"), transport });
      assert.deepEqual(await ask(socket, "subscribe", { channel: "realtime-ping" }), {
        ok: true,
        channel: "realtime-ping",
        params: {},
      });
      const publication = next(socket, "realtime-ping");
      assert.deepEqual(await ask(socket, "realtime-ping", { n: 1 }), { ok: true, reply: { pong: 1 } });
      assert.deepEqual(await publication, [{ pong: 1 }, {}]);
      assert.deepEqual(await ask(socket, "unsubscribe", { channel: "realtime-ping" }), {
        ok: true,
        channel: "realtime-ping",
      });
      assert.equal((await ask(socket, "realtime-ping", { n: 2 })).error.code, "not_subscribed");
    });
  }

  test("a client that begins with polling and upgrades loses nothing", async () => {
    const { socket, upgraded } = await server.connectUpgrading({ token: token("u2") });
    assert.equal((await ask(socket, "subscribe", { channel: "realtime-ping" })).ok, true);
    const before = next(socket, "realtime-ping");
    assert.deepEqual((await ask(socket, "realtime-ping", { n: 3 })).reply, { pong: 3 });
    assert.deepEqual((await before)[0], { pong: 3 });
    await upgraded;
    const afterwards = next(socket, "realtime-ping");
    assert.deepEqual((await ask(socket, "realtime-ping", { n: 4 })).reply, { pong: 4 });
    assert.deepEqual((await afterwards)[0], { pong: 4 });
    assert.equal(socket.io.engine.transport.name, "websocket");
  });

  test("what is sent with the connect event is not lost", async () => {
    const socket = server.client({ token: token("u3") });
    const ack = new Promise((resolve) => {
      socket.once("connect", () => socket.emit("subscribe", { channel: "realtime-ping" }, resolve));
    });
    assert.equal((await ack).ok, true);
  });

  test("an anonymous connection signs in without reconnecting", async () => {
    const socket = await server.connect();
    assert.equal((await ask(socket, "subscribe", { channel: "realtime-ping" })).error.code, "unauthenticated");
    const renewed = await ask(socket, "authenticate", { token: token("u4", { exp: 4102444800 }) });
    assert.deepEqual(renewed, { ok: true, expires_at: 4102444800 });
    assert.equal((await ask(socket, "subscribe", { channel: "realtime-ping" })).ok, true);
    assert.equal((await ask(socket, "authenticate", { token: token("somebody else") })).error.code, "forbidden");
  });
});
