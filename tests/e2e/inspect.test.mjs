// What operators look at, and what they do to a client, on a server with real clients.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { ask, KEYS, next, Server, subscribe, token, until } from "@tidegate/kit/harness.mjs";

const NOTES = (scope, payload = "{ type: object }") => `
feature: notes
channels:
  notes.{id}:
    scope: ${scope}
    payload: ${payload}
    inbound: { relay: others }
`;

describe("operators", () => {
  let server;
  const look = async (path) => {
    const { status, body } = await server.get(path, { key: KEYS.operator });
    assert.equal(status, 200, JSON.stringify(body));
    return body;
  };
  const act = (path, body) => server.post(path, body, { key: KEYS.operator });
  const clientOf = async (user) => (await look(`/v1/clients?user=${user}`)).clients[0];

  before(async () => {
    server = await Server.start({ channels: { "notes.yaml": NOTES("authenticated") } });
  });
  after(() => server?.stop());

  test("a client tells its transport, its topics and what was refused to it", async () => {
    const socket = await server.connect({ token: token("nina"), transport: "polling", extraHeaders: { origin: "https://app.example.com" } });
    await subscribe(socket, "notes.a");
    const refused = await ask(socket, "subscribe", { channel: "e2e.editors" });
    assert.equal(refused.error.code, "forbidden");
    const client = await clientOf("nina");
    assert.equal(client.connection, socket.id);
    assert.deepEqual([client.transport, client.origin, client.address, client.topics], ["polling", "https://app.example.com", "127.0.0.1", ["notes.a"]]);
    assert.ok(client.credential_ends_at > Date.now() / 1000 && client.since_ms <= Date.now() && client.lag_ms >= 0);
    const [{ at_ms, ...last }] = client.last_refusals;
    assert.deepEqual(last, { gate: "subscribe", topic: "e2e.editors", code: "forbidden" });
    assert.ok(at_ms <= Date.now());
    const { topics } = await look("/v1/topics?search=notes");
    assert.deepEqual(topics, [{ topic: "notes.a", channel: "notes.{id}", subscribers: 1 }]);
    socket.close();
    await until("the client is gone", async () => (await clientOf("nina")) === undefined);
  });

  test("a client that is disconnected hears it, and the stock client stays away", async () => {
    const socket = await server.connect({ token: token("dora") });
    const told = next(socket, "tidegate");
    const gone = next(socket, "disconnect");
    const { status } = await act(`/v1/clients/${socket.id}/disconnect`, { reason: "it floods" });
    assert.equal(status, 202);
    assert.deepEqual((await told)[0], { type: "revoked", reason: "forbidden" });
    assert.equal((await gone)[0], "io server disconnect");
    assert.equal(await clientOf("dora"), undefined);
    assert.equal(socket.active, false);
    const again = await server.connect({ token: token("dora") });
    assert.ok(again.connected, "the credential is still good");
  });

  test("a topic is taken from a client, which may subscribe again", async () => {
    const socket = await server.connect({ token: token("uma") });
    await subscribe(socket, "notes.b");
    const told = next(socket, "tidegate");
    const { status } = await act(`/v1/clients/${socket.id}/unsubscribe`, { topic: "notes.b", reason: "by mistake there" });
    assert.equal(status, 202);
    assert.deepEqual((await told)[0], { type: "revoked", channel: "notes.b", reason: "forbidden" });
    assert.deepEqual((await clientOf("uma")).topics, []);
    await subscribe(socket, "notes.b");
  });

  test("what is explained is what a client meets", async () => {
    const socket = await server.connect({ token: token("eve") });
    for (const topic of ["notes.c", "e2e.editors", "e2e.inbox.eve", "e2e.inbox.adam", "nothing.here", "e2e.open", "vault.v1"]) {
      const ack = await ask(socket, "subscribe", { channel: topic });
      const { body } = await act("/v1/explain", { token: token("eve"), action: "subscribe", topic });
      assert.equal(body.code, ack.error?.code, `${topic}: ${JSON.stringify(body)}`);
      assert.equal(body.allowed, ack.ok);
    }
    const { body } = await act("/v1/explain", { user: { id: "eve" }, action: "subscribe", topic: "vault.v1" });
    const { plugin, version, took_us } = body.steps.find(({ check }) => check === "authorizer");
    assert.deepEqual([plugin, /^[0-9a-f]{12}$/.test(version), took_us > 0], ["vault-members", true, true]);
  });

  test("a reload tells in words what it changes, and a rejected one what is wrong and where", async () => {
    await server.reload(() => server.write("channels/notes.yaml", NOTES("public", "{ type: object, required: [text] }")));
    const [applied] = (await look("/v1/reloads")).reloads;
    assert.equal(applied.outcome, "applied");
    assert.deepEqual(applied.kinds, ["public", "breaking"]);
    assert.deepEqual(applied.changes, [
      "`notes.{id}`: scope authenticated → public; now everybody, signed in or not, may join, before every user",
      "`notes.{id}`: schema: required none → text; stricter for publishers and senders: a backend or a client that still sends this is refused: `{}`",
    ]);
    assert.equal(applied.files.length, 1);
    assert.match(applied.files[0], /channels\/notes\.yaml$/);
    await server.reload(() => server.write("channels/notes.yaml", NOTES("nobody")), "reload.rejected");
    const [rejected] = (await look("/v1/reloads")).reloads;
    assert.deepEqual([rejected.outcome, rejected.changes, rejected.files], ["rejected", [], applied.files]);
    assert.equal(rejected.errors[0].line, 5);
    assert.match(rejected.errors[0].message, /scope/);
    const { channels } = await look("/v1/channels?search=notes");
    assert.equal(channels[0].scope, "public", "what served before serves on");
  });

  test("the bridge tells what became of its events", async () => {
    const event = (id, data) => ({ specversion: "1.0", type: "order.shipped", source: "/shop", id, data });
    await server.post("/v1/events", [event("1", { customer: "c1", order: "o1" }), event("2", { order: "o2" })]);
    const rule = await until("both have crossed", async () => {
      const { rules } = await look("/v1/bridge");
      const found = rules.find(({ on }) => on === "order.shipped");
      return found.crossed + found.dead === 2 && found;
    });
    assert.deepEqual([rule.crossed, rule.dead, rule.does], [1, 1, "publish"]);
    const { dead_letters } = await look("/v1/dead-letters?search=o2");
    assert.equal(dead_letters.length, 1);
    const path = `/v1/dead-letters/${dead_letters[0].id}?reason=${encodeURIComponent("a test")}`;
    const logged = server.logged("bridge.discarded");
    assert.equal((await server.delete(path, { key: KEYS.operator })).status, 200);
    assert.deepEqual([(await logged).by, (await logged).why], ["operator", "a test"]);
  });
});
