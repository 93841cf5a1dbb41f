// A plain socket.io server to compare with: `ws` or uWebSockets.js below it. A publication comes by HTTP, as it comes to
// Tidegate, and goes to the room of its topic.

import { createServer } from "node:http";
import { createRequire } from "node:module";

import { Server } from "socket.io";

const io = new Server({ transports: ["websocket"], serveClient: false });
io.on("connection", (socket) => {
  socket.on("subscribe", ({ channel }, ack) => {
    socket.join(channel);
    ack({ ok: true, channel, params: {} });
  });
});

const listening = (port) => process.send({ url: `http://127.0.0.1:${port}` });
const publish = (topic, body) => io.to(topic).emit(topic, JSON.parse(body), {});

function overHttp() {
  const http = createServer((request, response) => {
    const chunks = [];
    request.on("data", (chunk) => chunks.push(chunk));
    request.on("end", () => {
      publish(request.url.split("/")[3], Buffer.concat(chunks));
      response.writeHead(202, { "content-length": 0 }).end();
    });
  });
  io.attach(http);
  http.keepAliveTimeout = 0;
  http.listen(0, "127.0.0.1", () => listening(http.address().port));
}

function overUws() {
  const { App, us_socket_local_port } = createRequire(import.meta.url)("@btc-vision/uwebsockets.js");
  const app = App();
  io.attachApp(app);
  app.post("/v1/channels/:topic/publish", (response, request) => {
    const topic = request.getParameter(0);
    const chunks = [];
    response.onAborted(() => {});
    response.onData((chunk, last) => {
      // The memory of a chunk is uWebSockets' again when this returns.
      chunks.push(Buffer.from(chunk.slice(0)));
      if (!last) return;
      publish(topic, Buffer.concat(chunks));
      response.writeStatus("202 Accepted").end();
    });
  });
  app.listen("127.0.0.1", 0, (socket) => listening(us_socket_local_port(socket)));
}

if (process.argv[2] === "uws") overUws();
else overHttp();
