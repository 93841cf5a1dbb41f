// Clients that nobody here wrote, against the real binary: each over polling, a websocket, and the upgrade from one to
// the other.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { io as newest } from "socket.io-client";
import tooOld from "socket.io-client-2";
import { io as version3 } from "socket.io-client-3.1";
import { io as version4 } from "socket.io-client-4.0";

import { Server, token, within } from "@tidegate/kit/harness.mjs";
import { answer } from "@tidegate/kit/http-answer.mjs";
import { inJavaScript, inPython, inRust } from "@tidegate/kit/lives.mjs";

const CLIENTS = {
  "socket.io-client 4.8": inJavaScript(newest),
  "socket.io-client 4.0": inJavaScript(version4),
  "socket.io-client 3.1": inJavaScript(version3),
  "python-socketio": inPython("sync"),
  "python-socketio with asyncio": inPython("asyncio"),
  "python-socketio that asks to recover": inPython("sync", "recover"),
  rust_socketio: inRust("sync"),
  "rust_socketio with tokio": inRust("async"),
};
const WAYS = { polling: ["polling"], "a websocket": ["websocket"], "polling, then a websocket": ["polling", "websocket"] };

describe("clients of every make", () => {
  let server;
  const clients = Object.entries(CLIENTS).flatMap(([make, live]) =>
    Object.entries(WAYS).map(([way, transports]) => ({ name: `${make}, over ${way},`, live, transports })),
  );

  before(async () => {
    server = await Server.start({ plugins: false });
    for (const [index, client] of clients.entries()) {
      client.topic = `e2e.room.r${index}`;
      client.life = client.live(server.url, client.topic, token(`u${index}`), client.transports);
    }
  });
  after(async () => {
    for (const { life } of clients) life?.end();
    await server?.stop();
  });

  for (const client of clients) {
    test(`${client.name} is told why it is refused`, async () => {
      const { message, data } = await client.life.hears("refused");
      assert.equal(message, "unauthenticated");
      assert.equal(data.code, "unauthenticated");
      assert.equal(data.retry, false);
    });

    test(`${client.name} is let in, gets acks of its events and receives publications`, async () => {
      assert.equal(await client.life.hears("connected"), client.transports.at(-1));
      assert.equal((await client.life.hears("subscribed")).ok, true);
      assert.deepEqual(await client.life.hears("acked"), { ok: true });
      assert.equal((await server.publish(client.topic, { n: 7 })).status, 202);
      assert.equal(await client.life.hears("received"), 7);
    });
  }

  describe("when the server was stopped and started again", () => {
    let first;
    before(async () => {
      first = server;
      first.signal("SIGTERM");
      assert.equal(await first.ended(), 0);
      server = await Server.start({ directory: first.directory, listen: first.address });
      await first.stop({ keep: true });
    });

    for (const client of clients) {
      test(`${client.name} comes back by itself and receives publications again`, async () => {
        // What a client says that was told to stay away.
        assert.doesNotMatch(await client.life.hears("gone"), /server disconnect/);
        assert.equal(await client.life.hears("connected", 2), client.transports.at(-1));
        assert.deepEqual(await client.life.hears("acked", 2), { ok: true });
        assert.equal((await server.publish(client.topic, { n: 8 })).status, 202);
        assert.equal(await client.life.hears("received", 2), 8);
        assert.equal(client.life.count("gone"), 1);
      });
    }
  });
});

describe("a client of the protocol before, socket.io-client 2", () => {
  let server;
  before(async () => {
    server = await Server.start({ plugins: false });
  });
  after(() => server?.stop());

  for (const transport of ["polling", "websocket"]) {
    test(`is refused at once over ${transport}`, async () => {
      const socket = tooOld(server.url, { forceNew: true, transports: [transport], reconnection: false });
      const refused = new Promise((resolve, reject) => {
        socket.once("connect", () => reject(new Error("it was let in")));
        socket.once("connect_error", resolve);
      });
      await within("connect_error", refused).finally(() => socket.close());
    });
  }

  test("is told that its version is not served", async () => {
    const websocket = { connection: "upgrade", upgrade: "websocket", "sec-websocket-version": "13", "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==" };
    for (const [transport, headers] of [["polling", {}], ["websocket", websocket]]) {
      const { status, body } = await answer(`${server.url}/socket.io/?EIO=3&transport=${transport}`, headers);
      assert.equal(status, 400, transport);
      assert.deepEqual(JSON.parse(body), { code: 5, message: "Unsupported protocol version" });
    }
  });
});
