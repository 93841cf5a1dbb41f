// The reference server, with the application that `host/transport/examples/conformance.rs` runs too.
//
//   node control.mjs '{"ping_interval_ms": 300}'      all keys are optional

import { createServer } from "node:http";

import { Server } from "socket.io";

const options = {
  path: "/socket.io/",
  ping_interval_ms: 25_000,
  ping_timeout_ms: 20_000,
  connect_timeout_ms: 10_000,
  upgrade_timeout_ms: 10_000,
  payload_bytes_max: 1_000_000,
  ...JSON.parse(process.argv[2] ?? "{}"),
};

const http = createServer((_, response) => response.writeHead(404).end());
const io = new Server(http, {
  path: options.path,
  pingInterval: options.ping_interval_ms,
  pingTimeout: options.ping_timeout_ms,
  connectTimeout: options.connect_timeout_ms,
  upgradeTimeout: options.upgrade_timeout_ms,
  maxHttpBufferSize: options.payload_bytes_max,
  perMessageDeflate: options.compressed_from && {
    threshold: options.compressed_from,
    serverNoContextTakeover: true,
    clientNoContextTakeover: true,
  },
  serveClient: false,
});

const converse = (socket) => {
  socket.emit("auth", socket.handshake.auth);
  socket.on("message", (...values) => socket.emit("message-back", ...values));
  socket.on("message-with-ack", (...values) => {
    const acknowledge = values.pop();
    if (typeof acknowledge === "function") acknowledge(...values);
  });
  socket.on("ask", () => socket.emit("question", (...answer) => socket.emit("answered", ...answer)));
  socket.on("burst", (count, bytes) => {
    const text = "x".repeat(bytes);
    for (let i = 0; i < count; i += 1) socket.emit("burst", i, text);
  });
  socket.on("kick", () => socket.disconnect());
  socket.on("hang-up", () => socket.conn.close());
};

io.on("connection", converse);
io.of("/custom").on("connection", converse);
io.of("/refused").use((_, next) => next(Object.assign(new Error("no entry"), { data: { code: "forbidden" } })));

http.listen(0, "127.0.0.1", () => console.log(`listening on http://127.0.0.1:${http.address().port}`));
