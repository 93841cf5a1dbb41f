// HTTP long-polling: what a GET and a POST are answered with, and when.

import assert from "node:assert/strict";

import { conformance } from "./kit/servers.mjs";
import { Polling } from "./kit/sessions.mjs";
import { within } from "./kit/within.mjs";
import { Wire } from "./kit/wire.mjs";

conformance("polling", {}, (server, test) => {
  const joined = async () => {
    const session = await Polling.open(server);
    await session.join();
    return session;
  };

  test("a POST is answered with 200 and `ok`", { says: "E5" }, async () => {
    const session = await joined();
    const answer = await session.post('42["message",1]');
    assert.equal(answer.status, 200);
    assert.equal(answer.text, "ok");
    assert.equal(answer.headers["cache-control"], "no-store");
  });

  test("a POST that names no content type is text", { says: "E4" }, async () => {
    const session = await joined();
    await session.send('42["message","€"]');
    assert.equal(await session.receive(), '42["message-back","€"]');
  });

  for (const type of ["text/plain;charset=UTF-8", "text/plain", "application/json"]) {
    test(`a POST of \`${type}\` is text`, { says: "E4" }, async () => {
      const session = await joined();
      assert.equal((await session.post('42["message","€"]', { "content-type": type })).text, "ok");
      assert.equal(await session.receive(), '42["message-back","€"]');
    });
  }

  test("a POST of `application/octet-stream` is 400 and ends the session: binary is base64 in text", { says: "E3" }, async () => {
    const session = await joined();
    assert.equal((await session.post(Buffer.from([4, 1, 2]), { "content-type": "application/octet-stream" })).status, 400);
    await session.ended();
  });

  test("a GET is held until there is a packet", { says: "E9" }, async () => {
    const session = await joined();
    let isAnswered = false;
    const poll = session.begin();
    poll.answer.then(() => (isAnswered = true));
    await poll.sent;
    // Other sessions come and go meanwhile; nothing of theirs answers this one.
    const other = await joined();
    await other.settled();
    assert.ok(!isAnswered);
    await session.send('42["message","now"]');
    const answer = await poll.answer;
    assert.equal(answer.status, 200);
    assert.equal(answer.text, '42["message-back","now"]');
    assert.equal(answer.headers["content-type"], "text/plain; charset=UTF-8");
    assert.equal(answer.headers["cache-control"], "no-store");
  });

  test("packets that wait come at once, in order and once", { says: "E9" }, async () => {
    const session = await joined();
    await session.send('42["burst",100,10]');
    const numbers = [];
    while (numbers.length < 100) numbers.push(JSON.parse((await session.receive()).slice(2))[1]);
    assert.deepEqual(numbers, Array.from({ length: 100 }, (_, i) => i));
    assert.deepEqual(await session.settled(), []);
  });

  // A POST whose body the server has begun to read.
  const begun = async (session) => {
    const post = session.begin({ method: "POST", body: null, headers: { "content-length": 100, expect: "100-continue" } });
    await within("the server's `100 Continue`", post.continued);
    post.outgoing.write("42[");
    return post;
  };

  test("of two GETs at the same time one is 400, the other says that the session is closed, and it is", { says: "E10" }, async () => {
    const session = await joined();
    const first = await session.waits();
    const second = session.begin();
    const [told, refused] = await Promise.all([first.answer, second.answer]);
    assert.deepEqual([told.status, told.text], [200, "1"]);
    assert.equal(refused.status, 400);
    await session.ended();
  });

  test("a second POST beside one that is under way is 400 and ends the session", { says: "E7" }, async () => {
    const session = await joined();
    const first = await begun(session);
    assert.equal((await session.post('42["message",1]')).status, 400);
    await session.ended();
    first.outgoing.destroy();
  });

  test("a GET whose client goes away ends the session: what was written to it may be lost", {}, async () => {
    const session = await joined();
    const poll = await session.waits();
    poll.outgoing.destroy();
    await session.ended({ overlaps: true });
  });

  test("a POST whose client goes away in the middle ends the session", {}, async () => {
    const session = await joined();
    const post = await begun(session);
    post.outgoing.destroy();
    await session.ended();
  });

  test("a POST and a GET share a kept connection", {}, async () => {
    const session = await Polling.open(server);
    const wire = new Wire(server);
    wire.head("POST", session.query, { "Content-Length": "2" });
    wire.write("40");
    assert.equal((await wire.answer()).status, 200);
    await wire.until("ok", () => (wire.unread.toString() === "ok" ? (wire.unread = Buffer.alloc(0)) : undefined));
    wire.head("GET", session.query);
    const { status, headers } = await wire.answer();
    assert.equal(status, 200);
    assert.ok(Number(headers["content-length"]) > 0);
    wire.cut();
  });

  test("a chunked POST is read whole", { says: "E5" }, async () => {
    const session = await joined();
    const wire = new Wire(server);
    wire.head("POST", session.query, { "Transfer-Encoding": "chunked" });
    for (const part of ['42["mess', 'age","in pa', 'rts"]']) wire.write(`${part.length.toString(16)}\r\n${part}\r\n`);
    wire.write("0\r\n\r\n");
    assert.equal((await wire.answer()).status, 200);
    assert.equal(await session.receive(), '42["message-back","in parts"]');
    wire.cut();
  });

  test("what is sent while no GET waits is kept for the next", { says: "E9" }, async () => {
    const session = await joined();
    await session.send('42["message",1]');
    await session.send('42["message",2]', '42["message",3]');
    const payloads = [];
    while (payloads.length < 3) payloads.push(await session.receive());
    assert.deepEqual(payloads, [1, 2, 3].map((n) => `42["message-back",${n}]`));
  });
});
