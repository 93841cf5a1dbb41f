// Retained values and versions, with the stock client, on one node and on two: the newest of every key for whoever comes
// later, what is taken away is told, and nobody sees an old value after a new one.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";

import { BROKERS, Cluster } from "@tidegate/kit/cluster.mjs";
import { ask, KEYS, next, Server, token, until, within } from "@tidegate/kit/harness.mjs";

const run = promisify(execFile);

const CHANNELS = `
feature: retained
channels:
  map.{id}:
    scope: public
    payload: { type: object, required: [n] }
    delivery: { key: /device }
    snapshot: { retain: latest, keys: 100 }
  sea.{id}:
    scope: public
    payload: { type: object }
    delivery: { key: /device, version: /seq }
    snapshot: { retain: latest }
  kept.{id}:
    scope: public
    payload: { type: object }
    delivery: { key: /device }
    snapshot: { retain: latest }
    history: { messages: 5 }
  plain: { scope: public, payload: {} }
`;
const BRIDGE = `
rules:
  - { on: device.gone, to: "map.{id}", params: { id: event.data.map }, remove: event.data.device }
`;

// A map of what a page knows: the newest number of each key.
class DeviceMap {
  constructor(socket, topic) {
    Object.assign(this, { socket, topic, values: {}, removed: [], last: {}, gaps: 0 });
    socket.on(topic, (payload) => this.take(payload));
    socket.on("tidegate", ({ type, channel, key }) => {
      if (channel !== topic) return;
      if (type === "gap") this.gaps++;
      if (type !== "removed") return;
      delete this.values[key];
      this.removed.push(key);
    });
  }

  take({ device, n }) {
    if (this.rising) assert.ok(n > (this.last[device] ?? 0), `${n} after ${this.last[device]}`);
    this.last[device] = n;
    this.values[device] = n;
  }

  async subscribe() {
    const answer = new Promise((resolve) => {
      this.socket.emit("subscribe", { channel: this.topic }, (ack) => {
        this.values = {};
        for (const { key, payload } of ack.snapshot ?? []) {
          assert.equal(key ?? undefined, payload.device);
          this.take(payload);
        }
        resolve(ack);
      });
    });
    const ack = await within("the ack", answer);
    assert.equal(ack.ok, true, JSON.stringify(ack));
    return ack;
  }

  has(values) {
    return until(JSON.stringify(values), () => JSON.stringify(sorted(this.values)) === JSON.stringify(sorted(values)));
  }
}

const sorted = (values) => Object.entries(values).sort();
const publish = async (server, topic, payload) => {
  const { status, body } = await server.publish(topic, payload);
  assert.equal(status, 202, JSON.stringify(body));
  return body;
};
const remove = (server, topic, query = "", key = KEYS.backend) => server.delete(`/v1/channels/${topic}/retained${query}`, { key });
const files = (directory) => {
  writeFileSync(join(directory, "channels/retained.yaml"), CHANNELS);
  writeFileSync(join(directory, "config/bridge.yaml"), BRIDGE);
};
const open = async (server, topic) => new DeviceMap(await server.connect({ token: token("u1") }), topic);

