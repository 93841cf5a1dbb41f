// A session that began by polling goes on with a websocket, and nothing is lost on the way.

import assert from "node:assert/strict";

import { assertRefused, decode } from "./kit/http.mjs";
import { conformance } from "./kit/servers.mjs";
import { Polling, Socket } from "./kit/sessions.mjs";
import { Wire, frame } from "./kit/wire.mjs";

const back = (value) => `42["message-back",${JSON.stringify(value)}]`;

conformance("upgrade", {}, (server, test) => {
  const joined = async () => {
    const polling = await Polling.open(server);
    await polling.join();
    return polling;
  };

  test("a probe is answered, and after `5` packets go by the websocket", { says: "E21 E22 E23 E16" }, async () => {
    const polling = await joined();
    const socket = await Socket.beside(polling);
    await socket.probe();
    await socket.send("5", '42["message","by websocket"]');
    assert.equal(await socket.receive(), back("by websocket"));
    assertRefused(await polling.get(), 3, "Bad request");
    socket.leave();
  });

  test("the websocket says nothing before it is asked: no second open packet", { says: "E22" }, async () => {
    const polling = await joined();
    const socket = await Socket.beside(polling);
    await socket.send("2probe");
    assert.equal(await socket.receive(), "3probe");
    await socket.send("5");
    assert.deepEqual(await socket.settled(), []);
    socket.leave();
  });

  test("a GET that waits is answered with `6` once the websocket has probed", { says: "E21" }, async () => {
    const polling = await joined();
    const poll = await polling.waits();
    const socket = await Socket.beside(polling);
    await socket.probe();
    const answer = await poll.answer;
    assert.equal(answer.status, 200);
    assert.equal(answer.text, "6");
    await socket.send("5");
    assert.deepEqual(await socket.settled(), []);
    socket.leave();
  });

  test("a GET that comes after the probe is answered with `6` too", { says: "E21" }, async () => {
    const polling = await joined();
    const socket = await Socket.beside(polling);
    await socket.probe();
    assert.equal((await polling.get()).text, "6");
    await socket.send("5");
    assert.deepEqual(await socket.settled(), []);
    socket.leave();
  });

  test("what waited for a poll comes by the websocket, in order", { says: "E24" }, async () => {
    const polling = await joined();
    await polling.send('42["burst",50,20]');
    const socket = await Socket.beside(polling);
    await socket.probe();
    await polling.send('42["message","last"]');
    await socket.send("5");
    for (let i = 0; i < 50; i += 1) assert.equal(JSON.parse((await socket.receive()).slice(2))[1], i);
    assert.equal(await socket.receive(), back("last"));
    assert.deepEqual(await socket.settled(), []);
    socket.leave();
  });

  test("binary that waited for a poll comes by the websocket as binary frames", { says: "E24 E32" }, async () => {
    const polling = await joined();
    const bytes = Buffer.from([1, 2, 3, 4]);
    await polling.send('451-["message",{"_placeholder":true,"num":0}]', bytes);
    const socket = await Socket.beside(polling);
    await socket.probe();
    await socket.send("5");
    assert.equal(await socket.receive(), '451-["message-back",{"_placeholder":true,"num":0}]');
    assert.deepEqual(await socket.receive(), bytes);
    socket.leave();
  });

  test("what the server sends while the upgrade is under way arrives once and in order", { says: "E24" }, async () => {
    const polling = await joined();
    const poll = await polling.waits();
    const socket = await Socket.beside(polling);
    await polling.send('42["message",1]');
    await socket.probe();
    await polling.send('42["message",2]', '42["message",3]');
    const seen = decode((await poll.answer).text);
    await socket.send("5", '42["message",4]');
    while (!seen.includes(back(4))) seen.push(await socket.receive());
    assert.deepEqual(seen.filter((packet) => packet !== "6"), [1, 2, 3, 4].map(back));
    socket.leave();
  });

  test("a client that pauses polling at the probe as stock clients do loses nothing, many times over", { says: "E24" }, async () => {
    const once = async () => {
      const polling = await joined();
      await polling.send('42["burst",30,10]');
      const reading = (async () => {
        const packets = [];
        for (;;) {
          const answer = await polling.get();
          packets.push(...decode(answer.text));
          if (packets.at(-1) === "6") return packets;
        }
      })();
      const socket = await Socket.beside(polling);
      await socket.probe();
      await polling.send('42["burst",30,10]');
      const packets = await reading;
      await socket.send("5");
      packets.push(...(await socket.settled()));
      const numbers = packets.filter((packet) => packet.startsWith("42")).map((packet) => JSON.parse(packet.slice(2))[1]);
      const run = Array.from({ length: 30 }, (_, i) => i);
      assert.deepEqual(numbers, [...run, ...run]);
      socket.leave();
    };
    await Promise.all(Array.from({ length: 10 }, once));
  });

  test("probe, upgrade and events may come in one segment", { says: "E23" }, async () => {
    const polling = await joined();
    const wire = await Wire.websocket(server, { query: { sid: polling.sid }, opens: false });
    wire.write(Buffer.concat([frame("2probe"), frame("5"), frame('42["message","at once"]')]));
    assert.equal((await wire.frame()).text, "3probe");
    assert.equal((await wire.frame()).text, back("at once"));
    wire.cut();
  });

  test("a GET that still waits when the upgrade is complete is answered", { says: "E21" }, async () => {
    const polling = await joined();
    const poll = await polling.waits();
    const wire = await Wire.websocket(server, { query: { sid: polling.sid }, opens: false });
    wire.write(Buffer.concat([frame("2probe"), frame("5")]));
    assert.equal((await poll.answer).status, 200);
    wire.write(frame('42["message","by websocket"]'));
    assert.equal((await wire.frame()).text, "3probe");
    assert.equal((await wire.frame()).text, back("by websocket"));
    wire.cut();
  });

  test("namespaces, ids and acks that are owed outlive the upgrade", { says: "E24 S12" }, async () => {
    const polling = await joined();
    await polling.join("/custom");
    await polling.send('42["ask"]');
    const [, id] = /^42(\d+)\["question"\]$/.exec(await polling.receive());
    const socket = await Socket.beside(polling);
    await socket.probe();
    await socket.send("5", `43${id}["this"]`);
    assert.equal(await socket.receive(), '42["answered","this"]');
    assert.deepEqual(await socket.settled("/custom"), []);
    socket.leave();
  });

  test("a namespace may be connected by the websocket first", { says: "S1 E23" }, async () => {
    const polling = await Polling.open(server);
    const socket = await Socket.beside(polling);
    await socket.probe();
    await socket.send("5");
    await socket.join();
    socket.leave();
  });
});
