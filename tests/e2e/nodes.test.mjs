// Two and three nodes on a real Redis or a real NATS: who receives what across them, and what is told when something goes away.

import assert from "node:assert/strict";
import { chmodSync, copyFileSync } from "node:fs";
import { createServer, request } from "node:http";
import { connect } from "node:net";
import { join } from "node:path";
import tls from "node:tls";
import { once } from "node:events";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { io } from "socket.io-client";

import { BROKERS, Cluster, faults, judge, Load, until } from "@tidegate/kit/cluster.mjs";
import { ask, collect, KEYS, next, Server, subscribe, token, within } from "@tidegate/kit/harness.mjs";
import { repository } from "@tidegate/kit/paths.mjs";
import { RedisLink } from "@tidegate/kit/redis-link.mjs";
import { RedisServer } from "@tidegate/kit/services.mjs";

for (const broker of Object.keys(BROKERS)) {
  describe(`two nodes on ${broker}`, () => {
    let cluster, a, b;
    before(async () => {
      cluster = await Cluster.start({ broker });
      [a, b] = cluster.nodes;
    });
    after(() => cluster?.stop());

    test("what is published on one node reaches the sockets of the other, once and in order", async () => {
      const [here, there] = await Promise.all([a, b].map((node) => node.connect({ token: token("u") })));
      await subscribe(here, "e2e.room.order");
      await subscribe(there, "e2e.room.order");
      const inboxes = [here, there].map((socket) => collect(socket, "e2e.room.order"));
      const numbers = Array.from({ length: 100 }, (_, n) => n);
      for (const n of numbers) assert.equal((await a.publish("e2e.room.order", { n })).status, 202);
      await a.publish("e2e.room.order", { n: -1 });
      for (const inbox of inboxes) assert.deepEqual((await inbox.count(101)).map(({ n }) => n), [...numbers, -1]);
    });

    test("a relay to the others leaves out the sender and nobody else, on every node", async () => {
      const [sender, same, other] = await Promise.all([a, a, b].map((node, index) => node.connect({ token: token(`r${index}`) })));
      for (const socket of [sender, same, other]) await subscribe(socket, "e2e.room.relay");
      const [own, ...inboxes] = [sender, same, other].map((socket) => collect(socket, "e2e.room.relay"));
      for (const n of [1, 2, 3]) assert.equal((await ask(sender, "e2e.room.relay", { n })).ok, true);
      for (const inbox of inboxes) assert.deepEqual(await inbox.count(3), [{ n: 1 }, { n: 2 }, { n: 3 }]);
      // What came back would have come before this.
      await b.publish("e2e.room.relay", { n: 4 });
      assert.deepEqual(await own.count(1), [{ n: 4 }]);
    });

    test("an event sent to one node crosses its bridge to the sockets of both", async () => {
      const [here, there] = await Promise.all([a, b].map((node) => node.connect({ token: token("buyer") })));
      for (const socket of [here, there]) await subscribe(socket, "e2e.inbox.buyer");
      const arrivals = [here, there].map((socket) => next(socket, "e2e.inbox.buyer"));
      const event = { specversion: "1.0", type: "order.shipped", source: "/e2e", id: "1", data: { customer: "buyer", order: "o1" } };
      assert.equal((await a.post("/v1/events", event)).status, 202);
      for (const arrival of arrivals) assert.deepEqual((await arrival)[0], { text: "shipped o1" });
    });

    test("a node hears nothing of topics that nobody there subscribes to", async () => {
      const heard = async () => /^tidegate_broker_heard_total (\d+)$/m.exec((await b.get("/metrics")).text)?.[1];
      const probe = await b.connect({ token: token("probe") });
      await subscribe(probe, "e2e.room.probe");
      const inbox = collect(probe, "e2e.room.probe");
      await a.publish("e2e.room.probe", { n: 1 });
      await inbox.count(1);
      const first = Number(await heard());
      for (let n = 0; n < 20; n += 1) await a.publish("e2e.room.elsewhere", { n });
      await a.publish("e2e.room.probe", { n: 2 });
      await inbox.count(2);
      assert.equal(Number(await heard()), first + 1);
    });

    test("a user has one rate on both nodes", async () => {
      const [here, there] = await Promise.all([a, b].map((node) => node.connect({ token: token("rated") })));
      for (const socket of [here, there]) await subscribe(socket, "e2e.slow");
      const acks = [];
      for (const socket of [here, there, here, there]) acks.push(await ask(socket, "e2e.slow", { n: 1 }));
      assert.deepEqual(acks.map(({ ok, error }) => (ok ? "ok" : error.code)), ["ok", "ok", "ok", "rate_limited"]);
    });
  });
}

