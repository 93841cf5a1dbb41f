// From a backend's event to a client's socket.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { ask, collect, KEYS, next, Server, subscribe, token } from "@tidegate/kit/harness.mjs";

let ids = 0;
const event = (type, data, more = {}) => ({ specversion: "1.0", id: `e${++ids}`, source: "/e2e", type, data, ...more });

describe("the bridge", () => {
  let server;
  before(async () => {
    server = await Server.start();
  });
  after(() => server?.stop());

  const send = (body, options) => server.post("/v1/events", body, options);
  const batch = (events) => send(events, { type: "application/cloudevents-batch+json" });
  const letters = async () => (await server.get("/v1/dead-letters", { key: KEYS.operator })).body;

  test("an event that a rule lists by its exact type reaches the room", async () => {
    const socket = await server.connect({ token: token("u1") });
    await subscribe(socket, "e2e.inbox.u1");
    const arrival = next(socket, "e2e.inbox.u1");
    const sent = await send(event("order.shipped", { customer: "u1", order: "o7" }), {
      type: "application/cloudevents+json",
    });
    assert.equal(sent.status, 202);
    assert.deepEqual(await arrival, [{ text: "shipped o7" }, {}]);
  });

  test("a batch crosses by a prefix, in order, where the condition holds", async () => {
    const socket = await server.connect({ token: token("u1") });
    await subscribe(socket, "e2e.room.9");
    const inbox = collect(socket, "e2e.room.9");
    const sent = await batch([
      event("sensor.temperature", { room: "9", n: 1 }),
      event("sensor.temperature", { room: "9", n: -1 }),
      event("sensor.humidity", { room: "9", n: 2 }),
      event("sensors.other", { room: "9", n: 3 }),
      event("sensor.a.b", { room: "9", n: 4 }),
    ]);
    assert.equal(sent.status, 202);
    assert.deepEqual((await inbox.count(3)).map(({ n }) => n), [1, 2, 4]);
  });

  test("what a rule matches and cannot cross is kept, listed and can be retried", async () => {
    const socket = await server.connect({ token: token("u1") });
    await subscribe(socket, "e2e.room.8");
    const buried = server.logged("bridge.dead_letter");
    assert.equal((await send(event("sensor.broken", { room: "8", n: 1.5 }))).status, 202);
    await buried;
    const { dead_letters: [letter] } = await letters();
    assert.equal(letter.rule.on, "sensor.*");
    assert.equal(letter.event.type, "sensor.broken");
    assert.match(letter.reason, /invalid_payload/);

    // The operator widens the schema and tries again.
    const arrival = next(socket, "e2e.room.8");
    const lenient = `
feature: e2e
channels:
  e2e.room.{room}:
    scope: authenticated
    payload: {}
  e2e.inbox.{userId}:
    scope: { user: userId }
    payload: {}
`;
    await server.reload(() => server.write("channels/e2e.yaml", lenient));
    const retried = await server.post(`/v1/dead-letters/${letter.id}/retry`, {}, { key: KEYS.operator });
    assert.ok(retried.status === 200 || retried.status === 202, `status ${retried.status}`);
    assert.deepEqual((await arrival)[0], { room: "8", n: 1.5 });
    const rest = await letters();
    assert.ok(!rest.dead_letters.some(({ id }) => id === letter.id));
  });

  test("a handler's own event goes onto the bus and is not listed for anybody", async () => {
    const socket = await server.connect({ token: token("u1") });
    await subscribe(socket, "realtime-ping");
    assert.equal((await ask(socket, "realtime-ping", { n: 1 })).ok, true);
  });

  test("what is no CloudEvent, or comes without the right key, is refused", async () => {
    const good = event("order.shipped", { customer: "u1", order: "o8" });
    assert.equal((await send("{ no json")).status, 400);
    assert.equal((await send({ ...good, specversion: "0.3" })).status, 400);
    assert.equal((await send({ ...good, type: undefined })).status, 400);
    assert.equal((await send(good, { key: null })).status, 401);
    assert.equal((await send(good, { key: "no such key" })).status, 401);
    assert.equal((await send(good, { key: KEYS.operator })).status, 403);
    assert.equal((await server.get("/v1/dead-letters", { key: KEYS.backend })).status, 403);
    assert.equal((await server.post("/v1/dead-letters/none/retry", {}, { key: KEYS.operator })).status, 404);
  });
});

describe("publishing", () => {
  let server;
  before(async () => {
    server = await Server.start({ plugins: false });
  });
  after(() => server?.stop());

  test("each mistake has its status", async () => {
    assert.equal((await server.publish("e2e.inbox.u1", { text: "hello" })).status, 202);
    assert.equal((await server.publish("e2e.inbox.u1", "{ no json")).status, 400);
    assert.equal((await server.publish("e2e.inbox.u1", { text: "x" }, { key: null })).status, 401);
    assert.equal((await server.publish("e2e.inbox.u1", { text: "x" }, { key: KEYS.operator })).status, 403);
    assert.equal((await server.publish("e2e.nothing", { text: "x" })).status, 404);
    assert.equal((await server.publish("e2e.inbox.u1", { text: "x".repeat(70_000) })).status, 413);
    const { status, body } = await server.publish("e2e.inbox.u1", { text: 7 });
    assert.equal(status, 422);
    assert.match(JSON.stringify(body), /\/text/);
  });

  test("the server says that it is alive, ready, and what it counted", async () => {
    assert.equal((await server.get("/healthz")).status, 200);
    assert.equal((await server.get("/readyz")).status, 200);
    const { text } = await server.get("/metrics");
    assert.match(text, /^tidegate_gate_decisions_total\{.*gate="broadcast".*\} \d+$/m);
    assert.match(text, /^tidegate_generation 1$/m);
  });
});
