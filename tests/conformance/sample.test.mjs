// The sample session at the end of the page of Socket.IO's protocol, with this application's events.

import assert from "node:assert/strict";

import { address, decode, request } from "./kit/http.mjs";
import { conformance } from "./kit/servers.mjs";
import { Polling, Socket } from "./kit/sessions.mjs";

conformance("the sample session", {}, (server, test) => {
  test("begins by polling, sends and receives, upgrades, and connects to a second namespace", { says: "S22 S21 S5" }, async () => {
    const query = { EIO: "4", transport: "polling", t: "N8hyd6w" };
    assert.ok(address(server, query).search.endsWith("t=N8hyd6w"));
    const opened = await request(server, query);
    assert.equal(opened.headers["content-type"], "text/plain; charset=UTF-8");
    const { sid } = JSON.parse(opened.text.slice(1));
    const session = { ...query, sid };

    const connect = await request(server, session, { method: "POST", body: "40" });
    assert.equal(connect.text, "ok");
    const approval = await request(server, session);
    const [connected, auth] = decode(approval.text);
    assert.match(connected, /^40\{"sid":"[^"]+"\}$/);
    if (auth === undefined) await request(server, session);

    const events = await request(server, session, {
      method: "POST",
      body: '42["message","hello"]\x1e42["message","world"]',
      headers: { "content-type": "text/plain; charset=UTF-8" },
    });
    assert.equal(events.text, "ok");
    const polling = Object.assign(new Polling(server), { open: { sid }, inbox: [] });
    assert.equal(await polling.receive(), '42["message-back","hello"]');
    assert.equal(await polling.receive(), '42["message-back","world"]');

    const socket = await Socket.beside(polling);
    await socket.probe();
    await socket.send("5", '42["message","hello"]', '42["message","world"]', "40/custom,");
    assert.equal(await socket.receive(), '42["message-back","hello"]');
    assert.equal(await socket.receive(), '42["message-back","world"]');
    assert.match(await socket.receive(), /^40\/custom,\{"sid":"[^"]+"\}$/);
    assert.equal(await socket.receive(), '42/custom,["auth",{}]');
    await socket.send('451-/custom,1["message-with-ack",{"_placeholder":true,"num":0}]', Buffer.from([1, 2, 3]));
    assert.equal(await socket.receive(), '461-/custom,1[{"_placeholder":true,"num":0}]');
    assert.deepEqual(await socket.receive(), Buffer.from([1, 2, 3]));
    await socket.send("1");
    socket.websocket.close();
    await socket.ended();
  });
});
