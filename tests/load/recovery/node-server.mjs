// The control: Node's socket.io with `connectionStateRecovery`, as an application would use it, behind the same HTTP
// requests as Tidegate. Its clock can be moved.

import { createServer } from "node:http";

// What happens every minute happens when the clock is moved, too.
const everyMinute = [];
const { setInterval: begin } = globalThis;
globalThis.setInterval = (callback, ms, ...args) => {
  if (ms >= 60_000) everyMinute.push(callback);
  return begin(callback, ms, ...args);
};
let aheadMs = 0;
const { now } = Date;
Date.now = () => now() + aheadMs;
const { Server } = await import("socket.io");

const io = new Server({
  serveClient: false, pingInterval: 300, pingTimeout: 5_000,
  // The middleware is the application's gate: without `false` whoever was banned would come back.
  connectionStateRecovery: { maxDisconnectionDuration: 120_000, skipMiddlewares: false },
});
const banned = new Map();
const counts = new Map();
const refusal = (code) => Object.assign(new Error(code), { data: { code } });

io.use((socket, next) => {
  const { sub, iat = 0, roles = [] } = JSON.parse(Buffer.from(socket.handshake.auth.token.split(".")[1], "base64url"));
  if (iat <= (banned.get(sub) ?? -1)) return next(refusal("token_revoked"));
  Object.assign(socket.data, { user: sub, roles });
  next();
});

io.on("connection", (socket) => {
  socket.join(`user:${socket.data.user}`);
  socket.on("subscribe", ({ channel }, ack) => {
    if (channel.startsWith("editors.") && !socket.data.roles.includes("editor")) return ack({ ok: false, error: { code: "forbidden" } });
    socket.join(channel);
    ack({ ok: true, channel, ...(channel.startsWith("plain.") ? {} : { position: { epoch: "node", offset: counts.get(channel) ?? 0 } }) });
  });
  socket.on("unsubscribe", ({ channel }, ack) => {
    socket.leave(channel);
    ack({ ok: true });
  });
});

const resources = {
  publish(topic, payload) {
    const offset = (counts.get(topic) ?? 0) + 1;
    counts.set(topic, offset);
    const room = topic.startsWith("plain.") ? io.to(topic).volatile : io.to(topic);
    room.emit(topic, payload, { offset });
    return { position: { epoch: "node", offset } };
  },
  revoke({ user, topic }) {
    if (topic) {
      io.in(`user:${user}`).socketsLeave(topic);
      io.in(`user:${user}`).emit("tidegate", { type: "revoked", channel: topic });
    } else {
      banned.set(user, Math.floor(now() / 1000));
      io.in(`user:${user}`).disconnectSockets(true);
    }
    return {};
  },
  clock({ ms }) {
    aheadMs += ms;
    everyMinute.forEach((callback) => callback());
    return {};
  },
};

const http = createServer((request, response) => {
  const chunks = [];
  request.on("data", (chunk) => chunks.push(chunk));
  request.on("end", () => {
    const body = JSON.parse(Buffer.concat(chunks).toString());
    const [, topic] = /channels\/([^/]+)\/publish/.exec(request.url) ?? [];
    const answer = topic ? resources.publish(topic, body) : resources[request.url.split("/").at(-1)](body);
    response.writeHead(202, { "content-type": "application/json" }).end(JSON.stringify(answer));
  });
});
io.attach(http);
http.listen(Number(process.argv[2] ?? 0), "127.0.0.1", () => process.send(http.address().port));
