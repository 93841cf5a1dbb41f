// What subscribers receive from the real binary: publications once and in order, last values, presence, refusals.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { Server, until, within } from "@tidegate/kit/harness.mjs";
import { Line } from "@tidegate/kit/line.mjs";

import { Clients, numbers, publish, Seen, startServer, state } from "./seen.mjs";

describe("@tidegate/client", () => {
  let server;
  const clients = new Clients();
  const lines = [];
  before(async () => {
    server = await startServer();
  });
  after(async () => {
    clients.close();
    lines.forEach((line) => line.stop());
    await server?.stop();
  });

  // A client behind a line of its own.
  const behindLine = async (user, options) => {
    const line = await Line.start(server.address);
    lines.push(line);
    const client = clients.open(line.url, user, options);
    await state(client, "live");
    const away = async (meanwhile) => {
      line.isDown = true;
      line.cut();
      await until("the cut", () => client.state !== "live");
      await meanwhile();
      line.isDown = false;
      await state(client, "live");
    };
    return { client, line, away };
  };
  // How often the server was asked to subscribe to a topic.
  const asked = (client, topic, event = "subscribe") => {
    const packets = [];
    client.socket.onAnyOutgoing((name, body) => name === event && body.channel === topic && packets.push(body));
    return packets;
  };

  describe("publications", () => {
    test("come to every subscriber, with their positions", async () => {
      const client = clients.open(server.url, "u1");
      const [one, other] = [new Seen(client, "feed.all"), new Seen(client, "feed.all")];
      await one.ready();
      await other.ready();
      await publish(server, "feed.all", 1, 2);
      await one.has(1, 2);
      await other.has(1, 2);
      assert.equal(one.subscription.position.offset, 2);
    });

    test("that were missed come once and in order, however often the line is cut", async () => {
      const { client, away } = await behindLine("u1");
      const seen = await new Seen(client, "feed.cut").ready();
      let n = 0;
      for (let cut = 0; cut < 5; cut += 1) {
        await publish(server, "feed.cut", ++n);
        await away(() => publish(server, "feed.cut", ++n, ++n));
        await publish(server, "feed.cut", ++n);
      }
      await seen.has(...numbers(1, n));
      assert.deepEqual(seen.of("gap"), []);
    });

    test("come once and in order while they are published and the line is cut all the time", async () => {
      const { client, line } = await behindLine("u1");
      const seen = await new Seen(client, "feed.storm").ready();
      let cuts = 0;
      client.onState((state) => {
        if (state !== "live" || cuts === 10) return;
        cuts += 1;
        line.cutAfter(400);
      });
      line.cut();
      let n = 0;
      while (cuts < 10) await publish(server, "feed.storm", ++n);
      await publish(server, "feed.storm", ++n);
      await seen.has(...numbers(1, n));
      assert.deepEqual(seen.of("gap"), []);
    });

    test("that a history does not hold any more are a gap, and it goes on behind it", async () => {
      const { client, away } = await behindLine();
      const seen = await new Seen(client, "short.gap").ready();
      await publish(server, "short.gap", 1);
      await seen.has(1);
      await away(() => publish(server, "short.gap", 2, 3, 4));
      assert.equal(await seen.hears("gap"), "too_many");
      await publish(server, "short.gap", 5);
      await seen.has(1, 5);
    });

    test("of a channel without history may be missing after a cut: it is told", async () => {
      const { client, away } = await behindLine();
      const seen = await new Seen(client, "plain.gap").ready();
      await away(() => publish(server, "plain.gap", "lost"));
      assert.equal(await seen.hears("gap"), "no_history");
      await publish(server, "plain.gap", "next");
      await seen.has("next");
    });

    test("come after a position that the page brings", async () => {
      const client = clients.open(server.url, "u1");
      await publish(server, "feed.since", 1, 2, 3);
      const { ok, publications } = await client.history("feed.since", { limit: 2 });
      assert.deepEqual([ok, publications.map(({ payload }) => payload)], [true, [2, 3]]);
      const other = await new Seen(client, "feed.since").ready();
      const seen = await new Seen(client, "feed.since", { since: publications[0].meta }).ready();
      await publish(server, "feed.since", 4);
      await seen.has(3, 4);
      await other.has(4);
    });

    test("go on after the server was started anew, behind a gap", async (t) => {
      let own = await startServer();
      t.after(() => own.stop());
      const client = clients.open(own.url);
      const seen = await new Seen(client, "short.anew").ready();
      await publish(own, "short.anew", 1);
      await seen.has(1);
      await own.stop({ keep: true });
      own = await Server.start({ directory: own.directory, listen: own.address });
      assert.equal(await seen.hears("gap"), "epoch_changed");
      await publish(own, "short.anew", 2);
      await seen.has(1, 2);
      assert.equal(client.states.at(-1), "live");
    });
  });

  describe("subscribers of a topic", () => {
    test("share one subscription of the server, until the last one leaves", async () => {
      const client = clients.open(server.url, "u1");
      const [subscribed, unsubscribed] = [asked(client, "plain.share"), asked(client, "plain.share", "unsubscribe")];
      const one = await new Seen(client, "plain.share").ready();
      const other = await new Seen(client, "plain.share").ready();
      assert.equal(subscribed.length, 1);
      one.subscription.unsubscribe();
      await publish(server, "plain.share", 1);
      await other.has(1);
      assert.deepEqual([one.publications, unsubscribed.length], [[], 0]);
      other.subscription.unsubscribe();
      await until("the end", () => unsubscribed.length === 1);
    });

    test("that leaves and comes back in one go keeps it", async () => {
      const client = clients.open(server.url, "u1");
      const [subscribed, unsubscribed] = [asked(client, "feed.strict"), asked(client, "feed.strict", "unsubscribe")];
      await state(client, "live");
      new Seen(client, "feed.strict").subscription.unsubscribe();
      const seen = await new Seen(client, "feed.strict").ready();
      await publish(server, "feed.strict", 1);
      await seen.has(1);
      assert.deepEqual([subscribed.length, unsubscribed.length], [1, 0]);
    });

    test("that leaves while the answer is under way receives nothing, and who comes then begins anew", async () => {
      const client = clients.open(server.url, "u1");
      await state(client, "live");
      const gone = new Seen(client, "feed.early");
      gone.subscription.unsubscribe();
      await Promise.resolve();
      const unsubscribed = new Promise((resolve) => client.socket.onAnyOutgoing((event) => event === "unsubscribe" && resolve()));
      const again = new Seen(client, "feed.early");
      again.subscription.unsubscribe();
      await within("the end", unsubscribed);
      const seen = await new Seen(client, "feed.early").ready();
      await publish(server, "feed.early", 1);
      await seen.has(1);
      assert.deepEqual([gone.all, again.all], [[], []]);
    });

    test("may leave in a handler; a handler that throws takes nothing from the others", async (t) => {
      const client = clients.open(server.url, "u1");
      // The mistake surfaces as any other; here in place of the runner's own listeners.
      const listeners = process.listeners("uncaughtException");
      process.removeAllListeners("uncaughtException");
      t.after(() => listeners.forEach((listener) => process.on("uncaughtException", listener)));
      const thrown = new Promise((resolve) => process.once("uncaughtException", resolve));
      const first = new Seen(client, "feed.leave", { onPublication: (n) => { if (n === 1) throw new Error("a mistake of the page"); } });
      const once = new Seen(client, "feed.leave", { onPublication: (n) => { once.all.push(n); once.subscription.unsubscribe(); } });
      const last = await new Seen(client, "feed.leave").ready();
      await publish(server, "feed.leave", 1, 2);
      await last.has(1, 2);
      first.subscription.unsubscribe();
      assert.deepEqual(once.all, [1]);
      assert.equal((await within("the mistake", thrown)).message, "a mistake of the page");
    });

    test("hear typed errors where they are refused", async () => {
      const client = clients.open(server.url, "u1");
      for (const [topic, code] of [["editors", "forbidden"], ["nothing.here", "unknown_channel"]]) {
        const seen = new Seen(client, topic);
        const { ok, error } = await within("the answer", seen.subscription.ready);
        assert.deepEqual([ok, error.code, error.retry, seen.all], [false, code, false, []]);
      }
    });
  });

  describe("last values", () => {
    const at = (device, at) => ({ device, at });

    test("are held by key: from the snapshot, from publications, without what was removed", async () => {
      const topic = "fleet.values";
      await publish(server, topic, at("a", 1), at("b", 1));
      const client = clients.open(server.url);
      const seen = await new Seen(client, topic, { key: ({ device }) => device }).ready();
      const values = () => Object.fromEntries([...seen.subscription.values].map(([key, { at }]) => [key, at]));
      assert.deepEqual(values(), { a: 1, b: 1 });
      await publish(server, topic, at("a", 2), at("c", 1));
      await until("c", () => values().c);
      assert.deepEqual(values(), { a: 2, b: 1, c: 1 });
      assert.equal((await server.delete(`/v1/channels/${topic}/retained?key=b`)).status, 200);
      assert.equal(await seen.hears("removed"), "b");
      assert.deepEqual(values(), { a: 2, c: 1 });
    });

    test("that were taken away while the page was away are forgotten", async () => {
      const topic = "fleet.away";
      await publish(server, topic, at("a", 1), at("b", 1));
      const { client, away } = await behindLine();
      const seen = await new Seen(client, topic, { key: ({ device }) => device }).ready();
      await away(async () => {
        await server.delete(`/v1/channels/${topic}/retained?key=a`);
        await publish(server, topic, at("b", 2));
      });
      await seen.hears("snapshot", 2);
      assert.deepEqual([...seen.subscription.values], [["b", at("b", 2)]]);
      assert.deepEqual(seen.all.map(([what]) => what), ["snapshot", "gap", "snapshot"]);
    });

    test("come to who joins later, and to nobody twice", async () => {
      const topic = "fleet.later";
      await publish(server, topic, at("a", 1));
      const client = clients.open(server.url);
      const first = await new Seen(client, topic).ready();
      await publish(server, topic, at("a", 2));
      await first.has(at("a", 2));
      const second = await new Seen(client, topic).ready();
      assert.deepEqual(second.all, [["snapshot", [["a", at("a", 2)]]]]);
      assert.equal(first.of("snapshot").length, 1);
    });
  });

  test("presence is told as who is there now, also to who joins later", async () => {
    const [ada, ben] = [clients.open(server.url, "ada"), clients.open(server.url, "ben")];
    const seen = await new Seen(ada, "room.p", { info: { mood: "calm" } }).ready();
    const members = (count) => until(`${count} members`, () => seen.subscription.presence?.members.length === count);
    const other = await new Seen(ben, "room.p").ready();
    await members(2);
    assert.deepEqual(seen.subscription.presence.members.toSorted((a, b) => (a.user < b.user ? -1 : 1)), [
      { user: "ada", info: { mood: "calm" } }, { user: "ben" },
    ]);
    const later = await new Seen(ada, "room.p").ready();
    assert.equal((await later.hears("presence")).count, 2);
    other.subscription.unsubscribe();
    await members(1);
  });
});
