// Requests that are refused, by polling and for a websocket.

import assert from "node:assert/strict";

import { assertRefused, request, UNKNOWN_SESSION } from "./kit/http.mjs";
import { conformance } from "./kit/servers.mjs";
import { Polling, Socket, Upgraded } from "./kit/sessions.mjs";
import { within } from "./kit/within.mjs";
import { Wire } from "./kit/wire.mjs";

const UNKNOWN_TRANSPORT = [0, "Transport unknown"];
const BAD_METHOD = [2, "Bad handshake method"];
const BAD_REQUEST = [3, "Bad request"];
const UNSUPPORTED = [5, "Unsupported protocol version"];
const POLLING = { EIO: "4", transport: "polling" };

conformance("a request is refused", {}, (server, test) => {
  for (const [what, query, refusal] of [
    ["without a version", { transport: "polling" }, UNSUPPORTED],
    ["with version 3", { EIO: "3", transport: "polling" }, UNSUPPORTED],
    ["with version 5", { EIO: "5", transport: "polling" }, UNSUPPORTED],
    ["with a version that is not a number", { EIO: "four", transport: "polling" }, UNSUPPORTED],
    ["without a transport", { EIO: "4" }, UNKNOWN_TRANSPORT],
    ["with an unknown transport", { EIO: "4", transport: "carrier-pigeon" }, UNKNOWN_TRANSPORT],
    ["for WebTransport, which is not served", { EIO: "4", transport: "webtransport" }, UNKNOWN_TRANSPORT],
    ["with an empty transport", { EIO: "4", transport: "" }, UNKNOWN_TRANSPORT],
    ["with neither", {}, UNKNOWN_TRANSPORT],
  ]) {
    test(`a GET ${what} is 400, code ${refusal[0]}`, { says: "E2 E34" }, async () => {
      assertRefused(await request(server, query), ...refusal);
    });
  }

  for (const method of ["POST", "PUT", "DELETE"]) {
    test(`a ${method} without a session id is 400, code 2`, { says: "E2 E16" }, async () => {
      assertRefused(await request(server, POLLING, { method, body: "40" }), ...BAD_METHOD);
    });
  }

  for (const sid of ["unknown", "__proto__", "constructor", "é\u0000", "x".repeat(2_000)]) {
    const shown = sid.length > 20 ? "of 2,000 letters" : JSON.stringify(sid);
    test(`an unknown session id, ${shown}, is 400, code 1`, { says: "E6 E8" }, async () => {
      assertRefused(await request(server, { ...POLLING, sid }), ...UNKNOWN_SESSION);
      assertRefused(await request(server, { ...POLLING, sid }, { method: "POST", body: "40" }), ...UNKNOWN_SESSION);
    });
  }

  test("a query whose escapes are broken is 400", { says: "E8" }, async () => {
    const wire = new Wire(server);
    wire.write(`GET ${server.path}?EIO=4&transport=polling&sid=%zz%f HTTP/1.1\r\nHost: ${server.url.host}\r\n\r\n`);
    assert.equal((await wire.answer()).status, 400);
    wire.cut();
  });

  test("a session by polling is not asked for with another version", { says: "E34" }, async () => {
    const session = await Polling.open(server);
    assertRefused(await request(server, { ...session.query, EIO: "3" }), ...BAD_REQUEST);
    await session.join();
  });

  test("a method other than GET and POST is refused, and the session goes on", {}, async () => {
    const session = await Polling.open(server);
    for (const method of ["PUT", "DELETE", "PATCH"]) {
      assert.ok((await request(server, session.query, { method })).status >= 400);
    }
    await session.join();
  });

  test("a GET for a websocket without `Upgrade` is 400, code 3", {}, async () => {
    assertRefused(await request(server, { EIO: "4", transport: "websocket" }), ...BAD_REQUEST);
  });

  test("a GET by polling on a session that has a websocket is 400, code 3, and the websocket goes on", {}, async () => {
    const socket = await Upgraded.open(server);
    await socket.join();
    assertRefused(await request(server, { ...POLLING, sid: socket.sid }), ...BAD_REQUEST);
    assertRefused(await request(server, { ...POLLING, sid: socket.sid }, { method: "POST", body: "1" }), ...BAD_REQUEST);
    assert.deepEqual(await socket.settled(), []);
    socket.leave();
  });

  test("a GET by polling on a session that began with a websocket is 400, code 3, and the websocket goes on", {}, async () => {
    const socket = await Socket.open(server);
    await socket.join();
    assertRefused(await request(server, { ...POLLING, sid: socket.sid }), ...BAD_REQUEST);
    assert.deepEqual(await socket.settled(), []);
    socket.leave();
  });
});

