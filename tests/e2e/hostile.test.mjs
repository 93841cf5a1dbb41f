// Clients that do not play by the rules, on the wire.

import assert from "node:assert/strict";
import { once } from "node:events";
import { cpSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";

import { ask, KEYS, next, Server, subscribe, token, until, within } from "@tidegate/kit/harness.mjs";

const TREE = `
feature: tree
channels:
  tree:
    scope: public
    payload:
      anyOf:
        - { type: array, items: { $ref: "#" }, minItems: 5 }
        - { type: array, items: { $ref: "#" }, minItems: 4 }
        - { type: integer, minimum: 5 }
    inbound: { relay: all }
`;

describe("hostile clients", () => {
  let server;
  before(async () => {
    server = await Server.start({ channels: { "tree.yaml": TREE } });
  });
  after(() => server?.stop());

  const polling = (query, options) => fetch(`${server.url}/socket.io/?EIO=4&transport=polling${query}`, options);

  // Polls until a packet begins like that; the server's pings come between.
  async function heard(sid, packet) {
    const packets = await (await polling(`&sid=${sid}`)).text();
    if (packets.split("\x1e").some((one) => one.startsWith(packet))) return;
    assert.match(packets, /^2?$/);
    await heard(sid, packet);
  }

  test("a caller whose body is far too large still hears so", async () => {
    for (const path of ["/v1/publish", "/v1/events", "/v1/channels/e2e.open/publish"]) {
      const answer = await fetch(new URL(path, server.url), {
        method: "POST",
        headers: { authorization: `Bearer ${KEYS.backend}`, "content-type": "application/cloudevents-batch+json" },
        body: `["${"x".repeat(20 << 20)}"]`,
      });
      assert.equal(answer.status, 413, path);
      assert.equal((await answer.json()).error.code, "payload_too_large", path);
    }
  });

  test("a session that left its namespace has no transport any more", async () => {
    const { sid } = JSON.parse((await (await polling("")).text()).slice(1));
    const post = (body) => polling(`&sid=${sid}`, { method: "POST", body });
    assert.equal((await post("40")).status, 200);
    await heard(sid, "40{");
    const left = server.logged("realtime.disconnect");
    assert.equal((await post("41")).status, 200);
    await left;
    assert.equal(await (await polling(`&sid=${sid}`)).text(), "1");
    await until("that the session is unknown", async () => (await polling(`&sid=${sid}`)).status === 400);

    const socket = await server.connect();
    const wire = socket.io.engine.transport.ws._socket;
    const closed = within("the close", new Promise((resolve) => wire.once("close", resolve)));
    socket.io.engine.write("1");
    await closed;
  });

  test("a client that gives up its poll has left", async () => {
    const { sid } = JSON.parse((await (await polling("")).text()).slice(1));
    await polling(`&sid=${sid}`, { method: "POST", body: "40" });
    await heard(sid, "40{");
    const left = server.logged("realtime.disconnect");
    const [host, port] = server.address.split(":");
    const wire = connect(Number(port), host);
    await once(wire, "connect");
    const poll = `GET /socket.io/?EIO=4&transport=polling&sid=${sid} HTTP/1.1\r\nHost: ${server.address}\r\n\r\n`;
    wire.write(poll);
    // The server has the poll: it was sent before two others were answered.
    for (let n = 0; n < 2; n += 1) await polling(`&sid=${sid}`, { method: "POST", body: "3" });
    wire.destroy();
    assert.match((await left).reason, /^transport/);
    assert.equal((await polling(`&sid=${sid}`)).status, 400);
  });

  test("headers beyond the limit are refused, and a token of the usual size is not", async () => {
    const status = async (bytes) => (await fetch(`${server.url}/healthz`, { headers: { authorization: `Bearer ${"x".repeat(bytes)}` } })).status;
    assert.equal(await status(8 << 10), 200);
    assert.equal(await status(64 << 10), 431);
    assert.match((await server.get("/metrics")).text, /tidegate_http_requests_total\{route="-",status="431"\} 1/);
  });

  test("an `auth` that is no object is a bad credential and not the absence of one", async () => {
    for (const auth of ['"x"', "[1]"]) {
      const { sid } = JSON.parse((await (await polling("")).text()).slice(1));
      await polling(`&sid=${sid}`, { method: "POST", body: `40${auth}` });
      await heard(sid, '44{"message":"unauthenticated"');
    }
  });

  test("the id in logs is not the one that opens a session", async () => {
    const connect = server.logged("realtime.connect");
    const socket = await server.connect();
    assert.notEqual((await connect).connection, socket.io.engine.id);
  });

  test("an object that names a key twice reaches nobody", async () => {
    const socket = await server.connect({ token: token("u1") });
    await subscribe(socket, "e2e.open");
    const answer = next(socket, "tidegate");
    socket.io.engine.write('2["e2e.open",{"n":"evil","n":1}]');
    assert.equal((await answer)[0].error.code, "invalid_payload");
    const published = await server.publish("e2e.open", '{"n":"evil","n":1}');
    assert.equal(published.status, 400);
  });

  test("a payload that a recursive schema would judge without end is refused at once", async () => {
    const socket = await server.connect();
    await subscribe(socket, "tree");
    const deep = JSON.parse("[".repeat(60) + "1" + "]".repeat(60));
    assert.equal((await ask(socket, "tree", deep)).error.code, "invalid_payload");
    assert.equal((await server.publish("tree", deep)).status, 422);
  });

  test("a channels directory that was taken away and put back is watched again", async () => {
    const channels = join(server.directory, "channels");
    const aside = join(server.directory, "aside");
    cpSync(channels, aside, { recursive: true });
    await server.reload(() => rmSync(channels, { recursive: true }), "reload.rejected");
    await server.reload(() => cpSync(aside, channels, { recursive: true }), "reload.reverted");
    await server.reload(() => server.write("channels/new.yaml", "feature: new\nchannels:\n  new: { scope: public, payload: {} }\n"));
    await subscribe(await server.connect(), "new");
  });
});
