// `delivery: { mode: latest }`: a reader that is behind loses old values, never the newest, and is not cut.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { ask, collect, next, Server, subscribe, token, until } from "@tidegate/kit/harness.mjs";

const KEYS = 50;
const ROUNDS = 60;
const channels = {
  "fleet.yaml": `
feature: fleet
channels:
  fleet.{id}:
    scope: public
    payload: { type: object, required: [device, n], properties: { device: { type: integer }, n: { type: integer } } }
    delivery: { mode: latest, key: /device }
    inbound: { relay: all }
  left.{id}:
    scope: public
    payload: { type: object }
    delivery: { mode: latest, key: /device }
    snapshot: { retain: latest }
  thin.{id}:
    scope: public
    payload: true
    delivery: { mode: latest, key: /device, at_most: 5/s }
`,
};

describe("the newest of each key", () => {
  let server;
  before(async () => {
    // Room for one value of each key, and not for two rounds of them.
    // And time: a reader that stalls answers no ping, however long a busy machine takes to publish.
    const [limits, transport] = [{ outbound_bytes: "160KiB" }, { ping_timeout: "10m" }];
    const config = (config) => ({ ...config, transport, limits: { ...config.limits, ...limits } });
    server = await Server.start({ config, channels, plugins: false });
  });
  after(() => server?.stop());

  const metric = async (name, ...labels) => {
    const lines = (await (await fetch(`${server.url}/metrics`)).text()).split("\n");
    const line = lines.find((line) => line.startsWith(name) && labels.every((label) => line.includes(label)));
    return Number(line?.split(" ").at(-1) ?? 0);
  };
  const publish = async (topic, payload) => assert.equal((await server.publish(topic, payload)).status, 202);
  const newestOf = (values) => Object.fromEntries(values.map(({ device, n }) => [device, n]));

  // Every value of every key, and the newest of each.
  async function publishRounds(topic) {
    const filling = "x".repeat(2000);
    const sent = [];
    for (let n = 1; n <= ROUNDS; n += 1) {
      for (let device = 0; device < KEYS; device += 1) {
        await publish(topic, { device, n, filling });
        sent.push(`${device}:${n}`);
      }
    }
    return { sent, newest: Object.fromEntries(Array.from({ length: KEYS }, (_, device) => [device, ROUNDS])) };
  }

  test("a reader that stalls gets the newest of each when it reads on, and a keen reader gets all", async () => {
    const [keen, slow] = [await server.connect({ token: token("keen") }), await server.connect({ token: token("slow") })];
    for (const socket of [keen, slow]) await subscribe(socket, "fleet.a");
    const [all, some] = [collect(keen, "fleet.a"), collect(slow, "fleet.a")];
    let isCut = false;
    slow.on("disconnect", () => (isCut = true));
    const wire = slow.io.engine.transport.ws._socket;
    wire.pause();
    const { sent, newest } = await publishRounds("fleet.a");
    await all.count(sent.length);
    assert.deepEqual(all.received.map(({ device, n }) => `${device}:${n}`), sent);

    wire.resume();
    await until("the newest of each", () => {
      const seen = newestOf(some.received);
      return Object.entries(newest).every(([device, n]) => seen[device] === n);
    });
    // A control message and an answer come to it as to everybody.
    assert.equal((await ask(slow, "unsubscribe", { channel: "fleet.a" })).ok, true);
    assert.equal(isCut, false);
    assert.ok(some.received.length < sent.length, `${some.received.length} values`);
    for (let device = 0; device < KEYS; device += 1) {
      const numbers = some.received.filter((value) => value.device === device).map(({ n }) => n);
      assert.deepEqual(numbers, [...new Set(numbers)].sort((one, other) => one - other), `device ${device}`);
    }
    const lost = await metric("tidegate_conflated_total", 'channel="fleet.{id}"', 'way="queue"');
    assert.equal(some.received.length + lost, sent.length);
    for (const socket of [keen, slow]) socket.close();
  });

  test("a reader that stalls hears of everything that is taken away, and never of an older value after it", async () => {
    const slow = await server.connect({ token: token("slow") });
    await subscribe(slow, "left.a");
    const heard = [];
    slow.on("left.a", ({ device, n }) => device === "gone" && heard.push(n));
    slow.on("tidegate", ({ type, key }) => type === "removed" && key === "gone" && heard.push("removed"));
    const wire = slow.io.engine.transport.ws._socket;
    wire.pause();
    await publishRounds("left.a");
    for (const n of [1, 2, 3]) {
      await publish("left.a", { device: "gone", n: -n });
      await publish("left.a", { device: "gone", n });
      assert.deepEqual((await server.delete("/v1/channels/left.a/retained?key=gone")).body, { removed: 1 });
    }
    await publish("left.a", { device: "gone", n: 4 });
    wire.resume();
    await until("the newest", () => heard.includes(4));
    assert.deepEqual(heard, ["removed", "removed", "removed", 4]);
    slow.close();
  });

  test("a reader that subscribes again while it is behind gets nothing older behind the snapshot", async () => {
    const slow = await server.connect({ token: token("slow") });
    await subscribe(slow, "left.b");
    const seen = [];
    const saw = ({ device, n }) => seen.push([device, n]);
    slow.on("left.b", saw);
    const wire = slow.io.engine.transport.ws._socket;
    wire.pause();
    await publishRounds("left.b");
    const subscriptions = () => metric("tidegate_gate_decisions_total", 'gate="subscribe"', 'channel="left.{id}"');
    const before = await subscriptions();
    const again = new Promise((resolve) => slow.emit("subscribe", { channel: "left.b" }, resolve));
    again.then(({ snapshot }) => snapshot.forEach(({ payload }) => saw(payload)));
    // It is an answer that waits for the reader; what is published behind it waits, too.
    await until("the second subscription", async () => (await subscriptions()) > before);
    for (let device = 0; device < KEYS; device += 1) await publish("left.b", { device, n: ROUNDS + 1 });
    wire.resume();
    await until("the newest of each", () => new Set(seen.filter(([, n]) => n === ROUNDS + 1).map(([device]) => device)).size === KEYS);
    for (let device = 0; device < KEYS; device += 1) {
      const numbers = seen.filter((one) => one[0] === device).map(([, n]) => n);
      assert.deepEqual(numbers, [...new Set(numbers)].sort((one, other) => one - other), `device ${device}`);
    }
    slow.close();
  });

  test("a reader that leaves while it is behind receives nothing of the topic after the ack", async () => {
    const slow = await server.connect({ token: token("slow") });
    await subscribe(slow, "fleet.b");
    const received = [];
    slow.onAny((event) => received.push(event));
    const wire = slow.io.engine.transport.ws._socket;
    wire.pause();
    const left = new Promise((resolve) => slow.emit("unsubscribe", { channel: "fleet.b" }, () => resolve(received.push("ack"))));
    await publishRounds("fleet.b");
    wire.resume();
    await left;
    assert.equal((await ask(slow, "subscribe", { channel: "e2e.open" })).ok, true);
    assert.equal(received.at(-1), "ack");
    slow.close();
  });

  test("a sender receives its own message before the ack, in a room of hundreds, too", async () => {
    // A room of more than 256 is served in groups, by tasks.
    const crowd = await Promise.all(Array.from({ length: 300 }, () => server.connect()));
    await Promise.all(crowd.map((socket) => subscribe(socket, "fleet.c")));
    const sender = crowd.at(-1);
    const order = [];
    sender.on("fleet.c", ({ n }) => order.push(n));
    for (let n = 0; n < 20; n += 1) sender.emit("fleet.c", { device: n, n }, () => order.push(`ack ${n}`));
    await until("the acks", () => order.length === 40);
    const places = Array.from({ length: 20 }, (_, n) => [order.indexOf(n), order.indexOf(`ack ${n}`)]);
    assert.ok(places.every(([message, ack]) => message < ack), order.join(", "));
    for (const socket of crowd) socket.close();
  });

  test("`at_most` thins for everybody, and the last of a burst always arrives", async () => {
    const [one, other] = [await server.connect(), await server.connect({ transport: "polling" })];
    for (const socket of [one, other]) await subscribe(socket, "thin.a");
    const inboxes = [one, other].map((socket) => collect(socket, "thin.a"));
    const began = Date.now();
    for (let n = 1; n <= 300; n += 1) await publish("thin.a", { device: 1, n });
    const intervals = Math.ceil((Date.now() - began) / 200);
    await until("the last", () => inboxes.every(({ received }) => received.at(-1)?.n === 300));
    for (const { received } of inboxes) {
      assert.equal(received[0].n, 1);
      assert.ok(received.length <= intervals + 2, `${received.length} in ${intervals} intervals`);
    }
    assert.ok((await metric("tidegate_conflated_total", 'channel="thin.{id}"', 'way="at_most"')) > 0);
    for (const socket of [one, other]) socket.close();
  });

  test("the newest of a burst is not lost when the server stops", async () => {
    const socket = await server.connect();
    await subscribe(socket, "thin.b");
    const inbox = collect(socket, "thin.b");
    const gone = next(socket, "disconnect");
    for (let n = 1; n <= 5; n += 1) await publish("thin.b", { device: 1, n });
    server.process.kill("SIGTERM");
    await gone;
    assert.equal(inbox.received.at(-1).n, 5);
    socket.close();
  });
});
