// The example does what its README says: whatever happens to the servers is on the page, and on no other user's.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";

import { openBrowser } from "@tidegate/kit/browser.mjs";
import { ask, io, within } from "@tidegate/kit/harness.mjs";
import { binary, components } from "@tidegate/kit/paths.mjs";
import { RedisServer } from "@tidegate/kit/services.mjs";

// Longer than building the shipped plugins from nothing takes on a small machine.
const START_PATIENCE_MS = 300_000;
// Longer than a lease of a node lasts on a busy machine.
const PAGE_PATIENCE_MS = 60_000;

const here = fileURLToPath(new URL(".", import.meta.url));
const channels = mkdtempSync(join(tmpdir(), "observability-"));
let redis;
let example;
let ended;
let browser;
let page;
let operators;
let others;

before(async () => {
  cpSync(join(here, "channels"), channels, { recursive: true });
  redis = await RedisServer.start();
  // The plugins are built already, there.
  const built = { TIDEGATE_BIN: binary(), CARGO_TARGET_DIR: components.shipped.target };
  const places = { REDIS_URL: redis.url, PORT: "0", LISTEN: "127.0.0.1:0", TIDEGATE__CHANNELS: channels };
  const env = { ...process.env, ...built, ...places };
  example = spawn(process.execPath, ["start.mjs"], { cwd: here, env, stdio: ["pipe", "pipe", "inherit"] });
  ended = once(example, "exit");
  const addresses = new Promise((resolve, reject) => {
    const found = [];
    createInterface({ input: example.stdout }).on("line", (line) => {
      const address = /(?:^open|operator:) (http:\S+)$/.exec(line)?.[1];
      if (address && found.push(address) === 2) resolve(found);
    });
    ended.then(([code]) => reject(new Error(`the example ended with ${code}`)));
  });
  [operators, others] = await within("the example says what to open", addresses, START_PATIENCE_MS);
  browser = await openBrowser();
  page = await browser.newPage();
  page.setDefaultTimeout(PAGE_PATIENCE_MS);
  await page.goto(operators);
  await says("live");
});

after(async () => {
  await browser?.close();
  example.kill("SIGTERM");
  const [code] = await within("the example ends", ended, PAGE_PATIENCE_MS);
  assert.equal(code, 0);
  rmSync(channels, { recursive: true });
  await redis.stop();
});

const type = (word) => example.stdin.write(`${word}\n`);
const says = (text, on = page) => on.getByRole("status").filter({ hasText: text }).waitFor();
// The rows of this kind that this node told.
function rowsOf(what, node) {
  const cell = (name) => ({ has: page.getByRole("cell", { name, exact: true }) });
  return page.locator("tbody tr").filter(cell(what)).filter(cell(node));
}
// The newest of them with this text.
async function shows(what, more, node = "node-1") {
  const row = rowsOf(what, node).filter({ hasText: more }).first();
  await row.waitFor();
  return await row.textContent();
}

test("the page shows the node that it talks to, which joined before the page was open", async () => {
  await shows("node.joined", "");
});

test("a client with a bad token, and a user who is no operator, are shown with gate and code", async () => {
  type("intruder");
  await shows("gate.refused", /code=unauthenticated .*gate=connect/);
  type("curious");
  await shows("gate.refused", /channel=operations code=forbidden .*gate=subscribe .*user=alice/);
});

test("a plugin that fails is shown by its name, and what it said is not", async () => {
  type("fault");
  const row = await shows("plugin.fault", "plugin=ping");
  assert.match(row, /kind=invalid_output/);
  assert.doesNotMatch(row, /101/);
});

test("an event that cannot cross the bridge is shown with its rule, and its data is not", async () => {
  type("letter");
  const row = await shows("bridge.dead_letter", "on=game.scored to=realtime-ping");
  assert.doesNotMatch(row, /many/);
});

test("a file with a mistake is shown with its place, and so is the reload that mends it", async () => {
  const file = join(channels, "extra.yaml");
  writeFileSync(file, "feature: extra\nchannels:\n  extra: { scope: nobody, payload: true }\n");
  await shows("reload.rejected", "extra.yaml:3");
  writeFileSync(file, "feature: extra\nchannels:\n  extra: { scope: public, payload: true }\n");
  await shows("reload.applied", "generation=2");
});

test("a second node that joins, drains and is gone is shown, by itself and by the first", async () => {
  type("node");
  await shows("node.joined", "", "node-2");
  type("node");
  await shows("node.draining", "connections=0", "node-2");
  await shows("node.left", "left=node-2");
});

test("a user who is no operator sees nothing, on the page and without it", async () => {
  const other = await browser.newPage();
  await other.goto(others);
  await says("not for you: forbidden", other);
  const address = new URL(others);
  const [server, token] = [address.searchParams.get("server"), address.hash.slice(1)];
  const socket = io(server, { auth: { token }, forceNew: true });
  const heard = [];
  socket.onAny((event) => heard.push(event));
  assert.equal((await ask(socket, "subscribe", { channel: "operations" })).error.code, "forbidden");
  const history = await fetch(`${server}/v1/channels/operations/history`, { headers: { authorization: `Bearer ${token}` } });
  assert.equal(history.status, 403);
  const before = await page.locator("tbody tr").count();
  type("intruder");
  await page.locator(`tbody tr:nth-child(${before + 1})`).waitFor();
  // Whatever was on its way to this client came before the answer.
  await ask(socket, "unsubscribe", { channel: "operations" });
  assert.deepEqual(heard, []);
  assert.equal(await other.locator("tbody tr").count(), 0);
  socket.close();
});

test("a server that dies is told, and the page comes back by itself with what happened meanwhile", async () => {
  const joined = rowsOf("node.joined", "node-1");
  const before = await joined.count();
  type("kill");
  await says("not connected: transport");
  await says("live");
  // The server came back before the page did: this is read from the history.
  await joined.nth(before).waitFor();
});

test("a Redis that dies is told by the node of the page, and that it is back with what is missing", async () => {
  await redis.kill();
  await shows("broker.away", "link=");
  const late = await browser.newPage();
  await late.goto(operators);
  await says("not ready: unavailable", late);
  await redis.restart();
  await shows("broker.back", "link=");
  // It kept nothing: the history began anew.
  await page.locator("tbody tr", { hasText: "some events are missing here: epoch_changed" }).first().waitFor();
  await says("live");
  await says("live", late);
  type("intruder");
  await late.locator("tbody tr", { hasText: "code=unauthenticated" }).first().waitFor();
  if (process.env.SCREENSHOT) await page.screenshot({ path: process.env.SCREENSHOT, fullPage: true });
});
