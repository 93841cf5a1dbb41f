// The hooks in Chromium, in React's StrictMode, through what happens to a page.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";

import { build } from "esbuild";

import { openBrowser } from "@tidegate/kit/browser.mjs";
import { Server, token, until } from "@tidegate/kit/harness.mjs";
import { RefusingProxy } from "@tidegate/kit/proxies.mjs";

import { numbers, publish, revoke, startServer } from "./seen.mjs";

describe("in a browser", () => {
  let site, server, browser, proxy;
  before(async () => {
    const { outputFiles } = await build({
      entryPoints: [fileURLToPath(new URL("page.jsx", import.meta.url))],
      bundle: true, format: "iife", jsx: "automatic", write: false, define: { "process.env.NODE_ENV": '"development"' },
    });
    const page = `<!doctype html><title>page</title><body></body><script>${outputFiles[0].text.replaceAll("</script", "<\\/script")}</script>`;
    site = createServer((_, response) => response.setHeader("content-type", "text/html; charset=utf-8").end(page)).listen(0, "127.0.0.1");
    await once(site, "listening");
    const origins = [`http://127.0.0.1:${site.address().port}`];
    server = await startServer((config) => ({ ...config, auth: { ...config.auth, origins } }));
    proxy = await RefusingProxy.start(server.address);
    browser = await openBrowser();
  });
  after(async () => {
    await browser?.close();
    proxy?.stop();
    await server?.stop();
    site?.close();
  });

  const open = async (t, topic, { user = "ada", url = server.url } = {}) => {
    const context = await browser.newContext();
    t.after(() => context.close());
    const page = await context.newPage();
    const complaints = [];
    page.on("pageerror", (error) => complaints.push(error.message));
    page.on("console", (message) => message.type() === "error" && /react/i.test(message.text()) && complaints.push(message.text()));
    t.after(() => assert.deepEqual(complaints, []));
    await page.goto(`http://127.0.0.1:${site.address().port}/?${new URLSearchParams({ server: url, token: token(user), topic })}`);
    await says(page, "status", "subscribed");
    return { context, page };
  };
  const says = (page, id, text) => page.locator(`#${id}`).first().getByText(text, { exact: true }).waitFor({ timeout: 20_000 });
  const seen = (page) => page.evaluate(() => window.seen);
  const has = async (page, ...wanted) => {
    await until(`${wanted.length} on the page`, async () => (await seen(page)).length >= wanted.length);
    assert.deepEqual(await seen(page), wanted);
  };

  test("a component has each publication once, by one subscription, whatever StrictMode mounts twice", async (t) => {
    const { page } = await open(t, "feed.strict");
    await says(page, "state", "live");
    await publish(server, "feed.strict", 1);
    await says(page, "last", "1");
    await has(page, ["one", 1]);
    assert.deepEqual(await page.evaluate(() => window.asked), ["subscribe feed.strict"]);
  });

  test("components of one topic share a subscription; handlers are those of the newest render", async (t) => {
    const { page } = await open(t, "feed.many");
    await page.evaluate(() => { window.repeat(3); window.rename("two"); });
    await until("three", async () => (await page.locator("#status").getByText("subscribed").count()) === 3);
    await publish(server, "feed.many", 1);
    await has(page, ["two", 1], ["two", 1], ["two", 1]);
    await page.evaluate(() => window.repeat(0));
    await until("the end", async () => (await page.evaluate(() => window.asked)).length === 2);
    assert.deepEqual(await page.evaluate(() => window.asked), ["subscribe feed.many", "unsubscribe feed.many"]);
  });

  test("another topic takes the place of the first, and a refused one says why", async (t) => {
    const { page } = await open(t, "feed.first");
    await page.evaluate(() => window.show("editors"));
    await says(page, "status", "refused: forbidden");
    await page.evaluate(() => window.show("feed.second"));
    await says(page, "status", "subscribed");
    await publish(server, "feed.first", 1);
    await publish(server, "feed.second", 2);
    await has(page, ["one", 2]);
    await revoke(server, { topic: "feed.second" });
    await says(page, "status", "revoked: forbidden");
  });

  test("values of keys and who is there are shown as they are now", async (t) => {
    await publish(server, "fleet.page", { device: "a", at: 1 });
    const { page } = await open(t, "fleet.page");
    await says(page, "values", "a=1");
    await publish(server, "fleet.page", { device: "b", at: 1 }, { device: "a", at: 2 });
    await says(page, "values", "a=2 b=1");
    await page.evaluate(() => window.show("room.page"));
    await says(page, "present", "1");
    await open(t, "room.page", { user: "ben" });
    await says(page, "present", "2");
  });

  test("a network that is off shows as offline at once; when it is back nothing is missing, in two tabs", async (t) => {
    const { context, page } = await open(t, "feed.network");
    const other = await open(t, "feed.network");
    await context.setOffline(true);
    await says(page, "state", "offline");
    await publish(server, "feed.network", 1, 2);
    await context.setOffline(false);
    await says(page, "state", "live");
    await publish(server, "feed.network", 3);
    for (const tab of [page, other.page]) await has(tab, ...numbers(1, 3).map((n) => ["one", n]));
  });

  test("a proxy without Socket.IO makes it poll, of another origin too; it comes back with everything once", async (t) => {
    const { page } = await open(t, "feed.proxy", { url: proxy.url });
    await says(page, "state", "live");
    let n = 0;
    for (const refused of ["socket.io", "nothing", "socket.io", "nothing"]) {
      // Not while it goes over to a websocket: a stock client that is cut there notices at its next heartbeat.
      const carrier = () => page.evaluate(() => window.client.socket.io.engine.transport.name);
      if (refused === "socket.io") await until("the websocket", async () => (await carrier()) === "websocket");
      proxy.refuse(refused);
      await publish(server, "feed.proxy", ++n);
      await says(page, "state", refused === "nothing" ? "live" : "degraded");
      await publish(server, "feed.proxy", ++n);
      await has(page, ...numbers(1, n).map((n) => ["one", n]));
    }
  });

  test("a server that is started anew is found again, and a session that is over says so", async (t) => {
    const { page } = await open(t, "feed.anew", { user: "eve" });
    await server.stop({ keep: true });
    server = await Server.start({ directory: server.directory, listen: server.address });
    await until("the gap", async () => (await seen(page)).length === 1);
    await publish(server, "feed.anew", 1);
    await has(page, ["gap", "epoch_changed"], ["one", 1]);
    await revoke(server, { user: "eve" });
    await says(page, "state", "offline: token_revoked");
  });
});
