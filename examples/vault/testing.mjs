// The whole system for a test or a measurement: the parts of `start.mjs`, each of which may go away and come back.

import { once } from "node:events";
import { createInterface } from "node:readline";

import { io } from "socket.io-client";

import { ask, until, within } from "@tidegate/kit/harness.mjs";
import { binary } from "@tidegate/kit/paths.mjs";

import { openDatabase } from "./app/database.mjs";
import { startApp } from "./app/server.mjs";
import { COOKIE } from "./app/sessions.mjs";
import { prepare } from "./db/prepare.mjs";
import { startRealtime } from "./realtime/start.mjs";

process.env.TIDEGATE_BIN ??= binary();

export class System {
  log = [];
  #sockets = new Set();

  // A port that leads pages to Tidegate, where that is not its own: a line that can be cut.
  way;

  /** On this PostgreSQL of the test kit. */
  static async start(postgres) {
    const system = new System();
    system.postgres = postgres;
    const urls = await prepare(postgres.url);
    system.databaseOfRealtime = urls.realtime;
    system.pool = openDatabase(urls.app);
    await system.startApp(0);
    try {
      await system.startRealtime("127.0.0.1:0");
    } catch (error) {
      await system.stop();
      throw new Error(`${error.message}\n${system.log.join("\n")}`);
    }
    return system;
  }

  async startApp(port = this.app.port) {
    this.app = await startApp({ pool: this.pool, port, realtimePort: () => this.way ?? Number(new URL(this.url).port) });
  }

  async startRealtime(listen = new URL(this.url).host) {
    this.realtime = await startRealtime({ database: this.databaseOfRealtime, appPort: this.app.port, listen, stderr: "pipe" });
    this.url = this.realtime.url;
    createInterface({ input: this.realtime.child.stderr }).on("line", (line) => this.log.push(line));
    await until("it is ready", async () => (await fetch(`${this.url}/readyz`)).ok);
  }

  async stop() {
    for (const socket of this.#sockets) socket.close();
    await this.realtime?.stop();
    await this.app.stop();
    await this.pool.end();
  }

  /** The log entries of an event, once there is one that is `wanted`. */
  logged(event, wanted = () => true) {
    const entries = () => this.log.filter((line) => line.includes(`"${event}"`)).map((line) => JSON.parse(line)).filter(wanted);
    return until(event, () => entries().length > 0 && entries());
  }

  /** Signs in by the API: `{ cookie, token }`. */
  async signIn(person) {
    const response = await fetch(`http://127.0.0.1:${this.app.port}/api/sign-in`, {
      method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ email: `${person}@example.com` }),
    });
    const cookie = response.headers.get("set-cookie").split(";")[0];
    return { cookie, token: cookie.slice(COOKIE.length + 1) };
  }

  /** A request to the API: `{ status, body }`. */
  async api(session, method, path, body) {
    const response = await fetch(`http://127.0.0.1:${this.app.port}/api/${path}`, {
      method,
      headers: { ...(session && { cookie: session.cookie }), ...(body && { "content-type": "application/json" }) },
      body: body && JSON.stringify(body),
    });
    return { status: response.status, body: await response.json() };
  }

  /** A stock client with the cookie of a session, and what it hears: `{ socket, tidegate }`. */
  client(session, { transports = ["websocket"] } = {}) {
    const socket = io(this.url, { forceNew: true, transports, ...(session && { extraHeaders: { cookie: session.cookie } }) });
    this.#sockets.add(socket);
    const tidegate = [];
    socket.on("tidegate", (message) => tidegate.push(message));
    return { socket, tidegate };
  }

  async connected(session, options) {
    const client = this.client(session, options);
    await within("connect", once(client.socket, "connect"));
    return client;
  }

  /** A member in a vault: a client that is signed in and subscribed, and the publications that it gets. */
  async member(person, vaultId, options) {
    const session = await this.signIn(person);
    const { socket, tidegate } = await this.connected(session, options);
    const publications = [];
    socket.on(`vault.${vaultId}`, (payload) => publications.push(payload));
    const ack = await ask(socket, "subscribe", { channel: `vault.${vaultId}` });
    if (!ack.ok) throw new Error(`${person}: ${ack.error.code}`);
    return { session, socket, tidegate, publications };
  }
}
