// What the README says that the stock client needs to do the same, as it stands there.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";

import { io, now, subscribe, token, until } from "@tidegate/kit/harness.mjs";
import { Line } from "@tidegate/kit/line.mjs";

import { numbers, publish, startServer } from "./seen.mjs";

const [, SCRIPT] = /```js\n(.*?)```/s.exec(readFileSync(new URL("../README.md", import.meta.url), "utf8"));

let server, line, socket;
before(async () => {
  server = await startServer((config) => ({ ...config, auth: { ...config.auth, expiring_ahead: "2s" } }));
  line = await Line.start(server.address);
});
after(async () => {
  socket?.close();
  line?.stop();
  await server?.stop();
});

test("the stock client has everything once and in order, through cuts and the end of its token", async () => {
  const shown = [];
  let tokens = 0;
  const functions = {
    io: (...args) => (socket = io(...args)),
    url: line.url,
    freshToken: async () => token("r1", { exp: now() + (++tokens === 2 ? 4 : 3600) }),
    show: (payload) => shown.push(payload),
    reload: assert.fail,
    complain: assert.fail,
  };
  new Function(...Object.keys(functions), SCRIPT.replaceAll("vault.v1", "feed.readme"))(...Object.values(functions));
  const connected = () => until("the connection", () => socket.connected);
  await connected();
  // Behind what the page asked on the same connection.
  await subscribe(socket, "feed.readme");
  let n = 0;
  const has = async () => {
    await until(`${n}`, () => shown.length >= n);
    assert.deepEqual(shown, numbers(1, n));
  };
  await publish(server, "feed.readme", ++n);
  await has();
  line.isDown = true;
  line.cut();
  await until("the cut", () => !socket.connected);
  await publish(server, "feed.readme", ++n, ++n);
  line.isDown = false;
  await connected();
  await until("the renewal", () => tokens === 3);
  await publish(server, "feed.readme", ++n);
  await has();
});
