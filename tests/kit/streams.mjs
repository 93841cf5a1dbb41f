// Streams of server-sent events, read by hand and by the client of npm.

import { once } from "node:events";
import { request } from "node:http";

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