for (const broker of Object.keys(BROKERS)) {
  describe(`two nodes whose ${broker} goes away`, () => {
    let cluster, a, b;
    before(async () => {
      cluster = await Cluster.start({ broker });
      [a, b] = cluster.nodes;
    });
    after(() => cluster?.stop());

    test("each serves its own, says what it cannot do, and goes on with the same sockets when it is back", async () => {
      const [here, there] = await Promise.all([a, b].map((node) => node.connect({ token: token("u") })));
      for (const socket of [here, there]) await subscribe(socket, "e2e.room.away");
      const [local, remote] = [here, there].map((socket) => collect(socket, "e2e.room.away"));
      const session = there.id;
      await cluster.broker.kill();
      for (const node of cluster.nodes) await until("not ready", async () => (await node.get("/readyz")).status === 503);
      assert.deepEqual((await a.get("/readyz")).body.error.details, { away: ["broker"] });
      assert.equal((await a.get("/healthz")).status, 200);

      const { status, body: { error } } = await a.publish("e2e.room.away", { n: 1 });
      assert.deepEqual([status, error.code, error.retry], [503, "unavailable", true]);
      assert.match(error.message, /^delivered on this node only/);
      assert.deepEqual(await local.count(1), [{ n: 1 }]);
      assert.equal((await ask(here, "subscribe", { channel: "e2e.room.new" })).error.code, "unavailable");
      const event = { specversion: "1.0", type: "order.shipped", source: "/e2e", id: "2", data: { customer: "u", order: "o2" } };
      assert.equal((await a.post("/v1/events", event)).status, 202);
      const letters = () => a.get("/v1/dead-letters", { key: KEYS.operator });
      await until("a dead letter", async () => (await letters()).body.kept === 1);
      assert.match((await letters()).body.dead_letters[0].reason, /on one node only/);

      const gap = within("gap", new Promise((resolve) => there.on("tidegate", (event) => event.type === "gap" && resolve(event))));
      await cluster.broker.restart();
      assert.deepEqual(await gap, { type: "gap", channel: "e2e.room.away" });
      await cluster.ready();
      assert.equal((await a.publish("e2e.room.away", { n: 2 })).status, 202);
      assert.deepEqual(await remote.count(1), [{ n: 2 }]);
      assert.equal(there.id, session, "the socket was not dropped");
      const [{ id }] = (await letters()).body.dead_letters;
      await subscribe(there, "e2e.inbox.u");
      const arrival = next(there, "e2e.inbox.u");
      assert.equal((await a.post(`/v1/dead-letters/${id}/retry`, {}, { key: KEYS.operator })).status, 202);
      assert.deepEqual((await arrival)[0], { text: "shipped o2" });
    });
  });
}

describe("two nodes whose Redis is full", () => {
  let cluster, a;
  before(async () => {
    cluster = await Cluster.start();
    [a] = cluster.nodes;
  });
  after(() => cluster?.stop());

  test("while it answers and takes nothing they are not ready, say why once, and are back by themselves", async () => {
    const redis = await RedisLink.open(cluster.redis.url);
    const tries = async () => Number(/cmdstat_eval:calls=(\d+)/.exec(await redis.ask("INFO", "commandstats"))?.[1] ?? 0);
    await redis.ask("CONFIG", "SET", "maxmemory", "1");
    for (const node of cluster.nodes) await until("not ready", async () => (await node.get("/readyz")).status === 503);
    const before = await tries();
    await until("them to have tried again", async () => (await tries()) > before + 6);
    for (const node of cluster.nodes) {
      const { status, body } = await node.get("/readyz");
      assert.deepEqual([status, body.error.details], [503, { away: ["broker"] }]);
      const told = node.lines("OOM command not allowed").map((line) => JSON.parse(line));
      assert.deepEqual(told.map((line) => (line.fields ?? line).event), ["broker.away"]);
    }
    assert.equal((await a.publish("e2e.room.full", { n: 1 })).status, 503);
    await redis.ask("CONFIG", "SET", "maxmemory", "0");
    await cluster.ready();
    assert.equal((await a.publish("e2e.room.full", { n: 2 })).status, 202);
    redis.close();
  });
});

// One that speaks TLS only, with the certificate of the tests.
class TlsRedis extends RedisServer {
  static certificate = join(repository, "host/testkit/tls/localhost.crt");