describe("retained values", () => {
  let server;
  before(async () => {
    server = await Server.start({ plugins: false, files });
  });
  after(() => server?.stop());

  test("whoever comes later has the newest of every key, and then what is live", async () => {
    for (const [device, n] of [["a", 1], ["b", 2], ["a", 3]]) await publish(server, "map.1", { device, n });
    await publish(server, "map.1", { n: 4 });
    const map = await open(server, "map.1");
    const ack = await map.subscribe();
    assert.deepEqual(ack.snapshot, [
      { key: "b", payload: { device: "b", n: 2 }, meta: {} },
      { key: "a", payload: { device: "a", n: 3 }, meta: {} },
      { key: null, payload: { n: 4 }, meta: {} },
    ]);
    const arrived = next(map.socket, "map.1");
    await publish(server, "map.1", { device: "a", n: 5 });
    assert.deepEqual(await arrived, [{ device: "a", n: 5 }, {}]);
    map.socket.close();
  });

  test("what is taken away is told, by HTTP and by the bridge, and is gone for whoever comes later", async () => {
    for (const device of ["a", 7, "7", "x y"]) await publish(server, "map.2", { device, n: 1 });
    const map = await open(server, "map.2");
    await map.subscribe();
    assert.deepEqual(await remove(server, "map.2", "?key=a"), { status: 200, body: { removed: 1 } });
    assert.deepEqual((await remove(server, "map.2", "?key=7")).body, { removed: 1 });
    await until("both", () => map.removed.length === 2);
    assert.deepEqual(map.removed, ["a", 7]);
    const gone = { specversion: "1.0", id: "1", source: "/e2e", type: "device.gone", data: { map: "2", device: "x y" } };
    assert.equal((await server.post("/v1/events", gone, { type: "application/cloudevents+json" })).status, 202);
    await until("the third", () => map.removed.length === 3);
    assert.equal(map.removed[2], "x y");
    const later = await open(server, "map.2");
    assert.deepEqual((await later.subscribe()).snapshot.map(({ key }) => key), ["7"]);
    const asInTheManual = ["-s", "-X", "DELETE", "-H", `authorization: Bearer ${KEYS.backend}`, "-G", "--data-urlencode", 'key="7"'];
    const { stdout } = await run("curl", [...asInTheManual, `${server.url}/v1/channels/map.2/retained`]);
    assert.deepEqual(JSON.parse(stdout), { removed: 1 });
    await map.has({});
    assert.deepEqual((await remove(server, "map.2")).body, { removed: 0 });
    const none = await remove(server, "plain");
    assert.deepEqual([none.status, none.body.error.code], [409, "no_retained"]);
    for (const { socket } of [map, later]) socket.close();
  });

  test("what is not newer goes to nobody, and is counted", async () => {
    const sea = await open(server, "sea.1");
    await sea.subscribe();
    assert.deepEqual(await publish(server, "sea.1", { device: "a", n: 1, seq: 2 }), {});
    assert.deepEqual(await publish(server, "sea.1", { device: "a", n: 2, seq: 2 }), { stale: true });
    assert.deepEqual(await publish(server, "sea.1", { device: "a", n: 3, seq: "2026-01-01T00:00:00Z" }), {});
    assert.deepEqual(await publish(server, "sea.1", { device: "b", n: 4, seq: 1 }), {});
    await sea.has({ a: 3, b: 4 });
    const without = await server.publish("sea.1", { device: "a", n: 5 });
    assert.deepEqual([without.status, without.body.error.code], [422, "invalid_payload"]);
    assert.equal(await server.metric("tidegate_publications_stale_total", 'channel="sea.{id}"'), 1);
    sea.socket.close();
  });

  test("a client that recovers has no snapshot, and one that does not has it", async () => {
    for (const device of ["a", "b"]) await publish(server, "kept.1", { device, n: 1 });
    const socket = await server.connect({ token: token("u1") });
    const first = await ask(socket, "subscribe", { channel: "kept.1" });
    assert.deepEqual(first.snapshot.map(({ meta }) => meta.offset), [1, 2]);
    assert.equal(first.position.offset, 2);
    await publish(server, "kept.1", { device: "a", n: 2 });
    const since = { channel: "kept.1", since: first.position };
    const whole = await ask(socket, "subscribe", since);
    assert.deepEqual([whole.recovered, whole.publications.length, whole.snapshot], [true, 1, undefined]);
    for (let n = 3; n < 10; n++) await publish(server, "kept.1", { device: "a", n });
    const part = await ask(socket, "subscribe", since);
    assert.deepEqual([part.recovered, part.reason], [false, "too_many"]);
    assert.deepEqual(part.snapshot.map(({ payload }) => payload.n), [1, 9]);
    socket.close();
  });

  test("the values and their bytes are counted", async () => {
    const values = await server.metric("tidegate_retained_values");
    await publish(server, "map.3", { device: "a", n: 1 });
    assert.equal(await server.metric("tidegate_retained_values"), values + 1);
    assert.ok((await server.metric("tidegate_retained_bytes")) > 0);
  });

  test("a reload that stops retaining takes effect on open topics, and nothing is left when it comes back", async () => {
    await publish(server, "map.4", { device: "a", n: 1 });
    const without = CHANNELS.replace("    snapshot: { retain: latest, keys: 100 }\n", "").replace("    delivery: { key: /device }\n", "");
    // The bridge has a rule that removes from it.
    await server.reload(() => server.write("channels/retained.yaml", without), "reload.rejected");
    await server.reload(() => server.write("config/bridge.yaml", "rules: []\n"));
    const map = await open(server, "map.4");
    assert.equal((await map.subscribe()).snapshot, undefined);
    await server.reload(() => server.write("channels/retained.yaml", CHANNELS));
    assert.deepEqual((await map.subscribe()).snapshot, []);
    map.socket.close();
  });
});

