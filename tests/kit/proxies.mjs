// What may stand between a client and the server, and does as it likes. nginx and HAProxy are in balancers.mjs.

import { once } from "node:events";
import { createServer as createHttpServer, request as ask } from "node:http";
import { connect, createServer } from "node:net";

/** What a proxy can do to a websocket once the server has agreed to it with 101. */
export const HARMS = {
  "cuts it": (client, server) => [client, server].forEach((socket) => socket.destroy()),
  "swallows every frame": (client, server) => {
    client.unpipe(server).resume();
    server.unpipe(client).resume();
  },
  "swallows every frame of the server": (client, server) => server.unpipe(client).resume(),
};

/** A proxy that passes everything on, but does harm to websockets. It counts polls and websockets. */
export class HarmfulProxy {
  polls = 0;
  websockets = 0;
  #sockets = new Set();

  static async start(upstream, harm) {
    const proxy = new HarmfulProxy();
    const [hostname, port] = upstream.split(":");
    proxy.listener = createServer((client) => {
      const server = connect(Number(port), hostname);
      for (const socket of [client, server]) {
        proxy.#sockets.add(socket);
        socket.on("error", () => {});
        socket.on("close", () => [client, server].forEach((one) => one.destroy()));
      }
      client.pipe(server);
      client.on("data", (data) => (proxy.polls += String(data).split(/^GET .*transport=polling&.*sid=/m).length - 1));
      server.once("data", (data) => {
        if (!String(data).startsWith("HTTP/1.1 101")) {
          client.write(data);
          server.pipe(client);
          return;
        }
        proxy.websockets += 1;
        const head = data.indexOf("\r\n\r\n") + 4;
        client.write(data.subarray(0, head), () => harm(client, server));
      });
    }).listen(0, "127.0.0.1");
    await once(proxy.listener, "listening");
    proxy.url = `http://127.0.0.1:${proxy.listener.address().port}`;
    return proxy;
  }

  stop() {
    this.listener.close();
    for (const socket of this.#sockets) socket.destroy();
  }
}

// A request handed on, with its answer.
function passOn(request, response, upstream, headers = request.headers) {
  const asked = ask({ ...upstream, path: request.url, method: request.method, headers });
  asked.on("response", (answer) => answer.pipe(response.writeHead(answer.statusCode, answer.headers)));
  asked.on("error", () => response.destroy());
  response.on("close", () => asked.destroy());
  request.pipe(asked);
}

// A websocket handed on: the head of the request again, then bytes both ways.
function tunnel(request, client, { hostname, port }, headers = request.headers) {
  const server = connect(Number(port), hostname);
  for (const socket of [client, server]) socket.on("error", () => {}).on("close", () => [client, server].forEach((one) => one.destroy()));
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  server.write(`GET ${request.url} HTTP/1.1\r\n${lines.join("")}\r\n`);
  client.pipe(server).pipe(client);
}

class HttpProxy {
  constructor(upstream) {
    const [hostname, port] = upstream.split(":");
    this.upstream = { hostname, port };
    this.listener = createHttpServer((request, response) => this.request(request, response));
    this.listener.on("upgrade", (request, client) => this.upgrade(request, client));
  }

  async begin() {
    this.listener.listen(0, "127.0.0.1");
    await once(this.listener, "listening");
    this.url = `http://127.0.0.1:${this.listener.address().port}`;
    return this;
  }

  stop() {
    this.listener.close();
    this.listener.closeAllConnections();
  }
}

/** A proxy that asks the server under another host name, and has a page of its own. */
export class RenamingProxy extends HttpProxy {
  static start = (upstream, host, page) => new RenamingProxy(upstream, host, page).begin();

  constructor(upstream, host, page) {
    super(upstream);
    Object.assign(this, { host, page });
  }

  request(request, response) {
    if (request.url.startsWith("/page")) return response.setHeader("content-type", "text/html").end(this.page);
    passOn(request, response, this.upstream, { ...request.headers, host: this.host });
  }

  upgrade(request, client) {
    tunnel(request, client, this.upstream, { ...request.headers, host: this.host });
  }
}

/** A proxy that answers 403 to websockets, or to all of Socket.IO, and passes everything else on. It may change its mind. */
export class RefusingProxy extends HttpProxy {
  static start = (upstream) => new RefusingProxy(upstream).begin();

  #refused = "nothing";
  #open = new Map();

  /** `"nothing"`, `"websockets"` or `"socket.io"`; what is open of it is cut. */
  refuse(what) {
    this.#refused = what;
    for (const [socket, isWebsocket] of this.#open) if (this.#refuses(isWebsocket)) socket.destroy();
  }

  request(request, response) {
    if (!request.url.startsWith("/socket.io/")) return passOn(request, response, this.upstream);
    if (this.#refuses(false)) return response.writeHead(403).end();
    this.#keep(request.socket, false);
    passOn(request, response, this.upstream);
  }

  upgrade(request, client) {
    if (this.#refuses(true)) return client.end("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
    this.#keep(client, true);
    tunnel(request, client, this.upstream);
  }

  stop() {
    this.refuse("socket.io");
    super.stop();
  }

  #refuses(isWebsocket) {
    return this.#refused === "socket.io" || (isWebsocket && this.#refused === "websockets");
  }

  #keep(socket, isWebsocket) {
    if (!this.#open.has(socket)) socket.once("close", () => this.#open.delete(socket));
    this.#open.set(socket, isWebsocket);
  }
}
