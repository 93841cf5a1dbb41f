// What a page sends, and how its session is renewed and ends, against the real binary.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { now, token, until, within } from "@tidegate/kit/harness.mjs";
import { Line } from "@tidegate/kit/line.mjs";

import { Clients, publish, revoke, Seen, startServer, state } from "./seen.mjs";

describe("@tidegate/client", () => {
  let server;
  const clients = new Clients();
  before(async () => {
    server = await startServer((config) => ({ ...config, auth: { ...config.auth, anonymous: "deny", expiring_ahead: "2s" } }));
  });
  after(async () => {
    clients.close();
    await server?.stop();
  });

  describe("a message", () => {
    test("is answered, and reaches the subscribers", async () => {
      const client = clients.open(server.url, "s1");
      const seen = new Seen(client, "feed.send");
      // Before the page is connected: it waits for the topic.
      assert.deepEqual(await client.send("feed.send", 7), { ok: true });
      await seen.has(7);
    });

    test("that is refused gives the error of the server", async () => {
      const client = clients.open(server.url, "s2");
      const seen = await new Seen(client, "feed.refused").ready();
      const { ok, error } = await client.send("feed.refused", "no number");
      assert.deepEqual([ok, error.code, error.retry, error.details.violations.length], [false, "invalid_payload", false, 1]);
      assert.equal((await client.send("feed.elsewhere", 1)).error.code, "not_subscribed");
      assert.deepEqual(seen.publications, []);
    });

    test("that may be tried again is", async () => {
      const client = clients.open(server.url, "s3");
      const seen = await new Seen(client, "feed.rate").ready();
      // More at once than the channel's rate allows.
      const sent = await Promise.all([1, 2, 3, 4, 5, 6].map((n) => client.send("feed.rate", n)));
      assert.deepEqual(sent.filter(({ ok }) => !ok), []);
      await until("all", () => seen.publications.length === 6);
      assert.deepEqual(seen.publications.toSorted(), [1, 2, 3, 4, 5, 6]);
    });

    test("waits for a connection, in order, and no longer than it is told", async (t) => {
      const line = await Line.start(server.address);
      t.after(() => line.stop());
      const client = clients.open(line.url, "s4");
      const seen = await new Seen(client, "feed.wait").ready();
      line.isDown = true;
      line.cut();
      await until("the cut", () => client.state !== "live");
      assert.deepEqual((await client.send("feed.wait", 0, { timeoutMs: 20 })).error.code, "not_connected");
      const sent = [1, 2, 3].map((n) => client.send("feed.wait", n));
      line.isDown = false;
      assert.deepEqual((await Promise.all(sent)).map(({ ok }) => ok), [true, true, true]);
      await seen.has(1, 2, 3);
    });

    test("whose answer is lost is not sent again: it may have arrived", async (t) => {
      const line = await Line.start(server.address);
      t.after(() => line.stop());
      const client = clients.open(line.url, "s5");
      const seen = await new Seen(client, "feed.lost").ready();
      line.cutAfter(1);
      assert.equal((await client.send("feed.lost", 1)).error.code, "no_answer");
      await seen.has(1);
      await publish(server, "feed.lost", 2);
      await seen.has(1, 2);
    });
  });

  describe("a session", () => {
    test("that ends soon goes on with a fresh token, on the same connection", async () => {
      const asked = [];
      const auth = async (why) => {
        asked.push(why);
        return { token: token("t1", { exp: now() + (why === "expiring" ? 3600 : 4) }) };
      };
      const client = clients.open(server.url, undefined, { auth });
      await state(client, "live");
      const { id } = client.socket;
      const renewed = new Promise((resolve) => client.socket.onAnyOutgoing((event) => event === "authenticate" && resolve()));
      await within("the renewal", renewed);
      const seen = await new Seen(client, "feed.renewed").ready();
      await publish(server, "feed.renewed", 1);
      await seen.has(1);
      assert.deepEqual([asked, client.socket.id, client.states], [["connect", "expiring"], id, ["live"]]);
    });

    test("that expired goes on with the token that the page has then, and nothing is missing", async () => {
      let count = 0;
      const auth = (why) => (why === "expiring" ? null : { token: token("t2", { exp: now() + (++count === 1 ? 2 : 3600) }) });
      const client = clients.open(server.url, undefined, { auth });
      const seen = await new Seen(client, "feed.expired").ready();
      await publish(server, "feed.expired", 1);
      await until("another session", () => count === 2 && client.state === "live");
      await publish(server, "feed.expired", 2);
      await seen.has(1, 2);
      assert.equal(client.error, undefined);
    });

    test("that expired for good is over, and says why; with a good token it begins anew", async () => {
      let credential = { token: token("t3", { exp: now() + 2 }) };
      const client = clients.open(server.url, undefined, { auth: () => credential });
      const seen = await new Seen(client, "feed.over").ready();
      await state(client, "offline");
      assert.equal(client.error.code, "token_expired");
      assert.equal((await client.send("feed.over", 1)).error.code, "not_connected");
      await publish(server, "feed.over", 1);
      credential = { token: token("t3") };
      client.connect();
      await state(client, "live");
      await seen.has(1);
    });

    test("that is revoked is over, and nobody comes back by itself", async () => {
      const client = clients.open(server.url, "t4");
      await new Seen(client, "feed.revoked").ready();
      await revoke(server, { user: "t4" });
      await state(client, "offline");
      assert.deepEqual([client.error.code, client.socket.active], ["token_revoked", false]);
    });

    test("that is refused says why, to subscribers, too", async () => {
      const client = clients.open(server.url, undefined, { auth: { token: "forged" } });
      const { error } = await within("the answer", client.subscribe("feed.forged").ready);
      assert.deepEqual([error.code, client.error.code, client.state], ["unauthenticated", "unauthenticated", "offline"]);
    });

    test("waits for a page that cannot say yet who it is", async () => {
      let attempts = 0;
      const auth = async () => {
        if (++attempts < 3) throw new Error("the application is away");
        return { token: token("t5") };
      };
      const client = clients.open(server.url, undefined, { auth });
      await state(client, "live");
      assert.equal(attempts, 3);
    });

    test("ends with `close`, and comes back with `connect`", async () => {
      const client = clients.open(server.url, "t6");
      const seen = await new Seen(client, "feed.close").ready();
      client.close();
      assert.deepEqual([client.state, client.socket.connected], ["offline", false]);
      await publish(server, "feed.close", 1);
      client.connect();
      await seen.has(1);
    });
  });

  test("a topic that is revoked is told, and the others go on; it may be subscribed to anew", async () => {
    const client = clients.open(server.url, "r1");
    const [revoked, other] = [await new Seen(client, "feed.r1").ready(), await new Seen(client, "feed.r2").ready()];
    await revoke(server, { user: "r1", topic: "feed.r1" });
    assert.equal(await revoked.hears("revoked"), "forbidden");
    await publish(server, "feed.r1", 1);
    await publish(server, "feed.r2", 1);
    await other.has(1);
    assert.deepEqual(revoked.publications, []);
    const again = await new Seen(client, "feed.r1").ready();
    await publish(server, "feed.r1", 2);
    await again.has(2);
  });
});
