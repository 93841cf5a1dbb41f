// What a body of polling holds: several packets, binary ones, text of every kind, and how much of it.

import assert from "node:assert/strict";

import { SEPARATOR } from "./kit/http.mjs";
import { conformance } from "./kit/servers.mjs";
import { Polling } from "./kit/sessions.mjs";
import { Wire } from "./kit/wire.mjs";

const EVERY_BYTE = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
const BINARY_EVENT = '451-["message",{"_placeholder":true,"num":0}]';
const BINARY_ANSWER = '451-["message-back",{"_placeholder":true,"num":0}]';

const joinedTo = async (server) => {
  const session = await Polling.open(server);
  await session.join();
  return session;
};

conformance("payloads", {}, (server, test) => {
  test("several packets of one POST are read in order", { says: "E27" }, async () => {
    const session = await joinedTo(server);
    await session.send('42["message",1]', '42["message",2]', "3", '42["message",3]');
    for (const n of [1, 2, 3]) assert.equal(await session.receive(), `42["message-back",${n}]`);
  });

  test("packets that wait come together in a payload, separated by U+001E", { says: "E28" }, async () => {
    const session = await joinedTo(server);
    await session.send('42["burst",200,10]');
    const wanted = Array.from({ length: 200 }, (_, n) => `42["burst",${n},"xxxxxxxxxx"]`).join(SEPARATOR);
    const payloads = [];
    while (payloads.join(SEPARATOR).length < wanted.length) payloads.push((await session.get()).text);
    assert.equal(payloads.join(SEPARATOR), wanted);
    assert.ok(payloads.length < 200);
  });

  test("a binary packet is base64 behind `b`, in both directions", { says: "E29 E3 E26" }, async () => {
    const session = await joinedTo(server);
    assert.equal((await session.post(`${BINARY_EVENT}${SEPARATOR}bAQIDBA==`)).text, "ok");
    const answers = [await session.get()];
    if (answers[0].text === BINARY_ANSWER) answers.push(await session.get());
    assert.equal(answers.map(({ text }) => text).join(SEPARATOR), `${BINARY_ANSWER}${SEPARATOR}bAQIDBA==`);
    for (const { headers } of answers) assert.equal(headers["content-type"], "text/plain; charset=UTF-8");
  });

  test("binary and text stand beside each other in one payload", { says: "E29" }, async () => {
    const session = await joinedTo(server);
    await session.send('42["message","before"]', BINARY_EVENT, EVERY_BYTE, '42["message","after"]');
    assert.equal(await session.receive(), '42["message-back","before"]');
    assert.equal(await session.receive(), BINARY_ANSWER);
    assert.deepEqual(await session.receive(), EVERY_BYTE);
    assert.equal(await session.receive(), '42["message-back","after"]');
  });

  for (const length of [0, 1, 2, 3]) {
    test(`binary of ${length} bytes keeps its length`, { says: "E29" }, async () => {
      const session = await joinedTo(server);
      await session.send(BINARY_EVENT, EVERY_BYTE.subarray(0, length));
      assert.equal(await session.receive(), BINARY_ANSWER);
      assert.deepEqual(await session.receive(), EVERY_BYTE.subarray(0, length));
    });
  }

  for (const [what, text] of [
    ["of two to four bytes a letter", "é€😀 日本"],
    ["of escapes", 'quote " backslash \\ slash / tab \t line \n bell \u0007'],
    ["with U+001E, the separator, escaped", "a\u001eb"],
    ["with U+0000, U+2028 and U+FEFF", "\u0000\u2028\ufeff"],
  ]) {
    test(`text ${what} comes back as it was`, { says: "E26 E27" }, async () => {
      const session = await joinedTo(server);
      await session.send(`42["message",${JSON.stringify(text)}]`);
      assert.deepEqual(JSON.parse((await session.receive()).slice(2)), ["message-back", text]);
    });
  }

  test("a letter may be split between two chunks of a body", { says: "E26" }, async () => {
    const session = await joinedTo(server);
    const body = Buffer.from('42["message","😀"]');
    const wire = new Wire(server);
    wire.socket.setNoDelay(true);
    wire.head("POST", session.query, { "Transfer-Encoding": "chunked" });
    for (const byte of body) wire.write(Buffer.concat([Buffer.from("1\r\n"), Buffer.of(byte), Buffer.from("\r\n")]));
    wire.write("0\r\n\r\n");
    assert.equal((await wire.answer()).status, 200);
    assert.equal(await session.receive(), '42["message-back","😀"]');
    wire.cut();
  });

  test("the length of an answer is counted in bytes", { says: "E26" }, async () => {
    const session = await joinedTo(server);
    await session.send('42["message","€😀"]');
    const answer = await session.get();
    assert.equal(Number(answer.headers["content-length"]), Buffer.byteLength(answer.text));
  });

  for (const [what, body] of [
    ["an unknown type", "abc"],
    ["nothing at all", ""],
    ["nothing between two packets", `3${SEPARATOR}${SEPARATOR}3`],
    ["nothing after the last separator", `3${SEPARATOR}`],
    ["type 7", "7"],
  ]) {
    test(`a packet of ${what} ends the session`, { says: "E17" }, async () => {
      const session = await joinedTo(server);
      await session.post(body);
      await session.ended();
    });
  }

  for (const [what, body] of [
    ["text that is no UTF-8", Buffer.from([0x34, 0x32, 0x5b, 0x22, 0xff, 0x22, 0x5d])],
    ["base64 without its padding", "bAQ"],
    ["an open packet, which only a server sends", "0{}"],
  ]) {
    test(`${what} ends the session`, { says: "E17 E26", only: "tidegate", why: "the reference reads over it" }, async () => {
      const session = await joinedTo(server);
      await session.post(body);
      await session.ended();
    });
  }

  test("a broken packet ends the session whatever stands before it, and the GET that waits is answered", { says: "E17" }, async () => {
    const session = await joinedTo(server);
    const poll = await session.waits();
    await session.post(['42["message","whole"]', "abc"].join(SEPARATOR));
    assert.equal((await poll.answer).status, 200);
    await session.ended();
  });
});

