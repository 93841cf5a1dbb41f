// Who receives what, and nobody else.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { ask, collect, next, Server, subscribe, TRANSPORTS, token } from "@tidegate/kit/harness.mjs";

describe("fan-out", () => {
  let server;
  before(async () => {
    server = await Server.start();
  });
  after(() => server?.stop());

  test("a message reaches a hundred sockets, each once", async () => {
    const sockets = await Promise.all(
      Array.from({ length: 100 }, (_, index) =>
        server.connect({ token: token(`u${index}`), transport: TRANSPORTS[index % 10 === 0 ? 1 : 0] }),
      ),
    );
    await Promise.all(sockets.map((socket) => subscribe(socket, "realtime-ping")));
    const inboxes = sockets.map((socket) => collect(socket, "realtime-ping"));
    assert.equal((await ask(sockets[0], "realtime-ping", { n: 1 })).ok, true);
    assert.equal((await ask(sockets[1], "realtime-ping", { n: 2 })).ok, true);
    for (const inbox of inboxes) assert.deepEqual(await inbox.count(2), [{ pong: 1 }, { pong: 2 }]);
    for (const socket of sockets) socket.close();
  });

  test("a topic's subscribers receive, those of another topic of the channel do not, nor does the sender", async () => {
    const [sender, same, other] = await Promise.all(["a", "b", "c"].map((user) => server.connect({ token: token(user) })));
    await subscribe(sender, "e2e.room.1");
    await subscribe(same, "e2e.room.1");
    await subscribe(other, "e2e.room.2");
    const [inbox, elsewhere, own] = [
      collect(same, "e2e.room.1"),
      collect(other, "e2e.room.1"),
      collect(sender, "e2e.room.1"),
    ];
    for (const n of [1, 2, 3]) assert.equal((await ask(sender, "e2e.room.1", { n })).ok, true);
    assert.deepEqual(await inbox.count(3), [{ n: 1 }, { n: 2 }, { n: 3 }]);
    // An ack comes after everything that was sent to its socket before.
    await ask(other, "unsubscribe", { channel: "e2e.room.2" });
    await ask(sender, "unsubscribe", { channel: "e2e.room.1" });
    assert.deepEqual(elsewhere.received, []);
    assert.deepEqual(own.received, []);
  });

  test("whoever left receives no more", async () => {
    const [stays, leaves] = await Promise.all(["a", "b"].map((user) => server.connect({ token: token(user) })));
    await subscribe(stays, "e2e.room.3");
    await subscribe(leaves, "e2e.room.3");
    const [kept, gone] = [collect(stays, "e2e.room.3"), collect(leaves, "e2e.room.3")];
    await server.publish("e2e.room.3", { n: 1 });
    await gone.count(1);
    await ask(leaves, "unsubscribe", { channel: "e2e.room.3" });
    await server.publish("e2e.room.3", { n: 2 });
    await kept.count(2);
    await ask(leaves, "unsubscribe", { channel: "e2e.room.3" });
    assert.deepEqual(gone.received, [{ n: 1 }]);
  });

  test("messages of one socket on one topic arrive in the order they were sent", async () => {
    const [sender, reader] = await Promise.all(["a", "b"].map((user) => server.connect({ token: token(user) })));
    await subscribe(sender, "e2e.room.4");
    await subscribe(reader, "e2e.room.4");
    const inbox = collect(reader, "e2e.room.4");
    const numbers = Array.from({ length: 200 }, (_, n) => n);
    const acks = await Promise.all(numbers.map((n) => ask(sender, "e2e.room.4", { n })));
    assert.ok(acks.every((ack) => ack.ok));
    assert.deepEqual((await inbox.count(200)).map(({ n }) => n), numbers);
  });

  for (const transport of TRANSPORTS) {
    test(`what a backend publishes to a user reaches every socket of that user and nobody else, over ${transport}`, async () => {
      const [phone, laptop, stranger] = await Promise.all(
        ["u42", "u42", "u43"].map((user) => server.connect({ token: token(user), transport })),
      );
      await subscribe(phone, "e2e.inbox.u42");
      await subscribe(laptop, "e2e.inbox.u42");
      await subscribe(stranger, "e2e.inbox.u43");
      const wrong = collect(stranger, "e2e.inbox.u42");
      const arrivals = [next(phone, "e2e.inbox.u42"), next(laptop, "e2e.inbox.u42")];
      assert.equal((await server.publish("e2e.inbox.u42", { text: "hello" })).status, 202);
      for (const arrival of arrivals) assert.deepEqual(await arrival, [{ text: "hello" }, {}]);
      await ask(stranger, "unsubscribe", { channel: "e2e.inbox.u43" });
      assert.deepEqual(wrong.received, []);
    });
  }
});
