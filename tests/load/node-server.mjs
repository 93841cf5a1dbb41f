// The baseline: a plain socket.io server that does what Tidegate does with a message, in-process.

import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";

import { Server } from "socket.io";
import { z } from "zod";

const inbound = z.strictObject({ n: z.int() });
const outbound = z.strictObject({ pong: z.int() });

const handle = ({ n }) => ({ reply: { pong: n }, emit: ["realtime-ping", { pong: n }] });

function user(token) {
  const [head, claims, signature] = token.split(".");
  const expected = createHmac("sha256", process.env.TIDEGATE_JWT_SECRET).update(`${head}.${claims}`).digest();
  const given = Buffer.from(signature, "base64url");
  if (given.length !== expected.length || !timingSafeEqual(given, expected)) throw new Error("unauthenticated");
  return JSON.parse(Buffer.from(claims, "base64url")).sub;
}

const refuse = (ack, code) => ack({ ok: false, error: { code } });

const http = createServer();
const io = new Server(http, { transports: ["websocket"], serveClient: false });

io.use((socket, next) => {
  try {
    socket.data.user = user(socket.handshake.auth.token);
    next();
  } catch {
    next(new Error("unauthenticated"));
  }
});

io.on("connection", (socket) => {
  socket.onAny((event, payload, ack) => {
    if (event === "subscribe") {
      socket.join(`ch:${payload.channel}`);
      return ack({ ok: true, channel: payload.channel, params: {} });
    }
    if (!event.startsWith("bench.")) return refuse(ack, "unknown_channel");
    if (!socket.rooms.has(`ch:${event}`)) return refuse(ack, "not_subscribed");
    const message = inbound.safeParse(payload);
    if (!message.success) return refuse(ack, "invalid_payload");
    const { reply, emit: [topic, publication] } = handle(message.data);
    if (!outbound.safeParse(publication).success) return refuse(ack, "handler_failed");
    io.to(`ch:${topic}`).emit(topic, publication, {});
    ack({ ok: true, reply });
  });
});

http.listen(0, "127.0.0.1", () => process.send({ url: `http://127.0.0.1:${http.address().port}` }));