  command() {
    const file = (name) => {
      const copy = join(this.directory, name);
      copyFileSync(join(repository, "host/testkit/tls", name), copy);
      chmodSync(copy, 0o644);
      return copy;
    };
    const tls = ["--tls-cert-file", file("localhost.crt"), "--tls-key-file", file("localhost.key"), "--tls-auth-clients", "no"];
    return [...super.command().map((arg) => (arg === "--port" ? "--tls-port" : arg)), "--port", "0", ...tls];
  }

  ready() {
    return new Promise((resolve) => {
      const socket = tls.connect(this.port, "127.0.0.1", { rejectUnauthorized: false });
      const answer = (isThere) => {
        socket.destroy();
        resolve(isThere);
      };
      socket.on("secureConnect", () => answer(true));
      socket.on("error", () => answer(false));
    });
  }

  get url() {
    return super.url.replace("redis://", "rediss://").replace("127.0.0.1", "localhost");
  }
}

test("the way to Redis can be TLS, and a certificate that nobody trusts leads nowhere", async () => {
  const redis = await new TlsRedis("redis").begin();
  const broker = (config) => ({ ...config, broker: redis.url });
  const trusting = await Server.start({ plugins: false, config: broker, env: { SSL_CERT_FILE: TlsRedis.certificate } });
  try {
    await until("ready", async () => (await trusting.get("/readyz")).status === 200);
    assert.equal((await trusting.publish("e2e.room.tls", { n: 1 })).status, 202);
    const doubting = await Server.start({ plugins: false, config: broker });
    try {
      const why = JSON.parse(await doubting.printed("broker.away"));
      assert.match(JSON.stringify(why), /certificate/i);
      assert.ok(!JSON.stringify(why).includes("a-redis-password"));
      assert.equal((await doubting.get("/readyz")).status, 503);
    } finally {
      await doubting.stop();
    }
  } finally {
    await trusting.stop();
    await redis.stop();
  }
});

describe("the oracle", () => {
  const publication = (n, changes) => ({ n, topic: "t", node: 0, sent: n, answered: n + 0.5, accepted: true, ...changes });
  const subscriber = (numbers, gaps = [], span = {}) => ({
    name: "s",
    topics: new Map([["t", { spans: [{ from: 0, ...span }], received: numbers.map((n) => ({ n })), gaps }]]),
  });
  const judged = (publications, who) => judge(publications, [who]).violations.map((violation) => violation.split(":")[0]);
  const three = [publication(1), publication(2), publication(3)];

  test("finds what is missed, doubled and out of order", () => {
    assert.deepEqual(judged(three, subscriber([1, 2, 3])), []);
    assert.deepEqual(judged(three, subscriber([1, 3])), ["missed and not told"]);
    assert.deepEqual(judged(three, subscriber([1, 2, 2, 3])), ["received 2 times"]);
    assert.deepEqual(judged(three, subscriber([1, 3, 2])), ["out of order"]);
  });

  test("a gap told afterwards or an end of the subscription accounts for what is missed, an earlier gap does not", () => {
    assert.deepEqual(judged(three, subscriber([1, 3], [2.7])), []);
    assert.deepEqual(judged(three, subscriber([1, 3], [1.5])), ["missed and not told"]);
    assert.deepEqual(judged(three, subscriber([1], [], { to: 2.2 })), []);
    assert.deepEqual(judged(three, subscriber([1, 2], [], { to: 4 })), []);
  });

  test("what a killed node had not acknowledged may come again by another connection, and never by the same", () => {
    const by = (...received) => {
      const one = subscriber([]);
      one.topics.get("t").received = received.map(([connection, n]) => ({ connection, n }));
      return judge(three, [one], { isReadAgain: true }).violations.map((violation) => violation.split(":")[0]);
    };
    assert.deepEqual(by(["a", 1], ["a", 2], ["b", 2], ["b", 3]), []);
    assert.deepEqual(by(["a", 1], ["a", 2], ["a", 2], ["a", 3]), ["received twice by one connection"]);
    assert.deepEqual(by(["a", 1], ["a", 2]), ["missed and not told"]);
  });

  test("what was not accepted is owed to nobody, and may arrive", () => {
    const refused = [publication(1), publication(2, { accepted: false }), publication(3)];
    assert.deepEqual(judged(refused, subscriber([1, 3])), []);
    assert.deepEqual(judged(refused, subscriber([1, 2, 3])), []);
    assert.deepEqual(judged(refused, subscriber([1, 2, 2, 3])), ["received 2 times"]);
  });
});

