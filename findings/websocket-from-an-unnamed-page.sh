#!/usr/bin/env bash
# One would guess: a browser tells with every request of a page whether it goes to the page's own origin, so a server behind a proxy that changes Host can go by Sec-Fetch-Site.
# Real: Chromium says `same-origin` with every poll, but nothing with a websocket, which has Origin alone; a same-origin GET, with which a Socket.IO session begins, has no Origin. No request has both until the first POST.
# Here: the server takes the browser's word for a session that began by polling, also for its upgrade; a page that begins with a websocket needs a listed proxy or origin.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{"private":true,"type":"module"}' > package.json
npm install --silent --no-audit --no-fund --save-exact @sparticuz/chromium@153.0.0 playwright-core@1.65.1 socket.io-client@4.8.4
cat > pages.mjs <<'JS'
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";

import Chromium from "@sparticuz/chromium";
import { chromium } from "playwright-core";

const client = readFileSync("node_modules/socket.io-client/dist/socket.io.min.js", "utf8");
const seen = new Map();
const note = (what, { headers }) => {
  if (seen.has(what)) return;
  seen.set(what, `${what}: origin ${headers.origin ? "named" : "not named"}, sec-fetch-site ${headers["sec-fetch-site"] ?? "missing"}`);
};
const open = { sid: "s", upgrades: ["websocket"], pingInterval: 25_000, pingTimeout: 20_000, maxPayload: 1e6 };
const server = createServer((request, response) => {
  if (!request.url.startsWith("/socket.io/")) {
    return response.setHeader("content-type", "text/html").end(`<script>${client}</script><script>io()</script>`);
  }
  const isFirst = !request.url.includes("sid=");
  note(request.method === "POST" ? "POST" : isFirst ? "first GET" : "later GET", request);
  if (request.method === "POST") return response.end("ok");
  // A later poll is never answered.
  if (isFirst) response.end(`0${JSON.stringify(open)}`);
});
server.on("upgrade", (request, socket) => {
  note("websocket", request);
  socket.destroy();
});
server.listen(0, "127.0.0.1");
await once(server, "listening");

const browser = await chromium.launch({ args: ["--no-sandbox"], executablePath: await Chromium.executablePath(), headless: true });
console.log(`Chromium ${browser.version()}, socket.io-client 4.8.4`);
const page = await browser.newPage();
await page.goto(`http://127.0.0.1:${server.address().port}/`);
for (let tries = 0; seen.size < 4 && tries < 200; tries += 1) await page.waitForTimeout(50);
for (const what of ["first GET", "later GET", "POST", "websocket"]) console.log(seen.get(what) ?? `${what}: none`);
await browser.close();
process.exit();
JS
node pages.mjs | tee seen
tail -n 4 seen | diff - <(printf '%s\n' 'first GET: origin not named, sec-fetch-site same-origin' 'later GET: origin not named, sec-fetch-site same-origin' 'POST: origin named, sec-fetch-site same-origin' 'websocket: origin named, sec-fetch-site missing')