const LIMIT = 10_000;

conformance("payloads and their limit", { payload_bytes_max: LIMIT }, (server, test) => {
  const filled = (bytes) => `42["message","${"x".repeat(bytes - '42["message",""]'.length)}"]`;

  test("a body of exactly `maxPayload` bytes is taken", { says: "E30" }, async () => {
    const session = await joinedTo(server);
    await session.send(filled(LIMIT));
    assert.equal((await session.receive()).length, LIMIT + "-back".length);
  });

  test("a body of one byte more is 413 and ends the session", { says: "E30" }, async () => {
    const session = await joinedTo(server);
    assert.equal((await session.post(filled(LIMIT + 1))).status, 413);
    await session.ended();
  });

  test("a chunked body is counted as it comes, and refused with 413 before its end", { says: "E30" }, async () => {
    const session = await joinedTo(server);
    const wire = new Wire(server);
    wire.head("POST", session.query, { "Transfer-Encoding": "chunked" });
    const chunk = Buffer.from(filled(LIMIT + 1));
    wire.write(Buffer.concat([Buffer.from(`${chunk.length.toString(16)}\r\n`), chunk, Buffer.from("\r\n")]));
    assert.equal((await wire.answer()).status, 413);
    await session.ended();
    wire.cut();
  });

  test("a body is counted in bytes, not in letters", { says: "E30" }, async () => {
    const session = await joinedTo(server);
    const letters = "€".repeat(LIMIT / 2);
    assert.equal((await session.post(`42["message","${letters}"]`)).status, 413);
    await session.ended();
  });

  test("what the server sends is not bound by `maxPayload`, and arrives whole", { says: "E30" }, async () => {
    const session = await joinedTo(server);
    await session.send(`42["burst",3,${LIMIT * 2}]`);
    for (const n of [0, 1, 2]) {
      const [event, i, text] = JSON.parse((await session.receive()).slice(2));
      assert.deepEqual([event, i, text.length], ["burst", n, LIMIT * 2]);
    }
  });
});
