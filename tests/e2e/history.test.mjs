// Channels with history, with the stock client: what it missed while it was away it gets whole, once and in order, or it
// is told why not.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";

import { BROKERS, Cluster } from "@tidegate/kit/cluster.mjs";
import { ask, KEYS, next, Server, subscribe, token, until, within } from "@tidegate/kit/harness.mjs";

const FEED = (history) => `
feature: history
channels:
  feed.{id}:
    scope: authenticated
    payload: { type: object, required: [n] }
    ${history}
  brief.{id}: { scope: public, payload: {}, history: { messages: 9, ttl: 300ms } }
`;
const channels = { "history.yaml": FEED("history: { messages: 5 }") };

// A page that follows a topic: every payload that it has, in the order in which it came, and the newest position.
class Page {
  constructor(socket, topic) {
    Object.assign(this, { socket, topic, seen: [], last: undefined });
    socket.on(topic, ({ n }, meta) => {
      this.seen.push(n);
      this.last = meta;
    });
  }

  // In the callback and not after an `await`: what stands in the same packet behind the ack would come before.
  async subscribe() {
    const answer = new Promise((resolve) => {
      this.socket.emit("subscribe", { channel: this.topic, since: this.last }, (ack) => {
        for (const { payload } of ack.publications ?? []) this.seen.push(payload.n);
        if (ack.position) this.last = ack.position;
        resolve(ack);
      });
    });
    const ack = await within("the ack", answer);
    assert.equal(ack.ok, true, JSON.stringify(ack));
    return ack;
  }

  async has(...numbers) {
    await until(`${numbers}`, () => this.seen.length >= numbers.length);
    assert.deepEqual(this.seen, numbers);
  }
}

const publish = async (server, topic, ...numbers) => {
  for (const n of numbers) assert.equal((await server.publish(topic, { n })).status, 202);
};
const since = (server, topic, { epoch, offset }, key) =>
  server.get(`/v1/channels/${topic}/history?since=${epoch}:${offset}`, { key });

describe("history", () => {
  let server;
  before(async () => {
    server = await Server.start({ plugins: false, channels });
  });
  after(() => server?.stop());

  test("a page that was cut has everything again, once and in order, and goes on", async () => {
    const page = new Page(await server.connect({ token: token("u1") }), "feed.a");
    const first = await page.subscribe();
    assert.equal(first.position.offset, 0);
    assert.equal("recovered" in first, false);
    await publish(server, "feed.a", 1, 2);
    await page.has(1, 2);
    const gone = next(page.socket, "disconnect");
    page.socket.io.engine.close();
    await gone;
    await publish(server, "feed.a", 3, 4, 5);
    if (!page.socket.connected) await next(page.socket, "connect");
    const ack = await page.subscribe();
    assert.deepEqual([ack.recovered, ack.publications.map(({ meta }) => meta.offset)], [true, [3, 4, 5]]);
    await publish(server, "feed.a", 6);
    await page.has(1, 2, 3, 4, 5, 6);
    const answer = await server.publish("feed.a", { n: 7 });
    assert.deepEqual([answer.status, answer.body], [202, { position: { ...ack.position, offset: 7 } }]);
  });

  test("nothing is lost or comes twice while others publish without a pause", async () => {
    const pages = await Promise.all(
      Array.from({ length: 8 }, async () => new Page(await server.connect({ token: token("u1") }), "feed.busy")),
    );
    await Promise.all(pages.map((page) => page.subscribe()));
    const socket = await server.connect({ token: token("u1") });
    let told = 0;
    const publishing = (async () => {
      for (let n = 1; n <= 200; n++) await publish(server, "feed.busy", n);
    })();
    for (const page of pages) {
      for (let time = 0; time < 3; time++) {
        await ask(page.socket, "unsubscribe", { channel: "feed.busy" });
        const { recovered } = await page.subscribe();
        told += recovered ? 0 : 1;
      }
    }
    await publishing;
    await Promise.all(pages.map((page) => until("the last one", () => page.seen.at(-1) === 200)));
    for (const { seen } of pages) {
      assert.deepEqual(seen, [...new Set(seen)].sort((a, b) => a - b), "in order and once");
      // Whoever missed nothing untold has all of them.
      if (told === 0) assert.equal(seen.length, 200);
    }
    socket.close();
  });

  test("more than the history keeps is too_many, a stranger's position is epoch_changed, and each begins anew", async () => {
    const page = new Page(await server.connect({ token: token("u1") }), "feed.b");
    await page.subscribe();
    await ask(page.socket, "unsubscribe", { channel: "feed.b" });
    await publish(server, "feed.b", 1, 2, 3, 4, 5, 6);
    const ack = await page.subscribe();
    assert.deepEqual([ack.recovered, ack.reason, ack.position.offset], [false, "too_many", 6]);
    assert.equal("publications" in ack, false);
    const other = await ask(page.socket, "subscribe", { channel: "feed.b", since: { epoch: "other", offset: 1 } });
    assert.deepEqual([other.recovered, other.reason], [false, "epoch_changed"]);
    const none = await ask(page.socket, "subscribe", { channel: "e2e.open", since: page.last });
    assert.deepEqual([none.ok, none.recovered, none.reason, "position" in none], [true, false, "no_history", false]);
    for (const bad of [7, "x", {}, { epoch: "a b", offset: 1 }, { epoch: "a", offset: -1 }]) {
      assert.equal((await ask(page.socket, "subscribe", { channel: "feed.b", since: bad })).error.code, "invalid_payload");
    }
  });

  test("what its time took is expired, and the newest position stays good", async () => {
    const socket = await server.connect();
    const { position } = await subscribe(socket, "brief.a");
    const { body } = await server.publish("brief.a", 1);
    await until("the end of its time", async () => (await since(server, "brief.a", position)).body.reason === "expired");
    const ack = await ask(socket, "subscribe", { channel: "brief.a", since: body.position });
    assert.deepEqual([ack.recovered, ack.publications], [true, []]);
  });

  test("a client that polls reads the same over HTTP, if it may subscribe", async () => {
    await publish(server, "feed.c", 1, 2);
    const path = "/v1/channels/feed.c/history";
    const { status, body } = await server.get(path, { key: token("u1") });
    assert.deepEqual([status, body.publications.map(({ payload }) => payload.n), body.more], [200, [1, 2], false]);
    const rest = await since(server, "feed.c", body.publications[0].meta, token("u1"));
    assert.deepEqual(rest.body.publications, [body.publications[1]]);
    assert.equal((await server.get(path)).status, 401);
    assert.equal((await server.get(path, { key: KEYS.backend })).status, 403);
    assert.equal((await server.get("/v1/channels/e2e.open/history")).body.error.code, "no_history");
    assert.ok((await server.metric("tidegate_recoveries_total", 'way="http",outcome="recovered"')) > 0);
  });

  test("a reload that drops the history takes the positions from open subscriptions", async () => {
    const socket = await server.connect({ token: token("u1") });
    const { position } = await subscribe(socket, "feed.d");
    await server.reload(() => server.write("channels/history.yaml", FEED("")));
    const arrived = next(socket, "feed.d");
    assert.deepEqual((await server.publish("feed.d", { n: 1 })).body, {});
    assert.deepEqual(await arrived, [{ n: 1 }, {}]);
    await server.reload(() => server.write("channels/history.yaml", channels["history.yaml"]));
    const ack = await ask(socket, "subscribe", { channel: "feed.d", since: position });
    assert.deepEqual([ack.recovered, ack.reason], [false, "epoch_changed"]);
  });
});

