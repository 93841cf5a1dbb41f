// What the tests and the measurement stand on: the example's own parts, with a door before Tidegate that can be shut.

import { once } from "node:events";
import { createServer as createHttpServer, request as ask } from "node:http";
import { connect } from "node:net";

import { freePort } from "@tidegate/example-start/local-server.mjs";
import { PostgresServer } from "@tidegate/kit/services.mjs";

import { startApplication } from "./app/server.mjs";
import { PASSWORD } from "./app/people.mjs";
import { Session } from "./page/session.js";
import { makeSecrets, prepareDatabase, preparePlugins, startRealtime } from "./start.mjs";

const kindOf = ({ url, headers }) =>
  headers.upgrade ? "websocket" : url.startsWith("/socket.io/") ? "polling" : url.includes("/history") ? "history" : "other";

/** A proxy before Tidegate that lets through what is not in `shut`: `websocket`, `polling`, `history`. It counts all three. */
export class Door {
  shut = new Set();
  passed = { websocket: 0, polling: 0, history: 0, other: 0 };
  refused = { websocket: 0, polling: 0, history: 0, other: 0 };
  #sockets = new Set();

  static async open(port) {
    const door = new Door();
    door.listener = createHttpServer((request, response) => {
      if (door.#isShut(request)) return request.socket.destroy();
      const { url: path, method, headers } = request;
      const asked = ask({ host: "127.0.0.1", port, path, method, headers });
      asked.on("response", (answer) => answer.pipe(response.writeHead(answer.statusCode, answer.headers)));
      asked.on("error", () => response.destroy());
      response.on("close", () => asked.destroy());
      return request.pipe(asked);
    });
    door.listener.on("connection", (socket) => door.#sockets.add(socket.on("close", () => door.#sockets.delete(socket))));
    door.listener.on("upgrade", (request, client) => {
      client.on("error", () => {});
      if (door.#isShut(request)) return client.destroy();
      const server = connect(port, "127.0.0.1");
      for (const socket of [client, server]) socket.on("error", () => {}).on("close", () => [client, server].forEach((one) => one.destroy()));
      const lines = Object.entries(request.headers).map(([name, value]) => `${name}: ${value}\r\n`);
      server.write(`GET ${request.url} HTTP/1.1\r\n${lines.join("")}\r\n`);
      return client.pipe(server).pipe(client);
    });
    door.listener.listen(0, "127.0.0.1");
    await once(door.listener, "listening");
    door.url = `http://127.0.0.1:${door.listener.address().port}`;
    return door;
  }

  #isShut(request) {
    const kind = kindOf(request);
    const isShut = this.shut.has(kind);
    (isShut ? this.refused : this.passed)[kind] += 1;
    return isShut;
  }

  /** Shuts these and no others, and cuts every connection. */
  only(...shut) {
    this.shut = new Set(shut);
    this.cut();
  }

  cut() {
    for (const socket of this.#sockets) socket.destroy();
  }

  stop() {
    this.listener.close();
    this.cut();
  }
}

/** `fetch` to the application of somebody without a browser: it keeps the cookie. */
export function asker(url) {
  let cookie;
  return async (path, options) => {
    const response = await fetch(url + path, { ...options, headers: { ...options.headers, ...(cookie ? { cookie } : {}) } });
    cookie = response.headers.get("set-cookie")?.split(";")[0] ?? cookie;
    return response;
  };
}

/** Signs in at an application; `{ session, token, me }`. */
export async function signIn(url, user, password = PASSWORD) {
  const session = new Session(asker(url));
  return { session, ...(await session.signIn(user, password)) };
}

export class Scene {
  static async start() {
    const scene = new Scene();
    try {
      await scene.#begin();
      return scene;
    } catch (error) {
      await scene.stop();
      throw error;
    }
  }

  async #begin() {
    this.postgres = await PostgresServer.start();
    this.secrets = makeSecrets();
    [this.port, this.listen] = [await freePort(), `127.0.0.1:${await freePort()}`];
    await prepareDatabase(this.postgres.url);
    this.plugins = preparePlugins(this.port);
    await this.startRealtime();
    this.door = await Door.open(Number(this.listen.split(":")[1]));
    this.application = await this.startApplication({ port: this.port });
    this.url = this.application.url;
  }

  get parts() {
    return { port: this.port, plugins: this.plugins, databaseUrl: this.postgres.url, secrets: this.secrets };
  }

  async startRealtime() {
    this.realtime = await startRealtime({ listen: this.listen, stderr: "pipe", ...this.parts });
    this.realtime.child.stderr.setEncoding("utf8").on("data", (text) => (this.log += text));
  }

  log = "";

  /** One more application on the same tables; `more` has its port, and may have other times. */
  startApplication(more) {
    const { secrets, realtime, door } = this;
    return startApplication({
      databaseUrl: this.postgres.url, tidegate: realtime.url, realtime: door.url, secrets, idle_s: 1800, absolute_s: 43_200, ...more,
    });
  }

  async stop() {
    await this.application?.stop();
    this.door?.stop();
    await this.realtime?.stop();
    this.plugins?.stop();
    await this.postgres?.stop();
  }
}
