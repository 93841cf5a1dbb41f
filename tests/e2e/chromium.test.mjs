// Chromium with the stock client, through what happens to a page: it is frozen, its network goes, it is left and returned to.

import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { after, before, describe, test } from "node:test";

import { openBrowser } from "@tidegate/kit/browser.mjs";
import { Server, token, until } from "@tidegate/kit/harness.mjs";
import { RenamingProxy } from "@tidegate/kit/proxies.mjs";

const TOPIC = "e2e.room.lobby";
const CLIENT = readFileSync(createRequire(import.meta.url).resolve("socket.io-client/dist/socket.io.js"), "utf8");

// What the page keeps: how often it was connected and why it was not, and the numbers that it received.
const PAGE = `<!doctype html><title>page</title><script>${CLIENT}</script><script>
  const life = (window.life = { connected: 0, gone: [], refused: [], received: [], bytes: 0, shown: [] });
  addEventListener("pageshow", ({ persisted }) => life.shown.push(persisted));
  const { server, token, transports } = Object.fromEntries(new URLSearchParams(location.search));
  const socket = (window.socket = io(server, { auth: { token }, reconnectionDelay: 50, reconnectionDelayMax: 200,
    transports: transports ? transports.split(",") : undefined }));
  socket.on("connect", async () => {
    await socket.emitWithAck("subscribe", { channel: "${TOPIC}" });
    life.connected += 1;
  });
  socket.on("connect_error", ({ message }) => life.refused.push(message));
  socket.on("disconnect", (reason) => life.gone.push(reason));
  socket.on("${TOPIC}", ({ n, filling = "" }) => { life.received.push(n); life.bytes += filling.length; });
</script>`;

describe("Chromium", () => {
  let site, origin, server, browser;
  before(async () => {
    site = createServer((request, response) => {
      const isPage = request.url.startsWith("/page");
      response.writeHead(isPage ? 200 : 404, { "content-type": "text/html" }).end(isPage ? PAGE : "nothing here");
    }).listen(0, "127.0.0.1");
    await once(site, "listening");
    origin = `http://127.0.0.1:${site.address().port}`;
    const transport = { ping_interval: "500ms", ping_timeout: "1s", compression: { threshold: "1KiB" } };
    const config = (config) => ({ ...config, transport, auth: { ...config.auth, origins: [origin] } });
    server = await Server.start({ plugins: false, config });
    browser = await openBrowser({ keepsPages: true });
  });
  after(async () => {
    await browser?.close();
    await server?.stop();
    site?.close();
  });

  /** A page of another origin, which the configuration lists. */
  const open = async ({ from = origin, to = server.url, times = 1, ...query } = {}) => {
    const context = await browser.newContext();
    const page = await context.newPage();
    const devtools = await context.newCDPSession(page);
    const websockets = [];
    devtools.on("Network.webSocketHandshakeResponseReceived", ({ response }) => websockets.push(response));
    await devtools.send("Network.enable");
    await page.goto(`${from}/page?${new URLSearchParams({ server: to, token: token("ada"), ...query })}`);
    await connected(page, times);
    return { context, page, devtools, websockets };
  };
  const life = (page) => page.evaluate(() => window.life);
  const connected = (page, times) => until(`connection ${times}`, async () => (await life(page)).connected >= times);
  const receives = async (page, n, filling) => {
    assert.equal((await server.publish(TOPIC, { n, filling })).status, 202);
    await until(`publication ${n}`, async () => (await life(page)).received.includes(n));
  };

  for (const transports of ["polling", "websocket", "polling,websocket"]) {
    test(`receives publications over ${transports}`, async () => {
      const { context, page } = await open({ transports });
      await receives(page, 1);
      const { received, gone } = await life(page);
      assert.deepEqual([received, gone], [[1], []]);
      await context.close();
    });
  }

  describe("behind a proxy that asks the server under another host name", () => {
    let proxy;
    before(async () => (proxy = await RenamingProxy.start(server.address, "backend.internal", PAGE)));
    after(() => proxy?.stop());
    const throughProxy = (query) => open({ from: proxy.url, to: proxy.url, ...query });

    test("a page of the same origin is let in, and goes over to a websocket", async () => {
      const { context, page } = await throughProxy();
      const carrier = () => page.evaluate(() => window.socket.io.engine.transport.name);
      await until("the upgrade", async () => (await carrier()) === "websocket");
      await receives(page, 1);
      await context.close();
    });

    test("a page that begins with a websocket, of which the browser says nothing, gets one final refusal", async () => {
      const told = server.logged("realtime.auth_failed");
      const { context, page } = await throughProxy({ transports: "websocket", times: 0 });
      const { code, origin, host } = await told;
      assert.deepEqual([code, origin, host], ["forbidden", proxy.url, "backend.internal"]);
      await until("the refusal", async () => (await life(page)).refused.length > 0);
      assert.deepEqual((await life(page)).refused, ["forbidden"]);
      assert.equal(await page.evaluate(() => window.socket.active), false);
      await context.close();
    });
  });

  test("gets large publications compressed and whole", async () => {
    const { context, page, websockets } = await open({ transports: "websocket" });
    const headers = new Map(Object.entries(websockets[0].headers).map(([name, value]) => [name.toLowerCase(), value]));
    assert.match(headers.get("sec-websocket-extensions"), /^permessage-deflate/);
    for (const n of [1, 2, 3]) await receives(page, n, "x".repeat(20_000));
    assert.equal((await life(page)).bytes, 60_000);
    await context.close();
  });

  test("comes back by itself when a page stood still until the server gave it up, and goes on", async () => {
    const { context, page, devtools } = await open({ transports: "websocket" });
    const ended = server.logged("realtime.disconnect");
    // Only pages that nobody sees are frozen, and a headless page is always seen. The debugger halts it in the same way:
    // no script of the page runs, and the browser keeps its websocket.
    await devtools.send("Debugger.enable");
    await devtools.send("Debugger.pause");
    assert.equal((await ended).reason, "ping_timeout");
    assert.equal((await server.publish(TOPIC, { n: 1 })).status, 202);
    await devtools.send("Debugger.resume");
    await devtools.send("Debugger.disable");
    await connected(page, 2);
    await receives(page, 2);
    const { received, gone } = await life(page);
    assert.deepEqual(received, [2], "what was published meanwhile is missed, on a channel without history");
    assert.equal(gone.length, 1);
    await context.close();
  });

  test("comes back by itself when the network was off", async () => {
    const { context, page } = await open();
    await context.setOffline(true);
    await until("the client's word that it is cut", async () => (await life(page)).gone.length === 1);
    await context.setOffline(false);
    await connected(page, 2);
    await receives(page, 1);
    await context.close();
  });

  test("comes back by itself when a page returns from the back/forward cache", async () => {
    const { context, page } = await open({ transports: "websocket" });
    await page.goto(`${origin}/elsewhere`);
    // A page that was kept is not loaded again.
    await page.goBack({ waitUntil: "commit" });
    await until("the return", async () => (await life(page)).shown.length === 2);
    assert.deepEqual((await life(page)).shown, [false, true], "the page was kept");
    await connected(page, 2);
    await receives(page, 1);
    await context.close();
  });
});
