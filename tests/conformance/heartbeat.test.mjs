// The server asks at an interval whether the client is there, and ends the session of a client that does not answer.

import assert from "node:assert/strict";

import { UNKNOWN_SESSION, assertRefused } from "./kit/http.mjs";
import { conformance } from "./kit/servers.mjs";
import { Polling, Socket, transports } from "./kit/sessions.mjs";

// A timer of the server may be early by its resolution, seen from a client whose own clock is another.
const RESOLUTION_MS = 20;

const INTERVAL_MS = 300;

conformance("a heartbeat that is answered", { ping_interval_ms: INTERVAL_MS, ping_timeout_ms: 8_000 }, (server, test) => {
  for (const [transport, { open }] of Object.entries(transports)) {
    test(`a ping comes each interval, not before the first, and the session stays, over ${transport}`, { says: "E18 E20" }, async () => {
      let last = performance.now();
      const session = await open(server, { pongs: false });
      const waits = [];
      for (let i = 0; i < 3; i += 1) {
        assert.equal(await session.receive(), "2");
        const now = performance.now();
        waits.push(now - last);
        last = now;
        await session.send("3");
      }
      for (const ms of waits) assert.ok(ms >= INTERVAL_MS - RESOLUTION_MS, `pings after ${waits} ms`);
      session.pongs = true;
      await session.join();
      session.leave?.();
    });
  }

  for (const [transport, { open }] of Object.entries(transports)) {
    for (const ping of ["2", "2probe"]) {
      test(`\`${ping}\` from the client ends the session: only the server asks, over ${transport}`, { says: "E18" }, async () => {
        const session = await open(server);
        if (session instanceof Polling) await session.post(ping);
        else await session.send(ping);
        await session.ended();
      });
    }
  }

  test("an answer that nobody asked for means nothing", { says: "E20" }, async () => {
    const socket = await Socket.open(server);
    await socket.join();
    await socket.send("3", "3", "3");
    assert.deepEqual(await socket.settled(), []);
    socket.leave();
  });

  test("pings go on by the websocket after an upgrade", { says: "E18 E23" }, async () => {
    const polling = await Polling.open(server, { pongs: false });
    assert.equal(await polling.receive(), "2");
    await polling.send("3");
    const socket = await Socket.beside(polling, { pongs: false });
    await socket.probe();
    await socket.send("5");
    assert.equal(await socket.receive(), "2");
    await socket.send("3", "40");
    assert.match(await socket.receive(), /^40\{"sid"/);
    socket.leave();
  });
});

const [UNANSWERED_INTERVAL_MS, TIMEOUT_MS] = [500, 300];

conformance("a heartbeat that is not answered", { ping_interval_ms: UNANSWERED_INTERVAL_MS, ping_timeout_ms: TIMEOUT_MS }, (server, test) => {
  for (const [transport, { open }] of Object.entries(transports)) {
    test(`a session that does not answer ends, not before the timeout, over ${transport}`, { says: "E19" }, async () => {
      // From before the session, so that a slow moment of this process makes it longer only.
      const began = performance.now();
      const session = await open(server, { pongs: false });
      assert.equal(await session.receive(), "2");
      await session.ended();
      const lasted = performance.now() - began;
      assert.ok(lasted >= UNANSWERED_INTERVAL_MS + TIMEOUT_MS - RESOLUTION_MS, `ended after ${lasted} ms`);
    });
  }

  test("a session that never polls ends", { says: "E19" }, async () => {
    const forgotten = await Polling.open(server);
    // A session that began later tells the time: its second ping comes after an interval and a timeout of the first.
    const other = await Socket.open(server, { pongs: false });
    for (let pings = 0; pings < 2; pings += 1) {
      assert.equal(await other.receive(), "2");
      await other.send("3");
    }
    assertRefused(await forgotten.get(), ...UNKNOWN_SESSION);
    other.leave();
  });

  test("events are not an answer to a ping", { says: "E19" }, async () => {
    const socket = await Socket.open(server, { pongs: false });
    await socket.send("40");
    while (socket.wasClosed === undefined) {
      await socket.send('42["message","busy"]');
      await socket.receive().catch(() => {});
    }
  });
});
