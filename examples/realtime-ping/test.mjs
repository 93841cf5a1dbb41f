// The example does what its README says. The plugins of `tests/kit` have to be built.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { after, before, test } from "node:test";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

import { io } from "socket.io-client";

import { openBrowser } from "@tidegate/kit/browser.mjs";
import { ask, Server, token, within } from "@tidegate/kit/harness.mjs";

let server;
const programs = [];
before(async () => {
  server = await Server.start();
});
after(async () => {
  for (const program of programs) program.kill();
  await server?.stop();
});

// Resolves to the first line that `wanted` matches.
function run(file, env, wanted) {
  const program = spawn(process.execPath, [file], {
    cwd: fileURLToPath(new URL(".", import.meta.url)),
    env: { ...process.env, URL: server.url, ...env },
    stdio: ["ignore", "pipe", "inherit"],
  });
  programs.push(program);
  const line = new Promise((resolve) => {
    createInterface({ input: program.stdout }).on("line", (text) => wanted.test(text) && resolve(text));
  });
  return within(`${file} prints ${wanted}`, line);
}

test("the client pings and receives the pong", async () => {
  const env = { TOKEN: token("u1") };
  await run("client.mjs", env, /^pong 2$/);
});

test("the page is served with the client, and reaches the server through its own origin", async () => {
  const line = await run("page.mjs", { PORT: "0" }, /^open /);
  const url = line.slice("open ".length);
  const html = await (await fetch(url)).text();
  const [, script] = /<script src="([^"]+)"/.exec(html);
  assert.equal((await fetch(new URL(script, url))).status, 200);
  const extraHeaders = { Origin: url.replace(/\/$/, "") };
  for (const transport of ["polling", "websocket"]) {
    const socket = io(url, { forceNew: true, transports: [transport], auth: { token: token("u2") }, extraHeaders });
    assert.equal((await ask(socket, "subscribe", { channel: "realtime-ping" })).ok, true);
    socket.close();
  }
});

test("in a browser: connect with a token, press Ping, read the pong", async (t) => {
  const url = (await run("page.mjs", { PORT: "0" }, /^open /)).slice("open ".length);
  const browser = await openBrowser();
  t.after(() => browser.close());
  const page = await browser.newPage();
  const complaints = [];
  page.on("pageerror", (error) => complaints.push(error.message));
  await page.goto(url);
  const says = (text) => page.locator("pre", { hasText: text }).waitFor();

  await page.getByLabel("Session token").fill("no token");
  await page.getByRole("button", { name: "Connect" }).click();
  await says("not connected: unauthenticated");

  await page.getByLabel("Session token").fill(token("u3"));
  await page.getByRole("button", { name: "Connect" }).click();
  await says("subscribed");
  await page.getByRole("button", { name: "Ping" }).click();
  await says("pong 1");
  await says('ping 1 -> {"pong":1}');
  if (process.env.SCREENSHOT) await page.screenshot({ path: process.env.SCREENSHOT });
  assert.deepEqual(complaints, []);
});
