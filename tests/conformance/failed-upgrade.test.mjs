// An upgrade that fails costs the session nothing: it goes on by polling, or with the websocket that it has.

import assert from "node:assert/strict";

import { conformance } from "./kit/servers.mjs";
import { Polling, Socket, Upgraded, assertForgotten } from "./kit/sessions.mjs";
import { within } from "./kit/within.mjs";
import { Wire, frame } from "./kit/wire.mjs";

const back = (value) => `42["message-back",${JSON.stringify(value)}]`;

const joinedTo = async (server) => {
  const polling = await Polling.open(server);
  await polling.join();
  return polling;
};

// Upgrades, and again when the server has not noticed yet that the websocket before is gone.
async function upgrade(polling) {
  for (let attempt = 0; attempt < 100; attempt += 1) {
    const socket = await Socket.beside(polling);
    const wasProbed = await socket.probe().then(() => true, () => false);
    if (wasProbed) {
      await socket.send("5");
      return socket;
    }
  }
  throw new Error("no websocket was let in after the one that broke");
}

async function goesOnByPolling(polling) {
  const poll = await polling.waits();
  await polling.send('42["message","goes on"]');
  const answer = await within("an event by polling", poll.answer);
  assert.equal(answer.status, 200);
  polling.inbox.push(...answer.text.split("\x1e").filter((packet) => packet !== "6"));
  assert.equal(await polling.receive(), back("goes on"));
}

// A refusal of the handshake is an error to clients, a close is not.
async function assertAcceptedAndClosed(socket) {
  assert.equal(await within("a handshake", Promise.race([socket.connected, socket.refused.then(() => false)])), true);
  assert.deepEqual(await socket.ended(), []);
}

conformance("a failed upgrade", {}, (server, test) => {
  test("a websocket that breaks after the 101 costs the session nothing, and another may follow", { says: "E24" }, async () => {
    const polling = await joinedTo(server);
    const wire = await Wire.websocket(server, { query: { sid: polling.sid }, opens: false });
    wire.cut();
    await goesOnByPolling(polling);
    const socket = await upgrade(polling);
    assert.deepEqual(await socket.settled(), []);
    socket.leave();
  });

  test("a websocket that breaks after its probe costs the session nothing, and another may follow", { says: "E24" }, async () => {
    const polling = await joinedTo(server);
    const wire = await Wire.websocket(server, { query: { sid: polling.sid }, opens: false });
    wire.write(frame("2probe"));
    assert.equal((await wire.frame()).text, "3probe");
    await polling.send('42["message","between"]');
    wire.cut();
    assert.equal(await polling.receive(), back("between"));
    await goesOnByPolling(polling);
    const socket = await upgrade(polling);
    assert.deepEqual(await socket.settled(), []);
    socket.leave();
  });

  test("a GET that waited before the websocket came and broke still waits, and is answered", { says: "E24" }, async () => {
    const polling = await joinedTo(server);
    const poll = await polling.waits();
    const wire = await Wire.websocket(server, { query: { sid: polling.sid }, opens: false });
    wire.cut();
    await polling.send('42["message","through"]');
    assert.equal((await poll.answer).text, back("through"));
  });

  test("a websocket that breaks after `5` ends the session", { says: "E23" }, async () => {
    const polling = await joinedTo(server);
    const wire = await Wire.websocket(server, { query: { sid: polling.sid }, opens: false });
    wire.write(Buffer.concat([frame("2probe"), frame("5"), frame('42["message","last"]')]));
    assert.equal((await wire.frame()).text, "3probe");
    assert.equal((await wire.frame()).text, back("last"));
    wire.cut();
    await assertForgotten(server, polling.sid);
  });

  test("a GET waits in peace beside a websocket that says nothing", { says: "E24" }, async () => {
    const polling = await joinedTo(server);
    const wire = await Wire.websocket(server, { query: { sid: polling.sid }, opens: false });
    const poll = await polling.waits();
    await polling.send('42["message","for the poll"]');
    assert.equal((await poll.answer).text, back("for the poll"));
    wire.cut();
  });

  for (const [what, packets] of [
    ["an event before the upgrade", ['42["message","too early"]']],
    ["an event after the probe", ["2probe", '42["message","too early"]']],
    ["a probe of another text", ["2perhaps"]],
    ["a close packet", ["1"]],
    ["an unknown packet", ["x"]],
  ]) {
    test(`${what} closes the websocket, and polling goes on`, { says: "E21 E24" }, async () => {
      const polling = await joinedTo(server);
      const socket = await Socket.beside(polling);
      await socket.send(...packets);
      const before = await socket.ended();
      assert.deepEqual(before, packets.length > 1 ? ["3probe"] : []);
      assert.deepEqual(await polling.settled(), []);
    });
  }

  test("a frame that no websocket may send closes the websocket, and polling goes on", { says: "E24" }, async () => {
    const polling = await joinedTo(server);
    const wire = await Wire.websocket(server, { query: { sid: polling.sid }, opens: false });
    wire.write(frame("2probe", { masked: false }));
    assert.equal(await wire.closeCode(), 1002);
    await wire.ended;
    assert.deepEqual(await polling.settled(), []);
  });

  test("a second websocket beside one that upgrades is closed, and the first goes on", { says: "E13" }, async () => {
    const polling = await joinedTo(server);
    const first = await Socket.beside(polling);
    await first.probe();
    const second = await Socket.beside(polling);
    await assertAcceptedAndClosed(second);
    await first.send("5");
    assert.deepEqual(await first.settled(), []);
    first.leave();
  });

  test("a websocket on a session that has one is closed, and the one that it has goes on", { says: "E13" }, async () => {
    const first = await Upgraded.open(server);
    await first.join();
    const second = await Socket.beside(first);
    await assertAcceptedAndClosed(second);
    assert.deepEqual(await first.settled(), []);
    first.leave();
  });

  test("a websocket on a session that began with one is closed", { says: "E13", only: "tidegate", why: "the reference lets it take the session over" }, async () => {
    const first = await Socket.open(server);
    await first.join();
    const second = await Socket.beside(first);
    await assertAcceptedAndClosed(second);
    assert.deepEqual(await first.settled(), []);
    first.leave();
  });

  test("a session that ends closes the websocket that it was about to upgrade to", {}, async () => {
    const polling = await joinedTo(server);
    const socket = await Socket.beside(polling);
    await socket.probe();
    await polling.post("1");
    await socket.ended();
    await assertForgotten(server, polling.sid);
  });
});

conformance("an upgrade that never ends", { upgrade_timeout_ms: 400 }, (server, test) => {
  for (const [what, packets] of [["that says nothing", []], ["that probes and says no more", ["2probe"]]]) {
    test(`a websocket ${what} is closed after the upgrade's time, events flow by polling meanwhile, and another may follow`, { says: "E24" }, async () => {
      const polling = await joinedTo(server);
      const began = performance.now();
      const silent = await Socket.beside(polling);
      await silent.send(...packets);
      let events = 0;
      while (silent.wasClosed === undefined) {
        assert.deepEqual(await polling.settled(), []);
        events += 1;
      }
      assert.ok(performance.now() - began >= 380, "closed too early");
      assert.ok(events > 0);
      const socket = await upgrade(polling);
      assert.deepEqual(await socket.settled(), []);
      socket.leave();
    });
  }
});
