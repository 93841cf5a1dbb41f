#!/usr/bin/env bash
# One would guess: a client hears `disconnect` after `connect`, and `connect_error` for a connection that did not come about.
# Real: a transport that closes before the answer to the handshake is `disconnect` with `transport close`; `connect_error` is not told.
# Here: "not now" at gate 1 closes the transport, so a page must count from `socket.connected` and not from pairs of events.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{"private":true,"type":"module"}' > package.json
npm install --silent --no-audit --no-fund --save-exact socket.io@4.8.4 socket.io-client@4.8.4
cat > disconnect.mjs <<'JS'
import { once } from "node:events";
import { createServer } from "node:http";
import { Server } from "socket.io";
import { io } from "socket.io-client";

const http = createServer().listen(0, "127.0.0.1");
await once(http, "listening");
const server = new Server(http);
// Asks somebody who does not answer, and closes without an answer of its own.
server.use((socket) => setTimeout(() => socket.conn.close(), 200));

console.log(`node ${process.versions.node}, socket.io 4.8.4, socket.io-client 4.8.4`);
for (const transport of ["polling", "websocket"]) {
  const socket = io(`http://127.0.0.1:${http.address().port}`, { transports: [transport], forceNew: true, reconnection: false });
  const heard = [];
  for (const event of ["connect", "connect_error", "disconnect"]) {
    socket.on(event, (why) => heard.push(`${event} (${why.message ?? why})`));
  }
  await once(socket.io, "close");
  await new Promise(setImmediate);
  console.log(`${transport}: ${heard.join(", ")}`);
}
process.exit();
JS
node disconnect.mjs | tee seen
tail -n 2 seen | diff - <(printf '%s\n' 'polling: disconnect (transport close)' 'websocket: disconnect (transport close)')
