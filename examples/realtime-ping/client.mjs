// Pings once a second. TOKEN is a session token; URL is the server, http://127.0.0.1:3000 when left out.

import { io } from "socket.io-client";

const { TOKEN: token, URL: url = "http://127.0.0.1:3000" } = process.env;
const socket = io(url, { auth: { token } });

// Runs on every connect, the first and those after a lost connection: subscriptions belong to one connection.
socket.on("connect", async () => {
  console.log("connected");
  const answer = await socket.emitWithAck("subscribe", { channel: "realtime-ping" });
  if (!answer.ok) console.error("not subscribed:", answer.error.code, "-", answer.error.message);
});

// A refused credential is not tried again; a server that is away is.
socket.on("connect_error", (error) => console.error("not connected:", error.message));
socket.on("disconnect", (reason) => console.log("disconnected:", reason));

// What is published on the topic, by whomever.
socket.on("realtime-ping", (payload) => console.log("pong", payload.pong));

// What the server says about this connection.
socket.on("tidegate", (event) => console.log("tidegate:", event.type, event.channel ?? ""));

let n = 0;
setInterval(async () => {
  if (!socket.connected) return;
  const answer = await socket.emitWithAck("realtime-ping", { n: ++n });
  console.log("ping", n, "->", answer.ok ? answer.reply : answer.error.code);
}, 1000);
