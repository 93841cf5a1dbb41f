// Who is there: what stock clients hear of one another.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";

import { ask, Server, token, until } from "@tidegate/kit/harness.mjs";
import { changes, roster } from "@tidegate/kit/presence.mjs";

const CHANNELS = `
feature: presence
channels:
  hall.{room}:
    scope: public
    payload: {}
    presence:
      debounce: 500ms
      info: { type: object, required: [mood], properties: { mood: { type: string } }, additionalProperties: false }
`;

describe("presence", () => {
  let server;
  before(async () => {
    server = await Server.start({ plugins: false, channels: { "presence.yaml": CHANNELS } });
  });
  after(() => server?.stop());

  test("who subscribes hears who is there, and then who comes and who leaves", async () => {
    const [alice, bob] = await Promise.all(["alice", "bob"].map((user) => server.connect({ token: token(user) })));
    const heard = changes(alice, "hall.1");
    const ack = await ask(alice, "subscribe", { channel: "hall.1", info: { mood: "calm" } });
    assert.deepEqual(ack.presence, { count: 1, members: [{ user: "alice", info: { mood: "calm" } }] });
    const { presence } = await ask(bob, "subscribe", { channel: "hall.1" });
    assert.deepEqual(presence, { count: 2, members: [{ user: "alice", info: { mood: "calm" } }, { user: "bob" }] });
    await until("bob came", () => roster(ack, heard).users.includes("bob"));
    assert.equal(roster(ack, heard).count, 2);
    const left = performance.now();
    bob.close();
    await until("bob left", () => !roster(ack, heard).users.includes("bob"));
    assert.ok(heard.at(-1).at - left >= 450, "not before the debounce");
    assert.deepEqual(roster(ack, heard), { users: ["alice"], info: { alice: { mood: "calm" } }, count: 1 });
    alice.close();
  });

  test("a page that is loaded anew, and a second tab, are told to nobody", async () => {
    const [alice, bob] = await Promise.all(["alice", "bob"].map((user) => server.connect({ token: token(user) })));
    const heard = changes(alice, "hall.2");
    const ack = await ask(alice, "subscribe", { channel: "hall.2" });
    await ask(bob, "subscribe", { channel: "hall.2" });
    await until("bob came", () => roster(ack, heard).count === 2);
    const before = heard.length;
    const tab = await server.connect({ token: token("bob") });
    await ask(tab, "subscribe", { channel: "hall.2" });
    bob.close();
    tab.close();
    const again = await server.connect({ token: token("bob") });
    await ask(again, "subscribe", { channel: "hall.2" });
    await pause(2500);
    assert.deepEqual(heard.slice(before), []);
    for (const socket of [alice, again]) socket.close();
  });

  test("a crowd that comes at once is told in few messages, and connections without a user are counted", async () => {
    const alice = await server.connect({ token: token("alice") });
    const heard = changes(alice, "hall.3");
    const ack = await ask(alice, "subscribe", { channel: "hall.3" });
    const crowd = await Promise.all(
      Array.from({ length: 50 }, (_, index) => server.connect(index < 40 ? { token: token(`u${index}`) } : {})),
    );
    await Promise.all(crowd.map((socket) => ask(socket, "subscribe", { channel: "hall.3" })));
    await until("all are counted", () => roster(ack, heard).count === 51);
    assert.equal(roster(ack, heard).users.length, 41);
    const gaps = heard.slice(1).map((change, index) => change.at - heard[index].at);
    assert.ok(gaps.every((ms) => ms > 900), `once a second at most: ${gaps}`);
    for (const socket of [alice, ...crowd]) socket.close();
  });

  test("an info that does not meet its schema is refused, and a new one is told", async () => {
    const [alice, bob] = await Promise.all(["alice", "bob"].map((user) => server.connect({ token: token(user) })));
    const refused = await ask(alice, "subscribe", { channel: "hall.4", info: { mood: 7 } });
    assert.equal(refused.error.code, "invalid_payload");
    const heard = changes(bob, "hall.4");
    const ack = await ask(bob, "subscribe", { channel: "hall.4" });
    await ask(alice, "subscribe", { channel: "hall.4", info: { mood: "calm" } });
    await ask(alice, "subscribe", { channel: "hall.4", info: { mood: "busy" } });
    await until("the newest info", () => roster(ack, heard).info.alice?.mood === "busy");
    const none = await ask(alice, "subscribe", { channel: "e2e.open", info: {} });
    assert.equal(none.error.code, "no_presence");
    for (const socket of [alice, bob]) socket.close();
  });

  test("a page without a socket asks who is there with its own credential, and is not there itself", async () => {
    const alice = await server.connect({ token: token("alice") });
    await ask(alice, "subscribe", { channel: "hall.5" });
    const { status, body } = await server.get("/v1/channels/hall.5/presence", { key: token("bob") });
    assert.deepEqual([status, body], [200, { count: 1, members: [{ user: "alice" }] }]);
    const occupancy = await server.get("/v1/channels/hall.5/occupancy", { key: token("bob") });
    assert.deepEqual(occupancy.body, { count: 1, users: 1, anonymous: 0 });
    assert.equal((await server.get("/v1/channels/hall.5/presence", { key: token("bob", {}, { secret: "x".repeat(64) }) })).status, 401);
    assert.equal((await server.get("/v1/channels/e2e.open/presence")).body.error.code, "no_presence");
    alice.close();
  });

  test("from outside no event has a name of the server's own", async () => {
    const event = { specversion: "1.0", id: "1", source: "/e2e", type: "tidegate.member.joined", data: {} };
    const { status, body } = await server.post("/v1/events", event);
    assert.equal(status, 400);
    assert.match(JSON.stringify(body.error.details), /the server's own/);
    const topic = await server.post("/v1/channels/tidegate.news/publish", {});
    assert.equal(topic.status, 404);
  });
});
