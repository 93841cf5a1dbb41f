#!/usr/bin/env bash
# One would guess: what a user writes, `{ "_placeholder": true, "num": 0 }` too, arrives as it was, whatever is sent beside it.
# Real: Socket.IO marks the places of bytes with just this object and escapes none: beside bytes, the user's object becomes the bytes.
# Here: publications are JSON without attachments, so the object stays what it was; who adds bytes to events of their own has to know.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{"private":true,"type":"module"}' > package.json
npm install --silent --no-audit --no-fund --save-exact socket.io@4.8.4 socket.io-client@4.8.4
cat > send.mjs <<'JS'
import { once } from "node:events";
import { createServer } from "node:http";
import { Server } from "socket.io";
import { io } from "socket.io-client";

const http = createServer().listen(0, "127.0.0.1");
await once(http, "listening");
const written = { _placeholder: true, num: 0 };
new Server(http).on("connection", (socket) => {
  socket.emit("profile", { written });
  socket.emit("profile", { written, picture: Buffer.from("a picture") });
});
const client = io(`http://127.0.0.1:${http.address().port}`);
console.log(`node ${process.versions.node}, socket.io 4.8.4, socket.io-client 4.8.4`);
let seen = 0;
client.on("profile", ({ written, picture }) => {
  const shown = Buffer.isBuffer(written) ? `bytes: ${written}` : JSON.stringify(written);
  console.log(`${picture ? "beside bytes" : "alone"}: ${shown}`);
  if ((seen += 1) === 2) process.exit();
});
JS
node send.mjs | tee seen
tail -n 2 seen | diff - <(printf '%s\n' 'alone: {"_placeholder":true,"num":0}' 'beside bytes: bytes: a picture')