test("a server that was restarted has another epoch", async () => {
  let server = await Server.start({ plugins: false, channels });
  const socket = await server.connect({ token: token("u1") });
  try {
    const { position } = await subscribe(socket, "feed.a");
    await publish(server, "feed.a", 1);
    server.signal("SIGKILL");
    await server.ended();
    server = await Server.start({ directory: server.directory, listen: server.address });
    if (!socket.connected) await next(socket, "connect");
    const ack = await ask(socket, "subscribe", { channel: "feed.a", since: position });
    assert.deepEqual([ack.recovered, ack.reason], [false, "epoch_changed"]);
    assert.notEqual(ack.position.epoch, position.epoch);
  } finally {
    socket.close();
    await server.stop();
  }
});

for (const broker of Object.keys(BROKERS)) {
  test(`what a client missed on one node it gets on another, and both deliver in one order, on ${broker}`, async () => {
    const files = (directory) => writeFileSync(join(directory, "channels/history.yaml"), channels["history.yaml"]);
    const cluster = await Cluster.start({ broker, files });
    try {
      const [a, b] = cluster.nodes;
      const here = new Page(await a.connect({ token: token("u1") }), "feed.a");
      const there = new Page(await b.connect({ token: token("u2") }), "feed.a");
      await Promise.all([here.subscribe(), there.subscribe()]);
      // Two at once, on two nodes: whatever their order is, it is one order.
      await Promise.all([publish(a, "feed.a", 1), publish(b, "feed.a", 2)]);
      await until("both", () => here.seen.length === 2 && there.seen.length === 2);
      assert.deepEqual(here.seen, there.seen);
      const { last } = here;
      here.socket.close();
      await publish(a, "feed.a", 3);
      await publish(b, "feed.a", 4);
      const again = Object.assign(new Page(await b.connect({ token: token("u1") }), "feed.a"), { last });
      assert.equal((await again.subscribe()).recovered, true);
      await publish(a, "feed.a", 5);
      await again.has(3, 4, 5);
      await there.has(...here.seen, 3, 4, 5);
    } finally {
      await cluster.stop();
    }
  });
}
