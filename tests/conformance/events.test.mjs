// Events and acknowledgements, in both directions.

import assert from "node:assert/strict";

import { conformance } from "./kit/servers.mjs";
import { transports } from "./kit/sessions.mjs";

for (const [transport, kind] of Object.entries(transports)) {
  conformance(`events over ${transport}`, {}, (server, test) => {
    const joined = async (...namespaces) => {
      const session = await kind.open(server);
      for (const namespace of ["/", ...namespaces]) await session.join(namespace);
      return session;
    };
    const leave = (session) => session.leave?.();

    for (const [what, values] of [
      ["no value", []],
      ["one text", ["hello"]],
      ["several values", [1, "2", { 3: [4] }]],
      ["every kind of JSON", [null, true, false, 0, -1.5, 1e21, "", [], {}, { a: { b: [{ c: null }] } }]],
      ["text of many alphabets", ["é€😀 日本 \u2028 \u0000 \" \\ /"]],
      ["names of JavaScript's own", [{ __proto_: 1, constructor: 2, toString: 3, hasOwnProperty: 4 }]],
      ["100,000 letters", ["x".repeat(100_000)]],
    ]) {
      test(`an event with ${what} comes back`, { says: "S7 S16 E25" }, async () => {
        const session = await joined();
        await session.send(`42${JSON.stringify(["message", ...values])}`);
        const answer = await session.receive();
        assert.equal(answer.slice(0, 2), "42");
        assert.deepEqual(JSON.parse(answer.slice(2)), ["message-back", ...values]);
        leave(session);
      });
    }

    test("an event of another namespace names it, before a comma", { says: "S7 S17" }, async () => {
      const session = await joined("/custom");
      await session.send('42/custom,["message","hello"]');
      assert.equal(await session.receive(), '42/custom,["message-back","hello"]');
      leave(session);
    });

    test("a comma in a value is no end of a namespace", { says: "S17" }, async () => {
      const session = await joined("/custom");
      await session.send('42["message","/custom,x"]');
      assert.equal(await session.receive(), '42["message-back","/custom,x"]');
      leave(session);
    });

    test("an event's name may be written with escapes", { says: "S7" }, async () => {
      const session = await joined();
      await session.send('42["mess\\u0061ge","hello"]');
      assert.equal(await session.receive(), '42["message-back","hello"]');
      leave(session);
    });

    for (const name of ["unknown", "", 'with "quotes" and \\', "über/日本 😀\n", "__proto__", "x".repeat(10_000), "1"]) {
      test(`an event that nobody handles means nothing: ${JSON.stringify(name).slice(0, 30)}`, { says: "S7" }, async () => {
        const session = await joined();
        await session.send(`42${JSON.stringify([name, 1])}`, `427${JSON.stringify([name, 2])}`);
        assert.deepEqual(await session.settled(), []);
        leave(session);
      });
    }

    test("events arrive in the order in which they were sent", { says: "S7" }, async () => {
      const session = await joined();
      const numbers = Array.from({ length: 200 }, (_, i) => i);
      await session.send(...numbers.map((n) => `42["message",${n}]`));
      const seen = [];
      while (seen.length < numbers.length) seen.push(JSON.parse((await session.receive()).slice(2))[1]);
      assert.deepEqual(seen, numbers);
      leave(session);
    });

    for (const [count, bytes] of [[500, 2_000], [5, 200_000]]) {
      test(`${count} events of ${bytes} bytes, a megabyte, arrive whole and in order`, { says: "S7" }, async () => {
        const session = await joined();
        await session.send(`42["burst",${count},${bytes}]`);
        for (let n = 0; n < count; n += 1) {
          const [name, i, text] = JSON.parse((await session.receive()).slice(2));
          assert.deepEqual([name, i, text.length], ["burst", n, bytes]);
        }
        assert.deepEqual(await session.settled(), []);
        leave(session);
      });
    }

    for (const id of ["0", "1", "12", "4294967296", "9007199254740991"]) {
      test(`an event with id ${id} is acknowledged with it`, { says: "S10 S18" }, async () => {
        const session = await joined();
        await session.send(`42${id}["message-with-ack","bar",1]`);
        assert.equal(await session.receive(), `43${id}["bar",1]`);
        leave(session);
      });
    }

    test("an acknowledgement without values is an empty array", { says: "S11" }, async () => {
      const session = await joined();
      await session.send('4212["message-with-ack"]');
      assert.equal(await session.receive(), "4312[]");
      leave(session);
    });

    test("an acknowledgement names its namespace before its id", { says: "S10 S18 S17" }, async () => {
      const session = await joined("/custom");
      await session.send('42/custom,13["message-with-ack","bar"]');
      assert.equal(await session.receive(), '43/custom,13["bar"]');
      leave(session);
    });

    test("every event of many is acknowledged once, in any number at a time", { says: "S10" }, async () => {
      const session = await joined();
      const numbers = Array.from({ length: 100 }, (_, i) => i);
      await session.send(...numbers.map((n) => `42${n}["message-with-ack",${n}]`));
      const seen = await session.settled();
      assert.deepEqual(seen.sort(), numbers.map((n) => `43${n}[${n}]`).sort());
      leave(session);
    });

    test("an id may be used again", { says: "S10" }, async () => {
      const session = await joined();
      for (const n of [1, 2]) {
        await session.send(`425["message-with-ack",${n}]`);
        assert.equal(await session.receive(), `435[${n}]`);
      }
      leave(session);
    });

    // The id of a question that the server asked.
    const asked = async (session, prefix = "") => {
      await session.send(`42${prefix}["ask"]`);
      const question = await session.receive();
      const [, id] = /^42(?:\/custom,)?(\d+)\[/.exec(question);
      assert.equal(question, `42${prefix}${id}["question"]`);
      return id;
    };

    test("the server asks for an acknowledgement and gets it", { says: "S12 S18" }, async () => {
      const session = await joined();
      const id = await asked(session);
      await session.send(`43${id}["this",{"one":1}]`);
      assert.equal(await session.receive(), '42["answered","this",{"one":1}]');
      leave(session);
    });

    test("the server's question in another namespace is answered there", { says: "S12 S17" }, async () => {
      const session = await joined("/custom");
      const id = await asked(session, "/custom,");
      await session.send(`43/custom,${id}["this"]`);
      assert.equal(await session.receive(), '42/custom,["answered","this"]');
      leave(session);
    });

    test("an empty acknowledgement is one", { says: "S11" }, async () => {
      const session = await joined();
      await session.send(`43${await asked(session)}[]`);
      assert.equal(await session.receive(), '42["answered"]');
      leave(session);
    });

    test("questions are told apart by their ids, in whatever order they are answered", { says: "S12" }, async () => {
      const session = await joined();
      const [first, second] = [await asked(session), await asked(session)];
      assert.notEqual(first, second);
      await session.send(`43${second}["to the second"]`);
      assert.equal(await session.receive(), '42["answered","to the second"]');
      await session.send(`43${first}["to the first"]`);
      assert.equal(await session.receive(), '42["answered","to the first"]');
      leave(session);
    });

    test("an acknowledgement that comes twice, or that nobody asked for, means nothing", { says: "S12" }, async () => {
      const session = await joined();
      const id = await asked(session);
      await session.send(`43${id}[1]`, `43${id}[2]`, "43987654[3]");
      assert.equal(await session.receive(), '42["answered",1]');
      assert.deepEqual(await session.settled(), []);
      leave(session);
    });
  });
}
