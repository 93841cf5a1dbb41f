// Connections to namespaces, several on one session, and their ends.

import assert from "node:assert/strict";

import { conformance } from "./kit/servers.mjs";
import { Polling, transports } from "./kit/sessions.mjs";

for (const [transport, kind] of Object.entries(transports)) {
  conformance(`namespaces over ${transport}`, {}, (server, test) => {
    const open = () => kind.open(server);
    const leave = (session) => session.leave?.();
    // Sends what ends the session, in one go; the answer of polling may already be about its end.
    const provoke = async (session, ...packets) => {
      if (session instanceof Polling) await session.post(packets.join("\x1e"));
      else await session.send(...packets);
      await session.ended();
    };

    test("the main namespace answers with a session id alone", { says: "S1 S16 S17" }, async () => {
      const session = await open();
      await session.send("40");
      const answer = await session.receive();
      assert.match(answer, /^40\{"sid":"[^"]+"\}$/);
      assert.equal(await session.receive(), '42["auth",{}]');
      leave(session);
    });

    test("another namespace is named in the answer, before a comma", { says: "S1 S17" }, async () => {
      const session = await open();
      await session.send("40/custom,");
      assert.match(await session.receive(), /^40\/custom,\{"sid":"[^"]+"\}$/);
      assert.equal(await session.receive(), '42/custom,["auth",{}]');
      leave(session);
    });

    test("a namespace may end with the packet, without a comma", { says: "S17" }, async () => {
      const session = await open();
      await session.send("40/custom");
      assert.match(await session.receive(), /^40\/custom,\{/);
      leave(session);
    });

    for (const namespace of ["/", "/custom"]) {
      test(`what CONNECT to ${namespace} brings reaches the application`, { says: "S5" }, async () => {
        const session = await open();
        await session.join(namespace, { token: "123", nested: { list: [1, null, true, "é"] } });
        leave(session);
      });
    }

    test("ids are of the namespace's connection: not the session's, and each another", { says: "S24" }, async () => {
      const session = await open();
      const [main, custom] = [await session.join(), await session.join("/custom")];
      assert.equal(new Set([session.sid, main, custom]).size, 3);
      leave(session);
    });

    test("an unknown namespace is refused, and the session goes on", { says: "S2 S6 S25" }, async () => {
      const session = await open();
      await session.send("40/unknown,");
      assert.equal(await session.receive(), '44/unknown,{"message":"Invalid namespace"}');
      await session.join();
      await session.send('40/unknown,{"token":"123"}');
      assert.equal(await session.receive(), '44/unknown,{"message":"Invalid namespace"}');
      assert.deepEqual(await session.settled(), []);
      leave(session);
    });

    test("a refusal carries what the application says, and may be asked for again", { says: "S2 S6 S25" }, async () => {
      const session = await open();
      for (let i = 0; i < 2; i += 1) {
        await session.send("40/refused,");
        assert.equal(await session.receive(), '44/refused,{"message":"no entry","data":{"code":"forbidden"}}');
      }
      await session.join("/custom");
      leave(session);
    });

    test("several namespaces share a session, and their events do not cross", { says: "S4 S7" }, async () => {
      const session = await open();
      await session.join();
      await session.join("/custom");
      await session.send('42/custom,["message","custom"]', '42["message","main"]');
      const answers = [await session.receive(), await session.receive()];
      assert.deepEqual(answers, ['42/custom,["message-back","custom"]', '42["message-back","main"]']);
      leave(session);
    });

    for (const [what, packet] of [
      ["an event", '42["message","hello"]'],
      ["an ack", "430[]"],
      ["a disconnect", "41"],
      ["an event of a namespace", '42/custom,["message","hello"]'],
      ["a binary event", '451-["message",{"_placeholder":true,"num":0}]'],
    ]) {
      test(`${what} before any CONNECT closes the session`, { says: "S3 S23" }, async () => {
        const session = await open();
        await provoke(session, packet, ...(packet.startsWith("45") ? [session instanceof Polling ? "bAQ==" : Buffer.of(1)] : []));
      });
    }

    for (const [what, packet] of [
      ["an event", '42/custom,["message","hello"]'],
      ["a disconnect", "41/custom,"],
      ["an event of an unknown namespace", '42/unknown,["message","hello"]'],
      ["a second CONNECT to the namespace that it has", "40"],
    ]) {
      test(`${what} of a namespace that is not in that state closes the session`, { says: "S3" }, async () => {
        const session = await open();
        await session.join();
        await provoke(session, packet);
      });
    }

    test("the client leaves a namespace without an answer, and the others go on", { says: "S14 S15" }, async () => {
      const session = await open();
      await session.join();
      await session.join("/custom");
      await session.send("41/custom,");
      assert.deepEqual(await session.settled(), []);
      await provoke(session, '42/custom,["message","too late"]');
    });

    test("the client leaves its only namespace and comes back under another id", { says: "S14 S15" }, async () => {
      const session = await open();
      const first = await session.join("/custom");
      await session.join();
      await session.send("41/custom,");
      assert.deepEqual(await session.settled(), []);
      const second = await session.join("/custom");
      assert.notEqual(first, second);
      assert.deepEqual(await session.settled("/custom"), []);
      leave(session);
    });

    // findings/leave-and-come-back-at-once.sh shows it with the stock client.
    const why = "the reference closes the session when both packets come at once";
    test("the client leaves a namespace and comes back in one go", { says: "S14 S15", only: "tidegate", why }, async () => {
      const session = await open();
      await session.join();
      const first = await session.join("/custom");
      await session.send("41/custom,", "40/custom,");
      const answer = await session.receive();
      assert.match(answer, /^40\/custom,\{"sid":"[^"]+"\}$/);
      assert.ok(!answer.includes(first));
      assert.equal(await session.receive(), '42/custom,["auth",{}]');
      assert.deepEqual(await session.settled(), []);
      leave(session);
    });

    test("the server ends a namespace with DISCONNECT, and the others go on", { says: "S14 S15 S17" }, async () => {
      const session = await open();
      await session.join();
      await session.join("/custom");
      await session.send('42/custom,["kick"]');
      assert.equal(await session.receive(), "41/custom,");
      assert.deepEqual(await session.settled(), []);
      await session.join("/custom");
      await session.send('42["kick"]');
      assert.equal(await session.receive(), "41");
      assert.deepEqual(await session.settled("/custom"), []);
      leave(session);
    });

    test("a client that was put out of its only namespace may come back", { says: "S14 S15" }, async () => {
      const session = await open();
      const first = await session.join();
      await session.send('42["kick"]');
      assert.equal(await session.receive(), "41");
      assert.notEqual(await session.join(), first);
      leave(session);
    });

    test("an event that follows a DISCONNECT of the server closes the session", { says: "S14" }, async () => {
      const session = await open();
      await session.join();
      await session.send('42["kick"]');
      assert.equal(await session.receive(), "41");
      await provoke(session, '42["message","too late"]');
    });
  });
}