// A refused websocket either never opens (400) or is closed before any packet: a client sees the same.
async function assertNeverOpens(server, query) {
  const socket = new Socket(server, { query: { EIO: undefined, transport: undefined, ...query } });
  const status = await within("a refusal", Promise.race([socket.refused.then(({ statusCode }) => statusCode), socket.closed]));
  assert.ok(status === 400 || status >= 1000, String(status));
  assert.deepEqual(socket.inbox, []);
}

conformance("a websocket is refused", {}, (server, test) => {
  for (const [what, query] of [
    ["without a version", { transport: "websocket" }],
    ["with version 3", { EIO: "3", transport: "websocket" }],
    ["without a transport", { EIO: "4" }],
    ["with an unknown transport", { EIO: "4", transport: "carrier-pigeon" }],
    ["for transport `polling`", { EIO: "4", transport: "polling" }],
    ["with an unknown session id", { EIO: "4", transport: "websocket", sid: "unknown" }],
  ]) {
    test(`a websocket ${what} is closed before any packet`, { says: "E11 E34" }, () => assertNeverOpens(server, query));
  }

  for (const [what, key] of [
    ["without a key", undefined],
    ["with a key that is too short", "c2hvcnQ="],
    ["with a key that is no base64", "!!!!!!!!!!!!!!!!!!!!!!=="],
  ]) {
    test(`a websocket ${what} is 400`, {}, async () => {
      const wire = new Wire(server);
      wire.handshake({}, { "Sec-WebSocket-Key": key });
      assert.equal((await wire.answer()).status, 400);
      wire.cut();
    });
  }

  test("a websocket whose `Upgrade` is another protocol is 400", {}, async () => {
    const wire = new Wire(server);
    wire.handshake({}, { Upgrade: "carrier-pigeon" });
    assert.equal((await wire.answer()).status, 400);
    wire.cut();
  });

  for (const [version, shown] of [["8", "8"], ["12", "12"], [undefined, "that is missing"]]) {
    test(`a websocket of version ${shown} is 426 and told version 13`, { only: "tidegate", why: "RFC 6455 §4.2.2; the reference takes 8 and answers 400 to the others" }, async () => {
      const wire = new Wire(server);
      wire.handshake({}, { "Sec-WebSocket-Version": version });
      const { status, headers } = await wire.answer();
      assert.equal(status, 426);
      assert.equal(headers["sec-websocket-version"], "13");
      wire.cut();
    });
  }

  test("a websocket that asks for subprotocols is opened without one", { only: "tidegate", why: "none is configured; the reference answers with the first that it is asked for" }, async () => {
    const wire = new Wire(server);
    wire.handshake({}, { "Sec-WebSocket-Protocol": "mqtt, stomp" });
    const { status, headers } = await wire.answer();
    assert.equal(status, 101);
    assert.equal(headers["sec-websocket-protocol"], undefined);
    wire.cut();
  });

  test("compression that the client offers is not taken when it is off", {}, async () => {
    const wire = new Wire(server);
    wire.handshake({}, { "Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits" });
    const { status, headers } = await wire.answer();
    assert.equal(status, 101);
    assert.equal(headers["sec-websocket-extensions"], undefined);
    wire.cut();
  });

  test("names in `Connection` and `Upgrade` are taken in any case and among others", {}, async () => {
    const wire = new Wire(server);
    wire.handshake({}, { Connection: "keep-alive, UPGRADE", Upgrade: "WebSocket" });
    assert.equal((await wire.answer()).status, 101);
    assert.match((await wire.frame()).text, /^0\{/);
    wire.cut();
  });
});
