// What may stand between a client and the server: a proxy that breaks websockets in its own way, nginx and HAProxy.

import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { createServer as createHttpServer, request as ask } from "node:http";
import { connect, createServer } from "node:net";
import { join } from "node:path";

import { program, Service } from "./services.mjs";

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

// Answers at its own place, without the server behind it.
const answers = (port) => fetch(`http://127.0.0.1:${port}/alive`).then((response) => response.ok, () => false);

/** nginx, with the server below `/live/` as for websockets, and below `/old/` as nginx comes. */
export class Nginx extends Service {
  static start = (upstream) => new Nginx(upstream).begin();

  constructor(upstream) {
    super("nginx");
    this.upstream = upstream;
  }

  command() {
    const places = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((what) => `${what}_temp_path ${what};`).join(" ");
    writeFileSync(join(this.directory, "nginx.conf"), `
      daemon off; pid nginx.pid; error_log stderr;
      events {}
      http {
        access_log off; ${places}
        map $http_upgrade $connection_upgrade { default upgrade; "" ""; }
        server {
          listen 127.0.0.1:${this.port};
          location = /alive { return 200; }
          location /live/ {
            proxy_pass http://${this.upstream}/;
            proxy_http_version 1.1;
            proxy_set_header Host $host;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
          }
          location /old/ { proxy_pass http://${this.upstream}/; }
        }
      }`);
    return [program("nginx", "nginx-light", ["/usr/sbin"]), "-p", this.directory, "-e", "stderr", "-c", "nginx.conf"];
  }

  ready() {
    return answers(this.port);
  }
}

/** HAProxy, with the server below `/live/`, and below `/gzip/` compressed. */
export class Haproxy extends Service {
  static start = (upstream) => new Haproxy(upstream).begin();

  constructor(upstream) {
    super("haproxy");
    this.upstream = upstream;
  }

  command() {
    writeFileSync(join(this.directory, "haproxy.cfg"), `
defaults
  mode http
  timeout connect 5s
  timeout client 50s
  timeout server 50s
  timeout tunnel 1h
frontend live
  bind 127.0.0.1:${this.port}
  http-request return status 200 if { path /alive }
  http-request set-var(txn.gzip) bool(true) if { path_beg /gzip/ }
  http-request replace-path /(live|gzip)/(.*) /\\2
  use_backend compressed if { var(txn.gzip) -m bool }
  default_backend tidegate
backend tidegate
  server node ${this.upstream}
backend compressed
  compression algo gzip
  compression type text/event-stream
  server node ${this.upstream}
`);
    return [program("haproxy", "haproxy", ["/usr/sbin"]), "-db", "-f", "haproxy.cfg"];
  }

  ready() {
    return answers(this.port);
  }
}
