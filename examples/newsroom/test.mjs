// The newsroom does what its README says: real server, real PostgreSQL, the stock client, four tabs of a browser.

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";

import { io } from "socket.io-client";

import { freePort } from "@tidegate/example-start/local-server.mjs";
import { tidegate } from "@tidegate/example-start/tidegate.mjs";
import { openBrowser } from "@tidegate/kit/browser.mjs";
import { ask, until } from "@tidegate/kit/harness.mjs";
import { PostgresServer } from "@tidegate/kit/services.mjs";

// Longer than a PostgreSQL and a plugin take to be made on a busy machine.
const START_PATIENCE_MS = 60_000;

const directory = fileURLToPath(new URL(".", import.meta.url));
// The variable would make a test that runs within a test silent.
const { NODE_TEST_CONTEXT: _, DATABASE_URL: __, ...env } = process.env;
const npm = (...args) => execFileSync("npm", ["run", "--silent", ...args], { cwd: directory, encoding: "utf8", env });

test("the types are those that the channels give, and the use case is tested without any server", () => {
  const printed = tidegate("types", "--lang", "ts", "--config", join(directory, "config/tidegate.yaml"));
  assert.equal(readFileSync(join(directory, "backend/channels.ts"), "utf8"), printed);
  // It compiles the backend, too, which the tests below run.
  assert.match(npm("unit"), /# pass 4\n# fail 0/);
  tidegate("plugin", "build", "presence", "--config", join(directory, "config/tidegate.yaml"));
});

describe("the newsroom", () => {
  let scene, postgres, secrets, realtime, backend, browser, context, project, listen;
  const tabs = {};
  const startTidegate = async () => {
    realtime = await scene.startRealtime({ directory: project, listen, origin: `http://127.0.0.1:${backend?.port ?? (await port)}`, secrets });
    listen = new URL(realtime.url).host;
  };
  const port = freePort();

  before(async () => {
    scene = await import("./scene.mjs");
    secrets = scene.secrets();
    listen = "127.0.0.1:0";
    // A copy, with the plugin as it was built above: what a developer adds to it is removed with it.
    project = mkdtempSync(join(tmpdir(), "newsroom-"));
    for (const part of ["config", "channels", "plugins"]) cpSync(join(directory, part), join(project, part), { recursive: true });
    const manifest = join(project, "plugins/presence/plugin.yaml");
    writeFileSync(manifest, readFileSync(manifest, "utf8").replace(/^build:.*\n/m, ""));
    [postgres] = await Promise.all([PostgresServer.start(), startTidegate()]);
    backend = await scene.startNewsroom({ database: postgres.url, port: await port, secrets, realtime: () => realtime.url });
    browser = await openBrowser();
    context = await browser.newContext({ viewport: { width: 800, height: 620 } });
    for (const name of ["visitor", "ada", "ben", "erin"]) tabs[name] = await open(name);
  });
  after(async () => {
    for (const [name, tab] of Object.entries(tabs)) if (process.env.SCREENSHOTS) await tab.screenshot({ path: `${process.env.SCREENSHOTS}/${name}.png` });
    await browser?.close();
    await backend?.stop();
    await realtime?.stop();
    await postgres?.stop();
    if (project) rmSync(project, { recursive: true });
  });

  async function open(name) {
    const tab = await context.newPage();
    tab.errors = [];
    tab.on("pageerror", ({ message }) => tab.errors.push(message));
    await tab.goto(`http://127.0.0.1:${backend.port}/${name === "visitor" ? "" : `?as=${name}`}`);
    await state(tab, "live");
    return tab;
  }
  const state = (tab, text) => tab.locator("#state", { hasText: new RegExp(`^${text}$`) }).waitFor();
  const shows = (tab, list, text) => tab.locator(`#${list} li`, { hasText: text }).waitFor();
  const hides = (tab, list, text) => tab.locator(`#${list} li`, { hasText: text }).waitFor({ state: "detached" });
  const says = (tab, text) => tab.locator("#said", { hasText: text }).waitFor();
  const read = (tab, title) => tab.locator("#feed li", { hasText: title }).getByRole("button").click();
  async function publish(tab, title, section) {
    await tab.getByLabel("Title").fill(title);
    await tab.getByLabel("Section").selectOption(section);
    await tab.getByRole("button", { name: "Publish" }).click();
  }

  test("a published article is on every page, over the bridge in its section, and only its author is notified", async () => {
    const adasOther = await open("ada");
    await publish(tabs.ada, "A derby in the rain", "sports");
    await publish(tabs.ada, "Neap tides", "culture");
    for (const tab of Object.values(tabs)) {
      await shows(tab, "feed", "A derby in the rain");
      await shows(tab, "feed", "Neap tides");
      await shows(tab, "sports", "A derby in the rain");
      assert.equal(await tab.locator("#sports li").count(), 1);
    }
    for (const tab of [tabs.ada, adasOther]) await shows(tab, "notifications", "“Neap tides” is live");
    for (const name of ["ben", "erin"]) assert.equal(await tabs[name].locator("#notifications li").count(), 0);
    await adasOther.close();
  });

  test("nobody may listen to another user, or to the editors' channel without the role", async () => {
    const { token } = await (await fetch(`http://127.0.0.1:${backend.port}/api/sign-in`, { method: "POST", body: '{ "name": "ben" }' })).json();
    const socket = io(realtime.url, { auth: { token } });
    for (const channel of ["notifications.user.ada", "presence.viewers"]) {
      assert.equal((await ask(socket, "subscribe", { channel })).error.code, "forbidden");
    }
    assert.equal((await ask(socket, "subscribe", { channel: "notifications.user.ben" })).ok, true);
    socket.close();
  });

  test("editors see who reads what, until the last tab of a reader is gone; a visitor leaves no trace", async () => {
    await read(tabs.ben, "Neap tides");
    await shows(tabs.erin, "viewers", /^Neap tides: ben$/);
    const second = await open("ben");
    await read(second, "Neap tides");
    await read(tabs.visitor, "Neap tides");
    await read(tabs.ada, "Neap tides");
    await shows(tabs.erin, "viewers", /^Neap tides: ada, ben$/);
    const late = await open("erin");
    await shows(late, "viewers", /^Neap tides: ada, ben$/);
    await late.close();
    await tabs.ben.getByRole("button", { name: "Close" }).click();
    await tabs.ada.getByRole("button", { name: "Close" }).click();
    await shows(tabs.erin, "viewers", /^Neap tides: ben$/);
    await second.close();
    await hides(tabs.erin, "viewers", "Neap tides");
    assert.equal(await tabs.visitor.locator("#said").textContent(), "");
    await tabs.visitor.getByRole("button", { name: "Close" }).click();
  });

  test("from nothing to live: a new channel and a new handler, while pages are connected", async (t) => {
    const command = (...args) => execFileSync(process.env.TIDEGATE_BIN ?? "tidegate", args, { cwd: project, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
    command("new", "channel", "comments", "comments.article.{articleId}", "authenticated");
    command("new", "plugin", "comments", "--lang", "typescript", "--handler", "comments.article.{articleId}");
    const { token } = await (await fetch(`http://127.0.0.1:${backend.port}/api/sign-in`, { method: "POST", body: '{ "name": "ben" }' })).json();
    const socket = io(realtime.url, { auth: { token } });
    t.after(() => socket.close());
    const topic = "comments.article.1";
    await until("the channel", async () => (await ask(socket, "subscribe", { channel: topic })).ok);
    let ack;
    await until("the handler", async () => (ack = await ask(socket, topic, { text: "hello" })).ok, START_PATIENCE_MS);
    assert.deepEqual(ack.reply, { text: "hello" });
    for (const tab of Object.values(tabs)) await state(tab, "live");
  });

  test("while Tidegate is away an article is stored, and told once when it is back; pages are live again by themselves", async () => {
    await realtime.stop();
    await state(tabs.ben, "connecting");
    await publish(tabs.ada, "Written in the dark", "sports");
    await says(tabs.ada, "stored; readers hear of it when Tidegate is back");
    await startTidegate();
    for (const tab of Object.values(tabs)) await state(tab, "live");
    for (const list of ["feed", "sports"]) for (const tab of Object.values(tabs)) await shows(tab, list, "Written in the dark");
    await until("the announcement", async () => (await postgres.sql("select count(*) from articles where not announced")).trim() === "0");
  });

  test("while the store is away nothing is published, and the page says so", async () => {
    await postgres.kill();
    await publish(tabs.ada, "Not to be", "culture");
    await says(tabs.ada, "not published: unavailable");
    await state(tabs.ada, "live");
    await postgres.restart();
    await until("the store", async () => (await fetch(`http://127.0.0.1:${backend.port}/api/articles`)).ok);
    await publish(tabs.ada, "After the store", "culture");
    for (const tab of Object.values(tabs)) await shows(tab, "feed", "After the store");
    for (const tab of Object.values(tabs)) assert.equal(await tab.locator("#feed li", { hasText: "Not to be" }).count(), 0);
    for (const tab of Object.values(tabs)) assert.deepEqual(tab.errors, []);
  });
});

test("`npm start` alone starts everything, and Ctrl-C ends it", async (t) => {
  const start = spawn(process.execPath, ["start.mjs"], {
    cwd: directory, env: { ...env, PORT: String(await freePort()), LISTEN: "127.0.0.1:0" }, stdio: ["ignore", "pipe", "ignore"],
  });
  const ended = once(start, "exit");
  t.after(() => {
    start.kill("SIGTERM");
    return ended;
  });
  let printed = "";
  start.stdout.on("data", (chunk) => (printed += chunk));
  const url = await until("the address of a page", () => /http:\/\/\S+\?as=ada/.exec(printed)?.[0], START_PATIENCE_MS);
  assert.equal((await fetch(url)).status, 200);
  start.kill("SIGINT");
  assert.equal((await ended)[0], 0);
});
