// How a session begins.

import assert from "node:assert/strict";

import { decode, request } from "./kit/http.mjs";
import { conformance } from "./kit/servers.mjs";
import { Polling, Socket } from "./kit/sessions.mjs";
import { Wire } from "./kit/wire.mjs";

const POLLING = { EIO: "4", transport: "polling" };

const options = { ping_interval_ms: 21_000, ping_timeout_ms: 18_000, payload_bytes_max: 54_321 };

conformance("a session begins", options, (server, test) => {
  test("a GET without a session id is answered with an open packet", { says: "E14" }, async () => {
    const answer = await request(server, POLLING);
    assert.equal(answer.status, 200);
    assert.equal(answer.headers["content-type"], "text/plain; charset=UTF-8");
    assert.equal(answer.headers["cache-control"], "no-store");
    const packets = decode(answer.text);
    assert.equal(packets.length, 1);
    assert.equal(packets[0][0], "0");
    const { sid, ...rest } = JSON.parse(packets[0].slice(1));
    assert.equal(typeof sid, "string");
    assert.notEqual(sid, "");
    assert.deepEqual(rest, { upgrades: ["websocket"], pingInterval: 21_000, pingTimeout: 18_000, maxPayload: 54_321 });
  });

  test("a websocket without a session id begins with an open packet that offers no upgrade", { says: "E15" }, async () => {
    const socket = await Socket.open(server);
    const { sid, ...rest } = socket.open;
    assert.equal(typeof sid, "string");
    assert.deepEqual(rest, { upgrades: [], pingInterval: 21_000, pingTimeout: 18_000, maxPayload: 54_321 });
    socket.leave();
  });

  test("every session has an id of its own that needs no escaping in a URL", { says: "E14" }, async () => {
    const sessions = await Promise.all(Array.from({ length: 20 }, () => Polling.open(server)));
    const ids = sessions.map(({ sid }) => sid);
    assert.equal(new Set(ids).size, ids.length);
    for (const id of ids) assert.equal(encodeURIComponent(id), id);
  });

  test("nothing is connected by itself: the session hears nothing before it asks", { says: "S23" }, async () => {
    const session = await Polling.open(server);
    const poll = await session.waits();
    await session.send("40/custom,");
    const answer = await poll.answer;
    assert.match(answer.text, /^40\/custom,\{"sid":"[^"]+"\}/);
  });

  test("other query parameters mean nothing, `t` against caches is one", { says: "S21" }, async () => {
    const answer = await request(server, { ...POLLING, t: "N8hyd6w", token: "abc", b64: "1" });
    assert.equal(answer.status, 200);
    assert.match(answer.text, /^0\{/);
    const session = await Polling.open(server);
    await session.send("40");
    const packets = await request(server, { ...session.query, t: "N8hyd7H" });
    assert.match(packets.text, /^40\{"sid"/);
  });

  test("the order of query parameters is free", { says: "E14" }, async () => {
    const answer = await request(server, { transport: "polling", EIO: "4" });
    assert.match(answer.text, /^0\{/);
  });

  test("escapes in a query mean the letters that they stand for", { says: "E14 E16" }, async () => {
    const ask = async (search) => {
      const wire = new Wire(server);
      wire.write(`GET ${server.path}${search} HTTP/1.1\r\nHost: ${server.url.host}\r\nConnection: close\r\n\r\n`);
      const { status } = await wire.answer();
      await wire.ended;
      return [status, wire.unread.toString()];
    };
    const [status, open] = await ask("?EIO=%34&transport=%70olling");
    assert.equal(status, 200);
    const { sid } = JSON.parse(open.slice(1));
    await request(server, { ...POLLING, sid }, { method: "POST", body: "40" });
    const escaped = Array.from(sid, (letter) => `%${letter.charCodeAt(0).toString(16).padStart(2, "0")}`).join("");
    const [later, packets] = await ask(`?EIO=4&transport=polling&sid=${escaped}`);
    assert.equal(later, 200);
    assert.match(packets, /^40\{"sid"/);
  });

  test("an empty session id is none", { says: "E14" }, async () => {
    const answer = await request(server, { ...POLLING, sid: "" });
    assert.match(answer.text, /^0\{/);
  });

  test("another path is not a session's", { says: "E1" }, async () => {
    const answer = await request(server, POLLING, { path: "/engine.io/" });
    assert.equal(answer.status, 404);
  });

  test("a packet may be sent before the first poll", { says: "E5" }, async () => {
    const session = await Polling.open(server);
    await session.send("40");
    assert.match(await session.receive(), /^40\{"sid"/);
    assert.equal(await session.receive(), '42["auth",{}]');
  });
});

conformance("a path of one's own", { path: "/live/" }, (server, test) => {
  test("requests are served below the path that the configuration names", { says: "E1" }, async () => {
    const polling = await Polling.open(server);
    await polling.join();
    const socket = await Socket.open(server);
    await socket.join();
    assert.deepEqual(await socket.settled(), []);
    socket.leave();
  });

  test("the default path is then not served", { says: "E1" }, async () => {
    const answer = await request(server, POLLING, { path: "/socket.io/" });
    assert.equal(answer.status, 404);
  });
});