for (const broker of Object.keys(BROKERS)) {
  describe(`retained values on two nodes on ${broker}`, () => {
    let cluster, a, b;
    before(async () => {
      cluster = await Cluster.start({ broker, files });
      [a, b] = cluster.nodes;
    });
    after(() => cluster?.stop());

    test("both nodes have one value of every key, whoever published it and whoever takes it away", async () => {
      const [here, there] = [await open(a, "map.1"), await open(b, "map.1")];
      await Promise.all([here.subscribe(), there.subscribe()]);
      await Promise.all([publish(a, "map.1", { device: "a", n: 1 }), publish(b, "map.1", { device: "a", n: 2 })]);
      await publish(b, "map.1", { device: "b", n: 3 });
      await until("both", () => "b" in here.values && "b" in there.values);
      assert.deepEqual(here.values, there.values);
      const later = await open(b, "map.1");
      await later.subscribe();
      assert.deepEqual(later.values, here.values);
      await remove(b, "map.1", "?key=a");
      for (const map of [here, there, later]) await map.has({ b: 3 });
      assert.deepEqual(await publish(a, "sea.1", { device: "a", n: 1, seq: 5 }), {});
      assert.deepEqual(await publish(b, "sea.1", { device: "a", n: 2, seq: 5 }), { stale: true });
      for (const { socket } of [here, there, later]) socket.close();
    });

    test("nobody misses the newest value or goes back, while two nodes publish without a pause and pages come and go", async () => {
      const devices = ["a", "b", "c"];
      let seq = 0;
      let over = false;
      const publishing = Promise.all(
        [a, b].map(async (node) => {
          while (!over) {
            const n = ++seq;
            await publish(node, "sea.2", { device: devices[n % 3], n, seq: n });
          }
        }),
      );
      const pages = await Promise.all(Array.from({ length: 6 }, (_, at) => open([a, b][at % 2], "sea.2")));
      for (const page of pages) page.rising = true;
      await Promise.all(
        pages.map(async (page) => {
          for (let time = 0; time < 10; time++) {
            page.last = {};
            await page.subscribe();
            await next(page.socket, "sea.2");
            if (time < 9) await ask(page.socket, "unsubscribe", { channel: "sea.2" });
          }
        }),
      );
      over = true;
      await publishing;
      const late = await open(a, "sea.2");
      await late.subscribe();
      for (const page of pages) await page.has(late.values);
      assert.equal(pages.reduce((sum, { gaps }) => sum + gaps, 0), 0);
      for (const { socket } of [late, ...pages]) socket.close();
    });

    test("values outlive the node that published them", async () => {
      await publish(b, "map.9", { device: "a", n: 1 });
      b.signal("SIGKILL");
      const map = await open(a, "map.9");
      await map.subscribe();
      await map.has({ a: 1 });
      map.socket.close();
    });
  });
}
