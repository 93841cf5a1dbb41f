// The example does what its README says. Uses the kit of tests/e2e, which has to be installed and built.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { after, before, test } from "node:test";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

import { io } from "socket.io-client";

import { ask, Server, token, within } from "../../tests/e2e/harness.mjs";

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
