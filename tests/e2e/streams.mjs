// Streams of server-sent events, read by hand and by the client of npm, and a wire that can be cut.

import { once } from "node:events";
import { request } from "node:http";
import { connect, createServer } from "node:net";

import { EventSource } from "eventsource";

import { until } from "./harness.mjs";

const ACCEPT = { accept: "text/event-stream" };
export const bearer = (token) => (token ? { authorization: `Bearer ${token}` } : {});
export const path = (topic) => `/v1/channels/${topic}/history`;

/** One stream, read by hand: its head, and its events as they come. */
export class Stream {
  text = "";
  isOver = false;

  static async open(server, topic, { token, lastId, headers = {}, url = server.url, query = "" } = {}) {
    const stream = new Stream();
    const id = lastId ? { "last-event-id": lastId } : {};
    stream.request = request(`${url}${path(topic)}${query}`, { headers: { ...ACCEPT, ...bearer(token), ...id, ...headers }, agent: false });
    stream.request.end();
    [stream.response] = await once(stream.request, "response");
    stream.response.setEncoding("utf8");
    stream.response.on("data", (text) => (stream.text += text));
    // `end` in order; `error` if the server has cut it.
    stream.response.on("end", () => (stream.isOver = "ended"));
    stream.response.on("error", () => (stream.isOver ||= "cut"));
    stream.request.on("error", () => {});
    return stream;
  }

  get status() {
    return this.response.statusCode;
  }

  get events() {
    const blocks = this.text.split("\n\n").slice(0, -1);
    return blocks.filter((block) => !block.startsWith(":")).map((block) => {
      const fields = block.split("\n").map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 2)]);
      const { data, ...rest } = Object.fromEntries(fields);
      return { ...rest, data: JSON.parse(data) };
    });
  }

  get numbers() {
    return this.events.filter(({ data }) => "payload" in data).map(({ data }) => data.payload.n);
  }

  told(type) {
    return this.events.find(({ event, data }) => event === "tidegate" && data.type === type);
  }

  hears = (type) => until(`\`${type}\` on a stream`, () => this.told(type));
  has = (count) => until(`${count} publications on a stream`, () => this.numbers.length >= count);
  over = () => until("the end of a stream", () => this.isOver);

  close() {
    this.request.destroy();
  }
}

/** The client of npm on a topic: every payload that it has, and all that it is told. */
export class Page {
  numbers = [];
  told = [];
  opened = 0;

  constructor(url, topic, token) {
    const asks = (input, init) => fetch(input, { ...init, headers: { ...init.headers, ...bearer(token) } });
    this.source = new EventSource(`${url}${path(topic)}`, { fetch: asks });
    this.source.addEventListener("open", () => (this.opened += 1));
    this.source.addEventListener("error", ({ code }) => (this.code = code));
    this.source.addEventListener(topic, ({ data }) => this.numbers.push(JSON.parse(data).payload.n));
    this.source.addEventListener("tidegate", ({ data }) => this.told.push(JSON.parse(data)));
  }

  hears = (type, count = 1) =>
    until(`\`${type}\` on a page`, () => this.told.filter((event) => event.type === type).length >= count);
  has = (count) => until(`${count} publications on a page`, () => this.numbers.length >= count);
  // It does not come back.
  gaveUp = () => until("the end of a page's stream", () => this.source.readyState === EventSource.CLOSED);

  close() {
    this.source.close();
  }
}

/** A wire to the server that can be cut. */
export class Wire {
  #sockets = new Set();

  static async to(upstream) {
    const wire = new Wire();
    wire.upstream = upstream;
    wire.listener = createServer((client) => {
      const [hostname, port] = wire.upstream.split(":");
      const server = connect(Number(port), hostname);
      for (const socket of [client, server]) {
        wire.#sockets.add(socket);
        socket.on("error", () => {});
        socket.on("close", () => [client, server].forEach((one) => one.destroy()));
      }
      client.pipe(server).pipe(client);
    }).listen(0, "127.0.0.1");
    await once(wire.listener, "listening");
    wire.url = `http://127.0.0.1:${wire.listener.address().port}`;
    return wire;
  }

  cut() {
    for (const socket of this.#sockets) socket.destroy();
    this.#sockets.clear();
  }

  // From now on it leads elsewhere.
  leads(upstream) {
    this.upstream = upstream;
    this.cut();
  }

  stop() {
    this.listener.close();
    this.cut();
  }
}
