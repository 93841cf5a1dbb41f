// Clients behind proxies that do as they like, and requests that only a proxy or a hand could have made.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";

import { io } from "socket.io-client";

import { Haproxy, Nginx } from "@tidegate/kit/balancers.mjs";
import { ask, collect, next, Server, subscribe, token, TRANSPORTS } from "@tidegate/kit/harness.mjs";
import { answer } from "@tidegate/kit/http-answer.mjs";
import { HarmfulProxy, HARMS } from "@tidegate/kit/proxies.mjs";

const PUBLICATIONS = 28;
// Over more time than the server waits for the end of an upgrade.
const PUBLISHED_EVERY_MS = 130;

describe("a proxy that opens websockets and then breaks them", { concurrency: true }, () => {
  let server;
  before(async () => {
    const config = (config) => ({ ...config, transport: { upgrade_timeout: "2s" } });
    server = await Server.start({ config, plugins: false });
  });
  after(() => server?.stop());

  for (const [index, [what, harm]] of Object.entries(HARMS).entries()) {
    test(`the stock client stays in one session, polls seldom and receives everything, where it ${what}`, async () => {
      const proxy = await HarmfulProxy.start(server.address, harm);
      const socket = io(proxy.url, { forceNew: true, auth: { token: token(`u${index}`) } });
      try {
        await next(socket, "connect");
        const session = socket.io.engine.id;
        socket.on("disconnect", (reason) => assert.fail(reason));
        const topic = `e2e.room.harm${index}`;
        await subscribe(socket, topic);
        const inbox = collect(socket, topic);
        const began = Date.now();
        for (let n = 0; n < PUBLICATIONS; n += 1) {
          assert.equal((await server.publish(topic, { n })).status, 202);
          await pause(PUBLISHED_EVERY_MS);
        }
        const numbers = (await inbox.count(PUBLICATIONS)).map(({ n }) => n);
        const seconds = (Date.now() - began) / 1000;
        assert.deepEqual(numbers, Array.from({ length: PUBLICATIONS }, (_, n) => n));
        assert.equal(proxy.websockets, 1);
        assert.equal(socket.io.engine.transport.name, "polling");
        assert.equal(socket.io.engine.id, session);
        // One for each publication, and some to let go of an upgrade that is under way.
        assert.ok(proxy.polls <= PUBLICATIONS + 20 * seconds, `${proxy.polls} polls in ${seconds} s`);
        assert.equal((await ask(socket, topic, { n: 0 })).ok, true);
      } finally {
        socket.removeAllListeners();
        socket.close();
        proxy.stop();
      }
    });
  }
});

describe("a request for a websocket", () => {
  let server;
  before(async () => {
    server = await Server.start({ plugins: false });
  });
  after(() => server?.stop());

  const WEBSOCKET = {
    connection: "upgrade", upgrade: "websocket", "sec-websocket-version": "13", "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
  };
  const asks = (headers) => answer(`${server.url}/socket.io/?EIO=4&transport=websocket`, headers);

  test("without `Upgrade` is a bad request", async () => {
    const { connection, upgrade, ...headers } = WEBSOCKET;
    assert.equal((await asks(headers)).status, 400);
    assert.equal((await asks({ ...headers, connection })).status, 400);
  });

  test("of another version is told which one is served", async () => {
    const { status, headers } = await asks({ ...WEBSOCKET, "sec-websocket-version": "8" });
    assert.equal(status, 426);
    assert.equal(headers["sec-websocket-version"], "13");
  });

  test("that offers a subprotocol gets a websocket without one", async () => {
    const { status, headers } = await asks({ ...WEBSOCKET, "sec-websocket-protocol": "chat, superchat" });
    assert.equal(status, 101);
    assert.equal(headers["sec-websocket-protocol"], undefined);
  });
});

describe("a client that subscribes to everything at once", () => {
  let server;
  before(async () => {
    const config = (config) => ({ ...config, limits: { ...config.limits, subscriptions_per_connection: 1000 } });
    server = await Server.start({ config, plugins: false });
  });
  after(() => server?.stop());

  for (const transport of TRANSPORTS) {
    test(`is answered 350 times with yes, over ${transport}`, async () => {
      const socket = await server.connect({ token: token("u1"), transport });
      const rooms = Array.from({ length: 350 }, (_, n) => `e2e.room.r${n}`);
      const acks = await Promise.all(rooms.map((channel) => ask(socket, "subscribe", { channel })));
      assert.deepEqual(acks.filter(({ ok }) => !ok), []);
      assert.deepEqual(acks.map(({ channel }) => channel), rooms);
    });
  }
});

describe("a server below a path of a proxy", () => {
  let server;
  before(async () => {
    server = await Server.start({ plugins: false });
  });
  after(() => server?.stop());

  for (const [name, Proxy] of [["nginx", Nginx], ["HAProxy", Haproxy]]) {
    test(`serves stock clients through ${name}, by polling and by a websocket after it`, async () => {
      const proxy = await Proxy.start(server.address);
      const sockets = [["polling"], ["polling", "websocket"]].map((transports) =>
        io(`http://127.0.0.1:${proxy.port}`, { path: "/live/socket.io/", forceNew: true, transports, auth: { token: token(name) } }),
      );
      try {
        const [, upgrading] = sockets;
        const upgraded = next(upgrading.io.engine, "upgrade");
        await Promise.all(sockets.map((socket) => next(socket, "connect")));
        await upgraded;
        await Promise.all(sockets.map((socket) => subscribe(socket, "e2e.room.proxied")));
        const arrivals = sockets.map((socket) => next(socket, "e2e.room.proxied"));
        assert.equal((await server.publish("e2e.room.proxied", { n: 1 })).status, 202);
        for (const [payload] of await Promise.all(arrivals)) assert.deepEqual(payload, { n: 1 });
        for (const socket of sockets) assert.deepEqual(await ask(socket, "e2e.room.proxied", { n: 2 }), { ok: true });
      } finally {
        for (const socket of sockets) socket.close();
        await proxy.stop();
      }
    });
  }
});
