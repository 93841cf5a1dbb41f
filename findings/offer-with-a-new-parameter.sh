#!/usr/bin/env bash
# One would guess: a server that does not know a parameter of a permessage-deflate offer takes the client's next offer, or goes on uncompressed, as RFC 7692 §7 says.
# Real: with compression on, Node's `ws`, and so socket.io, answers the whole handshake with 400, even when a plain offer follows; Python's `websockets` takes the plain one.
# Here: clients that offer more than they need are kept out by a reference server that compresses; the transport declines such an offer and goes on.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{"private":true,"type":"module"}' > package.json
npm install --silent --no-audit --no-fund --save-exact ws@8.23.0
python3 -m venv python
python/bin/pip install --quiet --disable-pip-version-check websockets==15.0.1
cat > serve.mjs <<'JS'
import { WebSocketServer } from "ws";
const server = new WebSocketServer({ port: 0, host: "127.0.0.1", perMessageDeflate: true });
server.once("listening", () => console.log(server.address().port));
JS
cat > serve.py <<'PY'
import asyncio
from websockets.asyncio.server import serve

async def main():
    async with serve(lambda socket: socket.wait_closed(), "127.0.0.1", 0) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.Future()

asyncio.run(main())
PY
cat > offer.mjs <<'JS'
import { spawn } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";

const OFFERS = ["permessage-deflate", "permessage-deflate; later=1", "permessage-deflate; later=1, permessage-deflate"];
for (const [name, ...command] of [["ws 8.23.0", "node", "serve.mjs"], ["websockets 15.0.1", "python/bin/python", "serve.py"]]) {
  const server = spawn(command[0], command.slice(1), { stdio: ["ignore", "pipe", "inherit"] });
  const [port] = await once(server.stdout, "data");
  for (const offer of OFFERS) {
    const lines = [
      "GET / HTTP/1.1", "Host: localhost", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", `Sec-WebSocket-Extensions: ${offer}`, "", "",
    ];
    const client = connect(Number(port), "127.0.0.1");
    client.write(lines.join("\r\n"));
    const [head] = await once(client, "data");
    const compressed = /^sec-websocket-extensions:/im.test(head) ? "compressed" : "not compressed";
    console.log(`${name}, offer \`${offer}\`: ${String(head).slice(9, 12)}, ${compressed}`);
    client.destroy();
  }
  server.kill();
}
JS
node offer.mjs | tee seen
diff seen - <<'SEEN'
ws 8.23.0, offer `permessage-deflate`: 101, compressed
ws 8.23.0, offer `permessage-deflate; later=1`: 400, not compressed
ws 8.23.0, offer `permessage-deflate; later=1, permessage-deflate`: 400, not compressed
websockets 15.0.1, offer `permessage-deflate`: 101, compressed
websockets 15.0.1, offer `permessage-deflate; later=1`: 101, not compressed
websockets 15.0.1, offer `permessage-deflate; later=1, permessage-deflate`: 101, compressed
SEEN
