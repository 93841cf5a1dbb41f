// The websocket: one packet a frame, and the frames of RFC 6455 that no client library would write.

import assert from "node:assert/strict";

import { conformance } from "./kit/servers.mjs";
import { Socket } from "./kit/sessions.mjs";
import { Wire, frame, opcodes } from "./kit/wire.mjs";

conformance("frames", {}, (server, test) => {
  // Connected to the main namespace; what it sends next is read with `wire.frame()`.
  const joined = async () => {
    const wire = await Wire.websocket(server);
    wire.write(frame("40"));
    assert.match((await wire.frame()).text, /^40\{"sid"/);
    assert.equal((await wire.frame()).text, '42["auth",{}]');
    return wire;
  };

  test("each packet is a text frame of its own, type first", { says: "E12 E31" }, async () => {
    const wire = await joined();
    wire.write(Buffer.concat([frame('42["message",1]'), frame('42["message",2]')]));
    for (const n of [1, 2]) {
      const { opcode, text } = await wire.frame();
      assert.equal(opcode, opcodes.text);
      assert.equal(text, `42["message-back",${n}]`);
    }
    wire.cut();
  });

  test("binary is a binary frame, as it is, in both directions", { says: "E32 E12" }, async () => {
    const wire = await joined();
    const bytes = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
    wire.write(frame('451-["message",{"_placeholder":true,"num":0}]'));
    wire.write(frame(bytes, { opcode: opcodes.binary }));
    assert.equal((await wire.frame()).text, '451-["message-back",{"_placeholder":true,"num":0}]');
    const { opcode, payload } = await wire.frame();
    assert.equal(opcode, opcodes.binary);
    assert.deepEqual(Buffer.from(payload), bytes);
    wire.cut();
  });

  test("frames of every length form are read and written", { says: "E31" }, async () => {
    const socket = await Socket.open(server);
    await socket.join();
    for (const length of [0, 100, 125, 126, 127, 200, 65_535, 65_536, 200_000]) {
      const text = "x".repeat(length);
      await socket.send(`42["message","${text}"]`);
      assert.equal(await socket.receive(), `42["message-back","${text}"]`);
    }
    socket.leave();
  });

  test("a packet in fragments is one packet, with a ping of the websocket between them", { says: "E31" }, async () => {
    const wire = await joined();
    wire.write(frame('42["mess', { fin: false }));
    wire.write(frame("are you there", { opcode: opcodes.ping }));
    wire.write(frame('age","in ', { fin: false, opcode: opcodes.continuation }));
    wire.write(frame('parts"]', { opcode: opcodes.continuation }));
    const answers = [await wire.frame(), await wire.frame()];
    assert.deepEqual(answers.map(({ opcode, text }) => [opcode, text]), [
      [opcodes.pong, "are you there"],
      [opcodes.text, '42["message-back","in parts"]'],
    ]);
    wire.cut();
  });

  test("a letter may be split between two fragments", { says: "E26" }, async () => {
    const wire = await joined();
    const bytes = Buffer.from('42["message","😀"]');
    wire.write(frame(bytes.subarray(0, 15), { fin: false }));
    wire.write(frame(bytes.subarray(15), { opcode: opcodes.continuation }));
    assert.equal((await wire.frame()).text, '42["message-back","😀"]');
    wire.cut();
  });

  test("a frame that comes a byte at a time is read", { says: "E31" }, async () => {
    const wire = await joined();
    wire.socket.setNoDelay(true);
    for (const byte of frame('42["message","slowly"]')) wire.write(Buffer.of(byte));
    assert.equal((await wire.frame()).text, '42["message-back","slowly"]');
    wire.cut();
  });

  test("a close frame is answered with one of the same code", {}, async () => {
    const wire = await joined();
    wire.write(frame(Buffer.from([0x03, 0xe8]), { opcode: opcodes.close }));
    assert.equal(await wire.closeCode(), 1000);
    await wire.ended;
  });

  test("a pong of the websocket that nobody asked for means nothing", {}, async () => {
    const wire = await joined();
    wire.write(frame("", { opcode: opcodes.pong }));
    wire.write(frame('42["message","still here"]'));
    assert.equal((await wire.frame()).text, '42["message-back","still here"]');
    wire.cut();
  });

  for (const [what, bytes, code] of [
    ["without a mask", frame("3", { masked: false }), 1002],
    ["with a reserved bit, and no extension", frame("3", { reserved: 0x40 }), 1002],
    ["of an unknown kind", frame("3", { opcode: 3 }), 1002],
    ["that continues nothing", frame("3", { opcode: opcodes.continuation }), 1002],
    ["of control in fragments", frame("", { opcode: opcodes.ping, fin: false }), 1002],
    ["of control with 126 bytes", frame("x".repeat(126), { opcode: opcodes.ping }), 1002],
    ["of text that is no UTF-8", frame(Buffer.from([0x34, 0xff, 0xfe])), 1007],
    ["of close with a code that may not be sent", frame(Buffer.from([0x03, 0xed]), { opcode: opcodes.close }), 1002],
  ]) {
    test(`a frame ${what} closes the connection with ${code}`, {}, async () => {
      const wire = await joined();
      wire.write(bytes);
      assert.equal(await wire.closeCode(), code);
      await wire.ended;
    });
  }
});

const LIMIT = 10_000;

conformance("frames and their limit", { payload_bytes_max: LIMIT }, (server, test) => {
  const joined = async () => {
    const socket = await Socket.open(server);
    await socket.join();
    return socket;
  };

  test("a packet of exactly `maxPayload` bytes is taken", { says: "E30" }, async () => {
    const socket = await joined();
    const text = "x".repeat(LIMIT - '42["message",""]'.length);
    await socket.send(`42["message","${text}"]`);
    assert.equal(await socket.receive(), `42["message-back","${text}"]`);
    socket.leave();
  });

  test("a packet of more closes the websocket with 1009", { says: "E30" }, async () => {
    const socket = await joined();
    await socket.send("4".repeat(LIMIT + 1));
    assert.equal(await socket.closed, 1009);
  });

  test("a packet is refused by the length that its head says, before its bytes come", { says: "E30" }, async () => {
    const wire = await Wire.websocket(server);
    wire.write(frame("4".repeat(LIMIT + 1)).subarray(0, 20));
    assert.equal(await wire.closeCode(), 1009);
    wire.cut();
  });

  test("fragments are counted together", { says: "E30" }, async () => {
    const wire = await Wire.websocket(server);
    const half = "4".repeat(LIMIT / 2);
    wire.write(frame(half, { fin: false }));
    wire.write(frame(half, { fin: false, opcode: opcodes.continuation }));
    wire.write(frame("4", { opcode: opcodes.continuation }));
    assert.equal(await wire.closeCode(), 1009);
    wire.cut();
  });
});
