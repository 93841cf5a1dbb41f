// Snapshots, transforms and connection listeners at work: what clients see of a plugin that does well and of one that does not.
// The guest is `tests/plugins/guests/kinds`, which does what topics, payloads and user names say.

import assert from "node:assert/strict";
import { copyFileSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";

import { cargoBuild } from "@tidegate/kit/guest.mjs";
import { ask, collect, KEYS, next, Server, subscribe, token } from "@tidegate/kit/harness.mjs";
import { repository } from "@tidegate/kit/paths.mjs";

const MANIFEST = {
  component: "kinds.wasm",
  kinds: ["snapshot", "transform", "connection"],
  grants: { emit: ["lobby"], publish: ["connection.*"] },
  limits: { cpu: "200ms", wall: "10s" },
  // These tests fault on purpose, and often.
  breaker: { faults: 1000 },
};

const CHANNELS = {
  feature: "kinds",
  channels: {
    "board.{what}": {
      scope: "public",
      snapshot: { plugin: "kinds" },
      payload: { type: "object", required: ["n"], properties: { n: { type: "integer", maximum: 3 } } },
      inbound: { relay: "all" },
    },
    "board.editors.{what}": { scope: { role: "editor" }, snapshot: { plugin: "kinds" }, payload: {} },
    orders: { scope: "public", payload: { type: "object", required: ["payload"], properties: { payload: { not: { const: 13 } } } } },
    lobby: { scope: "public", payload: {} },
    comings: { scope: "public", payload: {} },
  },
};

const BRIDGE = {
  rules: [
    { on: "order.*", to: "orders", when: "event.data.what != 99", payload: "event.data.what", transform: "kinds" },
    { on: "connection.*", to: "comings" },
  ],
};

describe("plugins that are no handlers", () => {
  let server;
  let scratch;
  before(async () => {
    scratch = mkdtempSync(join(tmpdir(), "tidegate-kinds-"));
    mkdirSync(join(scratch, "kinds"));
    writeFileSync(join(scratch, "kinds/plugin.yaml"), JSON.stringify(MANIFEST));
    copyFileSync(cargoBuild(join(repository, "tests/plugins/guests/kinds"), "kinds"), join(scratch, "kinds/kinds.wasm"));
    server = await Server.start({ plugins: false });
    // In one step, so that no reload sees half a plugin.
    await server.reload(() => renameSync(join(scratch, "kinds"), join(server.directory, "plugins/kinds")));
    await server.reload(() => server.write("channels/kinds.yaml", JSON.stringify(CHANNELS)));
    await server.reload(() => server.write("config/bridge.yaml", JSON.stringify(BRIDGE)));
  }, { timeout: 300_000 });
  after(async () => {
    await server?.stop();
    rmSync(scratch, { recursive: true, force: true });
  });

  describe("a snapshot", () => {
    const code = ({ ok, error }) => (ok ? "ok" : error.code);

    test("is in the ack, and what is published afterwards follows it", async () => {
      const socket = await server.connect();
      assert.deepEqual((await subscribe(socket, "board.3")).snapshot, [{ n: 0 }, { n: 1 }, { n: 2 }]);
      const arrival = next(socket, "board.3");
      assert.equal((await server.publish("board.3", { n: 3 })).status, 202);
      assert.deepEqual((await arrival)[0], { n: 3 });
    });

    for (const [what, how, expected = "handler_failed"] of [
      ["error", "that is not to be had"], ["garbage", "that is no JSON"], ["trap", "whose plugin traps"],
      ["large", "beyond `limits.output`", "payload_too_large"], ["9", "of which one payload does not match the schema"],
    ]) {
      test(`${how} refuses the subscription, and nothing reaches who asked`, async () => {
        const socket = await server.connect();
        const publications = collect(socket, `board.${what}`);
        assert.equal(code(await ask(socket, "subscribe", { channel: `board.${what}` })), expected);
        assert.equal((await server.publish(`board.${what}`, { n: 1 })).status, 202);
        assert.equal(code(await ask(socket, "subscribe", { channel: "board.1" })), "ok", "the plugin serves on");
        assert.deepEqual(publications.received, []);
      });
    }

    test("is not asked for somebody who may not subscribe", async () => {
      const [reader, editor] = [await server.connect({ token: token("u1") }), await server.connect({ token: token("u2", { roles: ["editor"] }) })];
      assert.equal(code(await ask(reader, "subscribe", { channel: "board.editors.trap" })), "forbidden");
      assert.equal(code(await ask(editor, "subscribe", { channel: "board.editors.trap" })), "handler_failed");
      assert.deepEqual((await subscribe(editor, "board.editors.1")).snapshot, [{ n: 0 }]);
    });
  });

  describe("a transform", () => {
    let ids = 0;
    // Puts orders on the bus in one batch; each says what the guest is to do with it.
    async function order(...whats) {
      const events = whats.map((what) => ({
        specversion: "1.0", id: `k${(ids += 1)}`, source: "/shop", type: "order.paid", subject: "o1", data: { what },
      }));
      const sent = await server.post("/v1/events", events, { type: "application/cloudevents-batch+json" });
      assert.equal(sent.status, 202);
      return events;
    }
    async function watched() {
      const socket = await server.connect();
      await subscribe(socket, "orders");
      return collect(socket, "orders");
    }

    test("makes the payload of the event, the topic and what the rule made of it", async () => {
      const orders = await watched();
      const [{ id, source, type, data }] = await order(7);
      assert.deepEqual((await orders.count(1))[0], { payload: 7, topic: "orders", kind: type, source, id, subject: "o1", time: "", data });
    });

    test("keeps events from crossing, and the others keep their order", async () => {
      const orders = await watched();
      await order("skip", 1, "skip", 2, 99, 3, "skip", 4);
      assert.deepEqual((await orders.count(4)).map(({ payload }) => payload), [1, 2, 3, 4]);
    });

    for (const [what, how, reason] of [
      ["error", "that cannot make a payload", /it does not fit/],
      ["trap", "that traps", /./],
      ["garbage", "whose payload is no JSON", /./],
      [13, "whose payload does not meet the channel's schema", /invalid_payload/],
    ]) {
      test(`${how} makes the event a dead letter, and those behind it cross`, async () => {
        const orders = await watched();
        const buried = server.logged("bridge.dead_letter");
        const [bad] = await order(what, 1);
        assert.match((await buried).reason, reason);
        assert.deepEqual((await orders.count(1)).map(({ payload }) => payload), [1]);
        const { dead_letters: letters } = (await server.get("/v1/dead-letters", { key: KEYS.operator })).body;
        const letter = letters.find(({ event }) => event.id === bad.id);
        assert.deepEqual([letter.rule.to, letter.event.data], ["orders", bad.data]);
      });
    }
  });

  describe("a connection listener", () => {
    // What it tells of a user, by the lobby and by the bus.
    async function watched(who) {
      const socket = await server.connect({ token: token("watcher") });
      const of = ({ user }) => user === who;
      const told = { emitted: collect(socket, "lobby", of), published: collect(socket, "comings", of) };
      for (const topic of ["lobby", "comings"]) await subscribe(socket, topic);
      return told;
    }

    test("hears of a connection that comes and goes, once each", async () => {
      const { emitted, published } = await watched("dora");
      const dora = await server.connect({ token: token("dora") });
      const [{ connection }] = await published.count(1);
      dora.close();
      const both = ["connected", "disconnected"].map((phase) => ({ phase, user: "dora", connection }));
      assert.deepEqual(await emitted.count(2), both);
      assert.deepEqual(await published.count(2), both);
    });

    test("hears of two connections of one user apart", async () => {
      const { published } = await watched("emil");
      const [one, two] = [await server.connect({ token: token("emil") }), await server.connect({ token: token("emil") })];
      one.close();
      two.close();
      const heard = await published.count(4);
      const connections = new Set(heard.map(({ connection }) => connection));
      assert.equal(connections.size, 2);
      for (const connection of connections) {
        const phases = heard.filter((each) => each.connection === connection).map(({ phase }) => phase);
        assert.deepEqual(phases, ["connected", "disconnected"]);
      }
    });

    test("hears of nobody who was refused", async () => {
      const { published } = await watched("fritz");
      const late = token("fritz", { exp: 1 });
      assert.equal(await server.refused({ token: late }), "token_expired");
      (await server.connect({ token: token("fritz") })).close();
      assert.deepEqual((await published.count(2)).map(({ phase }) => phase), ["connected", "disconnected"]);
    });

    for (const [who, why] of [["error", "that fails"], ["trap", "that traps"], ["not-granted", "that does what it may not"]]) {
      test(`${why} costs the connection nothing, and its next word is heard`, async () => {
        const fault = server.logged("plugin.fault");
        const socket = await server.connect({ token: token(who) });
        assert.ok(["failed", "trap", "not_granted"].includes((await fault).kind));
        await subscribe(socket, "lobby");
        const { published } = await watched(`after-${who}`);
        await server.connect({ token: token(`after-${who}`) });
        await published.count(1);
        assert.ok(socket.connected);
      });
    }
  });

  test("a manifest that asks for a kind it lacks changes nothing, and the reason names what it lacks", async () => {
    const asks = { ...CHANNELS, channels: { ...CHANNELS.channels, talk: { scope: "public", payload: {}, inbound: { payload: {}, handler: "kinds" } } } };
    const rejected = await server.reload(() => server.write("channels/kinds.yaml", JSON.stringify(asks)), "reload.rejected");
    assert.match(rejected.first, /kinds\.yaml:\d+:\d+: plugin `kinds` does not export `handler`/);
    const socket = await server.connect();
    assert.equal((await ask(socket, "subscribe", { channel: "talk" })).error.code, "unknown_channel");
    assert.deepEqual((await subscribe(socket, "board.1")).snapshot, [{ n: 0 }]);
  });
});
