// Events and acknowledgements with bytes: placeholders in the text, attachments behind it.

import assert from "node:assert/strict";

import { conformance } from "./kit/servers.mjs";
import { receiveValues, transports } from "./kit/sessions.mjs";

const hole = (num) => ({ _placeholder: true, num });
const bytes = (...values) => Buffer.from(values);

for (const [transport, kind] of Object.entries(transports)) {
  conformance(`binary over ${transport}`, {}, (server, test) => {
    const joined = async (...namespaces) => {
      const session = await kind.open(server);
      for (const namespace of ["/", ...namespaces]) await session.join(namespace);
      return session;
    };
    const leave = (session) => session.leave?.();

    test("an event with bytes is a text with a placeholder, and the bytes behind it", { says: "S9 S19 S16" }, async () => {
      const session = await joined();
      await session.send('451-["message","baz",{"_placeholder":true,"num":0}]', bytes(1, 2, 3, 4));
      assert.equal(await session.receive(), '451-["message-back","baz",{"_placeholder":true,"num":0}]');
      assert.deepEqual(await session.receive(), bytes(1, 2, 3, 4));
      leave(session);
    });

    test("several attachments of another namespace come in the order of their numbers", { says: "S9 S19 S17" }, async () => {
      const session = await joined("/custom");
      await session.send(`452-/custom,${JSON.stringify(["message", hole(0), hole(1)])}`, bytes(1, 2), bytes(3, 4));
      assert.equal(
        await session.receive(),
        '452-/custom,["message-back",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]',
      );
      assert.deepEqual(await session.receive(), bytes(1, 2));
      assert.deepEqual(await session.receive(), bytes(3, 4));
      leave(session);
    });

    test("placeholders may stand anywhere, in any order", { says: "S19" }, async () => {
      const session = await joined();
      const event = ["message", { list: [hole(2), { deep: hole(0) }], text: "€" }, null, hole(1)];
      await session.send(`453-${JSON.stringify(event)}`, bytes(0), bytes(1), bytes(2));
      const { head, values } = await receiveValues(session);
      assert.equal(head, "453-");
      assert.deepEqual(values, ["message-back", { list: [bytes(2), { deep: bytes(0) }], text: "€" }, null, bytes(1)]);
      leave(session);
    });

    test("an attachment may be empty, and may be large", { says: "S9" }, async () => {
      const session = await joined();
      const large = Buffer.alloc(100_000, "0123456789abcdef");
      await session.send(`452-${JSON.stringify(["message", hole(0), hole(1)])}`, Buffer.alloc(0), large);
      const { values } = await receiveValues(session);
      assert.deepEqual(values, ["message-back", Buffer.alloc(0), large]);
      leave(session);
    });

    test("ten attachments are taken", { says: "S19" }, async () => {
      const session = await joined();
      const numbers = Array.from({ length: 10 }, (_, i) => i);
      await session.send(`4510-${JSON.stringify(["message", ...numbers.map(hole)])}`, ...numbers.map((n) => bytes(n)));
      const { head, values } = await receiveValues(session);
      assert.equal(head, "4510-");
      assert.deepEqual(values.slice(1), numbers.map((n) => bytes(n)));
      leave(session);
    });

    test("a binary event is acknowledged, with bytes when the answer has some", { says: "S10 S13 S18" }, async () => {
      const session = await joined();
      await session.send('451-15["message-with-ack","bar",{"_placeholder":true,"num":0}]', bytes(1, 2, 3, 4));
      assert.equal(await session.receive(), '461-15["bar",{"_placeholder":true,"num":0}]');
      assert.deepEqual(await session.receive(), bytes(1, 2, 3, 4));
      leave(session);
    });

    test("a binary acknowledgement names its namespace before its id", { says: "S13 S17 S18" }, async () => {
      const session = await joined("/custom");
      await session.send('451-/custom,1["message-with-ack",{"_placeholder":true,"num":0}]', bytes(9));
      assert.equal(await session.receive(), '461-/custom,1[{"_placeholder":true,"num":0}]');
      assert.deepEqual(await session.receive(), bytes(9));
      leave(session);
    });

    test("the answer to the server's question may have bytes", { says: "S12 S13" }, async () => {
      const session = await joined();
      await session.send('42["ask"]');
      const [, id] = /^42(\d+)\["question"\]$/.exec(await session.receive());
      await session.send(`461-${id}["bar",{"_placeholder":true,"num":0}]`, bytes(8, 9));
      assert.deepEqual(await receiveValues(session), { head: "451-", values: ["answered", "bar", bytes(8, 9)] });
      leave(session);
    });

    test("a pong between a text and its attachments does not part them", { says: "S19 E20" }, async () => {
      const session = await joined();
      await session.send(`452-${JSON.stringify(["message", hole(0), hole(1)])}`, "3", bytes(1), "3", bytes(2));
      const { values } = await receiveValues(session);
      assert.deepEqual(values, ["message-back", bytes(1), bytes(2)]);
      leave(session);
    });

    test("attachments may come later than their text", { says: "S19" }, async () => {
      const session = await joined();
      await session.send('451-["message",{"_placeholder":true,"num":0}]');
      await session.send("3");
      await session.send(bytes(5));
      const { values } = await receiveValues(session);
      assert.deepEqual(values, ["message-back", bytes(5)]);
      leave(session);
    });

    test("what looks like a placeholder in an event without attachments is a value", { says: "S19" }, async () => {
      const session = await joined();
      await session.send('42["message",{"_placeholder":true,"num":0}]');
      const { head, values } = await receiveValues(session);
      assert.equal(head, "42");
      assert.deepEqual(values, ["message-back", hole(0)]);
      leave(session);
    });

    test("events with and without bytes keep their order", { says: "S7 S9" }, async () => {
      const session = await joined();
      const packets = [];
      for (let n = 0; n < 20; n += 1) {
        packets.push(`42["message",${n}]`, `451-["message",${n},{"_placeholder":true,"num":0}]`, bytes(n));
      }
      await session.send(...packets);
      for (let n = 0; n < 20; n += 1) {
        assert.deepEqual((await receiveValues(session)).values, ["message-back", n]);
        assert.deepEqual((await receiveValues(session)).values, ["message-back", n, bytes(n)]);
      }
      leave(session);
    });
  });
}
