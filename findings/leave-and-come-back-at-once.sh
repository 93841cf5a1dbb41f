#!/usr/bin/env bash
# One would guess: `socket.disconnect().connect()`, which the manual shows for new credentials, is about one namespace only.
# Real: over websocket both packets come at once, and socket.io closes the whole connection: every other namespace of it is gone, too.
# Here: the transport handles packets one after the other, so the namespace comes back and the others notice nothing.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{"private":true,"type":"module"}' > package.json
npm install --silent --no-audit --no-fund --save-exact socket.io@4.8.4 socket.io-client@4.8.4 ws@8.23.0
cat > leave.mjs <<'JS'
import { once } from "node:events";
import { createServer } from "node:http";
import { Server } from "socket.io";
import { io } from "socket.io-client";

const http = createServer().listen(0, "127.0.0.1");
await once(http, "listening");
const server = new Server(http);
for (const name of ["/", "/chat"]) server.of(name).on("connection", () => {});

console.log(`node ${process.versions.node}, socket.io 4.8.4, socket.io-client 4.8.4`);
for (const transport of ["polling", "websocket"]) {
  const main = io(`http://127.0.0.1:${http.address().port}`, { transports: [transport], forceNew: true, reconnection: false });
  const chat = main.io.socket("/chat").connect();
  const connected = (socket) => new Promise((resolve) => socket.once("connect", resolve));
  await Promise.all([connected(main), connected(chat)]);
  // What happens to the other namespace, or that the one that left is back.
  const happened = Promise.race([
    new Promise((resolve) => main.once("disconnect", (reason) => resolve(`the other namespace hears: ${reason}`))),
    new Promise((resolve) => chat.once("disconnect", () => resolve(connected(chat).then(() => "it is back")))),
  ]);
  chat.disconnect().connect();
  console.log(`${transport}: ${await happened}`);
  main.io.removeAllListeners();
  main.disconnect();
  chat.disconnect();
}
process.exit();
JS
node leave.mjs | tee seen
tail -n 2 seen | diff - <(printf '%s\n' 'polling: it is back' 'websocket: the other namespace hears: transport close')
