// How a session ends, from either side, and what is known of it afterwards.

import assert from "node:assert/strict";

import { conformance } from "./kit/servers.mjs";
import { Polling, Socket, Upgraded, assertForgotten, transports } from "./kit/sessions.mjs";
import { Wire, frame } from "./kit/wire.mjs";

const websockets = { "a websocket": Socket, "a websocket after polling": Upgraded };

conformance("closing", {}, (server, test) => {
  const joined = async (transport) => {
    const session = await transport.open(server);
    await session.join();
    return session;
  };

  test("a close packet by polling ends the session: the GET that waits is answered with `6`", { says: "E33" }, async () => {
    const session = await joined(Polling);
    const poll = await session.waits();
    assert.equal((await session.post("1")).text, "ok");
    const answer = await poll.answer;
    assert.equal(answer.status, 200);
    assert.equal(answer.text, "6");
    await assertForgotten(server, session.sid);
  });

  test("packets behind a close packet are not handled", { says: "E33" }, async () => {
    const session = await joined(Polling);
    const poll = await session.waits();
    await session.post('1\x1e42["message","too late"]');
    assert.equal((await poll.answer).text, "6");
    await assertForgotten(server, session.sid);
  });

  for (const [transport, kind] of Object.entries(websockets)) {
    test(`a close packet by ${transport} closes it`, { says: "E33", only: "tidegate", why: "the reference leaves it to the client, and waits for the heartbeat" }, async () => {
      const session = await joined(kind);
      await session.send("1");
      await session.ended();
      await assertForgotten(server, session.sid);
    });

    test(`the client's close of ${transport} ends the session`, {}, async () => {
      const session = await joined(kind);
      session.websocket.close();
      await session.ended();
      await assertForgotten(server, session.sid);
    });

    test(`the server closes ${transport} without a close packet, which some clients take as final`, {}, async () => {
      const session = await joined(kind);
      await session.send('42["hang-up"]');
      assert.deepEqual(await session.ended(), []);
      await assertForgotten(server, session.sid);
    });
  }

  test("a connection that is cut ends the session of its websocket", {}, async () => {
    const wire = await Wire.websocket(server, { opens: false });
    const { sid } = JSON.parse((await wire.frame()).text.slice(1));
    wire.cut();
    await assertForgotten(server, sid);
  });

  // Two megabytes are more than a client may be behind, and more than waits for one.
  test("a client that reads nothing is let go when the server ends the session", {}, async () => {
    const wire = await Wire.websocket(server, { opens: false });
    const { sid } = JSON.parse((await wire.frame()).text.slice(1));
    wire.write(frame("40"));
    assert.match((await wire.frame()).text, /^40\{"sid"/);
    wire.socket.pause();
    wire.write(Buffer.concat([frame('42["burst",200,10000]'), frame('42["hang-up"]')]));
    await assertForgotten(server, sid);
    wire.cut();
  });

  test("a connection that its client ends without a close frame is ended by the server too", {}, async () => {
    const wire = await Wire.websocket(server);
    wire.socket.end();
    await wire.ended;
  });

  test("the server ends a session by polling: the GET that waits is answered with `1`", { says: "E33" }, async () => {
    const session = await joined(Polling);
    const poll = await session.waits();
    await session.post('42["hang-up"]');
    const answer = await poll.answer;
    assert.equal(answer.status, 200);
    assert.equal(answer.text, "1");
    await assertForgotten(server, session.sid);
  });

  test("the server ends a session by polling between two polls: the next GET hears `1`", { says: "E33" }, async () => {
    const session = await joined(Polling);
    await session.post('42["hang-up"]');
    assert.equal((await session.ended()).at(-1), "1");
  });

  for (const [transport, kind] of Object.entries(transports)) {
    test(`what was sent before the server ends the session arrives, over ${transport}`, {}, async () => {
      const session = await joined(kind);
      if (session instanceof Polling) await session.post('42["burst",20,10]\x1e42["hang-up"]');
      else await session.send('42["burst",20,10]', '42["hang-up"]');
      const events = (await session.ended()).filter((packet) => packet.startsWith("42"));
      assert.deepEqual(events.map((event) => JSON.parse(event.slice(2))[1]), Array.from({ length: 20 }, (_, i) => i));
    });
  }

  for (const [transport, kind] of Object.entries(transports)) {
    test(`a noop from the client means nothing, over ${transport}`, {}, async () => {
      const session = await joined(kind);
      await session.send("6");
      assert.deepEqual(await session.settled(), []);
      session.leave?.();
    });
  }

  test("the end of one session is nothing to another", {}, async () => {
    const [leaves, stays] = [await joined(Socket), await joined(Socket)];
    leaves.websocket.close();
    await leaves.ended();
    assert.deepEqual(await stays.settled(), []);
    stays.leave();
  });
});

const CONNECT_MS = 500;
const RESOLUTION_MS = 20;

conformance("a session that connects to no namespace", { connect_timeout_ms: CONNECT_MS }, (server, test) => {
  for (const [transport, kind] of Object.entries(transports)) {
    test(`ends after the connect timeout, not before, over ${transport}`, { says: "S3" }, async () => {
      const began = performance.now();
      const session = await kind.open(server);
      const packets = await session.ended();
      assert.deepEqual(packets.filter((packet) => packet !== "1"), []);
      assert.ok(performance.now() - began >= CONNECT_MS - RESOLUTION_MS);
    });

    test(`ends after the connect timeout when all namespaces refused it, over ${transport}`, { says: "S3" }, async () => {
      const session = await kind.open(server);
      await session.send("40/unknown,");
      assert.equal(await session.receive(), '44/unknown,{"message":"Invalid namespace"}');
      await session.ended();
    });

    test(`stays when it connected, over ${transport}`, { says: "S1" }, async () => {
      const session = await kind.open(server);
      await session.join("/custom");
      // A session that begins later and connects to nothing tells the time.
      const other = await Socket.open(server);
      await other.ended();
      assert.deepEqual(await session.settled("/custom"), []);
      session.leave?.();
    });
  }

  test("half a frame is not a word: the websocket ends all the same", { says: "S3" }, async () => {
    const wire = await Wire.websocket(server);
    wire.write(frame('40{"token":"abc"}').subarray(0, 5));
    await wire.closeCode();
    wire.cut();
  });
});
