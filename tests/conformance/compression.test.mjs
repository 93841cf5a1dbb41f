// Compressed messages (permessage-deflate, RFC 7692), as frames: what is agreed on, who gets them, and what a client may
// send compressed.

import assert from "node:assert/strict";
import { constants, deflateRawSync, inflateRawSync } from "node:zlib";

import { conformance } from "./kit/servers.mjs";
import { Polling } from "./kit/sessions.mjs";
import { Wire, frame, opcodes } from "./kit/wire.mjs";

const OFFER = "permessage-deflate; client_max_window_bits";
const THRESHOLD = 1000;
const LIMIT = 100_000;
const COMPRESSED = 0x40;
const TAIL = Buffer.from([0x00, 0x00, 0xff, 0xff]);

const deflate = (text) => deflateRawSync(text, { finishFlush: constants.Z_SYNC_FLUSH }).subarray(0, -TAIL.length);
const inflate = (bytes) =>
  inflateRawSync(Buffer.concat([bytes, TAIL]), { finishFlush: constants.Z_SYNC_FLUSH }).toString();

conformance("compression", { compressed_from: THRESHOLD, payload_bytes_max: LIMIT }, (server, test) => {
  const ask = async (offer, query) => {
    const wire = new Wire(server);
    wire.handshake(query, offer && { "Sec-WebSocket-Extensions": offer });
    const { status, headers } = await wire.answer();
    assert.equal(status, 101);
    return [wire, headers["sec-websocket-extensions"]];
  };
  const joined = async ({ offer = OFFER } = {}) => {
    const [wire] = await ask(offer);
    await wire.frame();
    wire.write(frame("40"));
    assert.match((await wire.frame()).text, /^40\{"sid"/);
    assert.equal((await wire.frame()).text, '42["auth",{}]');
    return wire;
  };
  const message = (length) => `42["message","${"x".repeat(length)}"]`;
  const back = (length) => `42["message-back","${"x".repeat(length)}"]`;

  for (const offer of [OFFER, "permessage-deflate", "x-webkit-deflate-frame, permessage-deflate; client_max_window_bits=10"]) {
    test(`an offer of \`${offer}\` is accepted, without context on either side`, {}, async () => {
      const [wire, answer] = await ask(offer);
      const words = answer.split(";").map((word) => word.trim());
      assert.equal(words[0], "permessage-deflate");
      assert.ok(words.includes("server_no_context_takeover") && words.includes("client_no_context_takeover"), answer);
      wire.cut();
    });
  }

  test("a window of the server that the client limits is confirmed", {}, async () => {
    const [wire, answer] = await ask("permessage-deflate; server_max_window_bits=15");
    assert.match(answer, /server_max_window_bits=15/);
    wire.cut();
  });

  test("a client that offers nothing gets nothing compressed", {}, async () => {
    const [other, answer] = await ask(undefined);
    assert.equal(answer, undefined);
    other.cut();
    const wire = await joined({ offer: null });
    wire.write(frame(message(5000)));
    const { text, isCompressed } = await wire.frame();
    assert.deepEqual([text, isCompressed], [back(5000), false]);
    wire.cut();
  });

  test("a message is compressed from the threshold on, each for itself", {}, async () => {
    const wire = await joined();
    for (const [length, compressed] of [[THRESHOLD - 100, false], [5000, true], [50_000, true], [10, false], [5000, true]]) {
      wire.write(frame(message(length)));
      const { payload, isCompressed } = await wire.message();
      assert.equal(isCompressed, compressed, `${length}`);
      assert.equal(compressed ? inflate(payload) : payload.toString(), back(length));
    }
    wire.cut();
  });

  test("what compression would not make smaller goes as it is", { only: "tidegate", why: "the reference sends it larger" }, async () => {
    const wire = await joined();
    const noise = Array.from({ length: 3000 }, (_, i) => String.fromCodePoint(0x20 + ((i * i * 7919 + i * 31) % 0xd000)))
      .join("").replaceAll(/["\\\u007f-\u009f]/gu, "-");
    const packet = JSON.stringify(["message", noise]);
    wire.write(frame(`42${packet}`));
    const { text, isCompressed, payload } = await wire.frame();
    const whole = isCompressed ? inflate(payload) : text;
    assert.equal(whole, `42${JSON.stringify(["message-back", noise])}`);
    assert.ok(payload.length <= Buffer.byteLength(whole));
    wire.cut();
  });

  test("binary is compressed as text is", {}, async () => {
    const wire = await joined();
    const bytes = Buffer.alloc(5000, 7);
    wire.write(frame('451-["message",{"_placeholder":true,"num":0}]'));
    wire.write(frame(deflate(bytes), { opcode: opcodes.binary, reserved: COMPRESSED }));
    assert.equal((await wire.frame()).text, '451-["message-back",{"_placeholder":true,"num":0}]');
    const { opcode, isCompressed, payload } = await wire.frame();
    assert.deepEqual([opcode, isCompressed], [opcodes.binary, true]);
    assert.deepEqual(Buffer.from(inflate(payload)), bytes);
    wire.cut();
  });

  test("compressed messages of a client are read, whole, in fragments and between others", {}, async () => {
    const wire = await joined();
    const [head, rest] = [deflate(message(20)).subarray(0, 9), deflate(message(20)).subarray(9)];
    wire.write(frame(deflate(message(20)), { reserved: COMPRESSED }));
    wire.write(frame(message(20)));
    wire.write(frame(head, { reserved: COMPRESSED, fin: false }));
    wire.write(frame("", { opcode: opcodes.pong }));
    wire.write(frame(rest, { opcode: opcodes.continuation }));
    for (let n = 0; n < 3; n += 1) assert.equal((await wire.frame()).text, back(20));
    wire.cut();
  });

  test("a message whose sender ends the stream, and begins another, is read", {}, async () => {
    const wire = await joined();
    const ended = Buffer.concat([deflateRawSync(message(20)), Buffer.of(0)]);
    for (let n = 0; n < 2; n += 1) wire.write(frame(ended, { reserved: COMPRESSED }));
    wire.write(frame(deflate(message(30)), { reserved: COMPRESSED }));
    for (const length of [20, 20, 30]) assert.equal((await wire.frame()).text, back(length));
    wire.cut();
  });

  test("a session that began by polling gets compressed messages after its upgrade", {}, async () => {
    const polling = await Polling.open(server);
    await polling.join();
    const [wire] = await ask(OFFER, { sid: polling.sid });
    wire.write(frame("2probe"));
    assert.equal((await wire.frame()).text, "3probe");
    wire.write(Buffer.concat([frame("5"), frame(message(5000))]));
    const { payload, isCompressed } = await wire.frame();
    assert.equal(isCompressed, true);
    assert.equal(inflate(payload), back(5000));
    wire.cut();
  });

  for (const [what, bytes, code] of [
    ["a message that is small only as long as it is compressed", frame(deflate(message(LIMIT)), { reserved: COMPRESSED }), 1009],
    ["bytes that are not what deflate writes", frame(Buffer.of(0xff, 0xff, 0xff), { reserved: COMPRESSED }), 1007],
    ["compressed text that is not UTF-8", frame(deflate(Buffer.from([0x34, 0xff])), { reserved: COMPRESSED }), 1007],
    ["a compressed ping", frame("", { opcode: opcodes.ping, reserved: COMPRESSED }), 1002],
    ["another reserved bit", frame("3", { reserved: 0x20 }), 1002],
  ]) {
    test(`${what} closes the connection with ${code}`, {}, async () => {
      const wire = await joined();
      wire.write(bytes);
      assert.equal(await wire.closeCode(), code);
      await wire.ended;
    });
  }

  test("a continuation that says that it is compressed closes the connection with 1002", {}, async () => {
    const wire = await joined();
    wire.write(frame(deflate(message(20)), { reserved: COMPRESSED, fin: false }));
    wire.write(frame("", { opcode: opcodes.continuation, reserved: COMPRESSED }));
    assert.equal(await wire.closeCode(), 1002);
    await wire.ended;
  });
});