const FAULT_MS = 2000;

for (const broker of Object.keys(BROKERS)) {
  describe(`an oracle over a steady load on ${broker}`, () => {
    for (const [what, fault] of Object.entries(faults(FAULT_MS, broker))) {
      test(`${what}: what was accepted is received once and in order, or a gap is told`, async () => {
        const cluster = await Cluster.start({ broker, nodes: 3, persistent: what.includes("kept") });
        try {
          const load = await Load.start(cluster);
          // A load before and after it.
          await sleep(500);
          await fault(cluster);
          await cluster.ready();
          await sleep(500);
          const figures = await load.end();
          assert.deepEqual(figures.violations, [], JSON.stringify(figures));
          assert.ok(figures.received > 0 && figures.accepted < figures.published, JSON.stringify(figures));
        } finally {
          await cluster.stop();
        }
      });
    }
  });
}

// Sends every request to the next node, as a balancer does that is told nothing.
async function roundRobin(nodes) {
  let turn = 0;
  const address = () => new URL(nodes[(turn += 1) % nodes.length].url);
  const proxy = createServer((incoming, outgoing) => {
    const { hostname, port } = address();
    const { method, url: path, headers } = incoming;
    const onward = request({ hostname, port, method, path, headers }, (answer) => {
      outgoing.writeHead(answer.statusCode, answer.headers);
      answer.pipe(outgoing);
    });
    onward.on("error", () => outgoing.destroy());
    incoming.pipe(onward);
  });
  proxy.on("upgrade", ({ method, url, headers }, socket, head) => {
    const { hostname, port } = address();
    const onward = connect(port, hostname, () => {
      const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
      onward.write(`${method} ${url} HTTP/1.1\r\n${lines.join("\r\n")}\r\n\r\n`);
      onward.write(head);
      socket.pipe(onward).pipe(socket);
    });
    for (const [one, other] of [[onward, socket], [socket, onward]]) {
      one.on("error", () => other.destroy());
      one.on("close", () => other.destroy());
    }
  });
  proxy.listen(0, "127.0.0.1");
  await once(proxy, "listening");
  return {
    url: `http://127.0.0.1:${proxy.address().port}`,
    stop() {
      proxy.close();
      proxy.closeAllConnections();
    },
  };
}

describe("behind a round-robin balancer", () => {
  let cluster, balancer;
  before(async () => {
    cluster = await Cluster.start();
    balancer = await roundRobin(cluster.nodes);
  });
  after(async () => {
    balancer?.stop();
    await cluster?.stop();
  });

  test("clients on websockets find each other whichever node they are on", async () => {
    const sockets = Array.from({ length: 4 }, (_, index) =>
      io(balancer.url, { forceNew: true, transports: ["websocket"], auth: { token: token(`w${index}`) } }));
    try {
      await Promise.all(sockets.map((socket) => within("connect", once(socket, "connect"))));
      for (const socket of sockets) await subscribe(socket, "e2e.room.balanced");
      const inboxes = sockets.slice(1).map((socket) => collect(socket, "e2e.room.balanced"));
      assert.equal((await ask(sockets[0], "e2e.room.balanced", { n: 1 })).ok, true);
      for (const inbox of inboxes) assert.deepEqual(await inbox.count(1), [{ n: 1 }]);
      const connections = await Promise.all(
        cluster.nodes.map(async (node) => Number(/^tidegate_connections (\d+)$/m.exec((await node.get("/metrics")).text)?.[1])),
      );
      assert.deepEqual(connections, [2, 2]);
    } finally {
      sockets.forEach((socket) => socket.close());
    }
  });

  test("clients that poll are told why they do not get in, and what to do", async () => {
    const socket = io(balancer.url, { forceNew: true, transports: ["polling"], reconnection: false, auth: { token: token("p") } });
    try {
      // The engine gets in and its next request does not; the text is there while the error is told.
      const refused = new Promise((resolve) => {
        socket.io.engine.on("close", (_reason, error) => resolve([error.description, error.context.responseText]));
      });
      const [status, text] = await within("the end of the transport", refused);
      const answer = JSON.parse(text);
      assert.deepEqual([status, answer.code], [400, 1]);
      assert.match(answer.message, /^Session ID unknown: .*sticky.*websocket/);
      assert.equal(socket.connected, false);
    } finally {
      socket.close();
    }
  });
});
