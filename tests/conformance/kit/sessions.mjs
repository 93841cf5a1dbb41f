// Sessions on the wire, with the same verbs whatever carries them: packets go out and come in as they are written, and
// pings are answered unless a test says otherwise.

import assert from "node:assert/strict";
import { setTimeout } from "node:timers/promises";

import WebSocket from "ws";

import { UNKNOWN_SESSION, address, assertRefused, decode, encode, request, start } from "./http.mjs";
import { within } from "./within.mjs";

const VERSION = { EIO: "4" };

class Session {
  constructor(server, { pongs = true } = {}) {
    Object.assign(this, { server, pongs, marks: 0, open: undefined });
  }

  get sid() {
    return this.open.sid;
  }

  /** Reads the `open` packet. */
  opens(packet) {
    assert.equal(packet[0], "0", `\`${packet}\` in place of an open packet`);
    this.open = JSON.parse(packet.slice(1));
  }

  /** Connects to a namespace, and returns its session id once the `auth` that follows has come. */
  async join(namespace = "/", auth) {
    const prefix = namespace === "/" ? "" : `${namespace},`;
    await this.send(`40${prefix}${auth === undefined ? "" : JSON.stringify(auth)}`);
    const answer = await this.receive();
    assert.ok(answer.startsWith(`40${prefix}{`), `\`${answer}\` in place of the connection to ${namespace}`);
    assert.equal(await this.receive(), `42${prefix}["auth",${JSON.stringify(auth ?? {})}]`);
    return JSON.parse(answer.slice(2 + prefix.length)).sid;
  }

  /** What the server had sent before it answered to this. */
  async settled(namespace = "/") {
    const mark = `${namespace === "/" ? "" : `${namespace},`}`;
    const text = `mark ${(this.marks += 1)}`;
    await this.send(`42${mark}["message","${text}"]`);
    const before = [];
    for (;;) {
      const packet = await this.receive();
      if (packet === `42${mark}["message-back","${text}"]`) return before;
      before.push(packet);
    }
  }
}

/** A session by HTTP long-polling. */
export class Polling extends Session {
  static async open(server, options) {
    const session = new Polling(server, options);
    const answer = await request(server, { ...VERSION, transport: "polling" });
    assert.equal(answer.status, 200, answer.text);
    const [open, ...others] = decode(answer.text);
    session.inbox = others;
    session.opens(open);
    return session;
  }

  get query() {
    return { ...VERSION, transport: "polling", sid: this.sid };
  }

  get() {
    return request(this.server, this.query);
  }

  post(body, headers) {
    return request(this.server, this.query, { method: "POST", body, headers });
  }

  /** A GET that waits at the server: it was sent before two others were answered. */
  async waits() {
    const poll = this.begin();
    await poll.sent;
    await this.send("3");
    await this.send("3");
    return poll;
  }

  /** A request that stays under way. */
  begin(options) {
    return start(this.server, this.query, options);
  }

  async send(...packets) {
    const answer = await this.post(encode(packets));
    assert.equal(answer.status, 200, `${answer.text} to ${packets}`);
    assert.equal(answer.text, "ok");
  }

  async receive() {
    while (this.inbox.length === 0) {
      const answer = await this.get();
      assert.equal(answer.status, 200, answer.text);
      await this.take(answer.text);
    }
    return this.inbox.shift();
  }

  async take(payload) {
    for (const packet of decode(payload)) {
      if (packet === "6") continue;
      if (packet === "2" && this.pongs) await this.send("3");
      else this.inbox.push(packet);
    }
  }

  /**
   * The server has ended the session: it answers what is still pending, and then knows the session no more. With
   * `overlaps` the first question may itself be the second GET that ends it.
   */
  async ended({ overlaps = false } = {}) {
    const packets = [];
    for (;;) {
      const answer = await this.get();
      if (overlaps && answer.status === 400) return this.ended();
      if (answer.status !== 200) {
        assertRefused(answer, ...UNKNOWN_SESSION);
        return packets;
      }
      packets.push(...decode(answer.text));
      if (this.pongs && packets.at(-1) === "2") await this.post("3");
    }
  }
}

/** A websocket: of a session of its own, or of one that began by polling. */
export class Socket extends Session {
  constructor(server, { query = {}, headers, protocols = [], ...options } = {}) {
    super(server, options);
    Object.assign(this, { inbox: [], waiting: [], wasClosed: undefined });
    const url = address(server, { ...VERSION, transport: "websocket", ...query });
    url.protocol = "ws:";
    this.websocket = new WebSocket(url, protocols, { perMessageDeflate: false, headers });
    this.websocket.on("message", (data, isBinary) => this.take(isBinary ? data : data.toString()));
    const happens = (event, read) => new Promise((resolve) => this.websocket.on(event, (...values) => resolve(read(...values))));
    this.connected = happens("open", () => true);
    this.refused = happens("unexpected-response", (_, response) => {
      response.resume();
      this.websocket.terminate();
      return response;
    });
    this.closed = happens("close", (code) => code);
    this.websocket.on("error", () => {});
    this.closed.then((code) => {
      this.wasClosed = code;
      for (const { reject } of this.waiting) reject(new Error(`closed with ${code}`));
    });
  }

  static async open(server, options) {
    const session = new Socket(server, options);
    session.opens(await session.receive());
    return session;
  }

  /** The websocket that a session by polling may go on with. */
  static async beside(polling, options) {
    const socket = new Socket(polling.server, { ...options, query: { sid: polling.sid } });
    socket.open = polling.open;
    await within("a websocket", Promise.race([socket.connected, socket.closed]));
    return socket;
  }

  take(packet) {
    if (packet === "2" && this.pongs) this.websocket.send("3");
    else if (this.waiting.length > 0) this.waiting.shift().resolve(packet);
    else this.inbox.push(packet);
  }

  async send(...packets) {
    for (const packet of packets) this.websocket.send(packet);
  }

  async receive() {
    if (this.inbox.length > 0) return this.inbox.shift();
    if (this.wasClosed !== undefined) throw new Error(`closed with ${this.wasClosed}`);
    return within("a packet", new Promise((resolve, reject) => this.waiting.push({ resolve, reject })));
  }

  async probe() {
    await this.send("2probe");
    assert.equal(await this.receive(), "3probe");
  }

  /** The server has ended the session: returns what came before. */
  async ended() {
    await within("the close of a websocket", this.closed);
    return this.inbox;
  }

  leave() {
    this.websocket.terminate();
  }
}

/** A session that began by polling and went on with a websocket. */
export const Upgraded = {
  async open(server, options) {
    const polling = await Polling.open(server);
    const socket = await Socket.beside(polling, options);
    await socket.probe();
    await socket.send("5");
    return socket;
  },
};

/** What a test about packets runs over. */
export const transports = { polling: Polling, websocket: Socket, "a websocket after polling": Upgraded };

/** The server knows the session no more: asks until it has noticed what ended a websocket. */
export async function assertForgotten(server, sid) {
  const ask = async () => {
    for (;;) {
      const answer = await request(server, { ...VERSION, transport: "polling", sid });
      if (JSON.parse(answer.text).code !== 3) return answer;
      // Nobody tells when a server has noticed; it is asked again soon.
      await setTimeout(10);
    }
  };
  assertRefused(await within("the end of a session", ask(), 20_000), ...UNKNOWN_SESSION);
}

/** The next event or ack: its text up to the payload, and its values with the attachments in their places. */
export async function receiveValues(session) {
  const packet = await session.receive();
  const [, head, attachments] = /^(4[2356](?:(\d+)-)?[^[]*)\[/.exec(packet);
  const values = JSON.parse(packet.slice(head.length));
  const bytes = [];
  for (let i = 0; i < Number(attachments ?? 0); i += 1) bytes.push(await session.receive());
  assert.ok(bytes.every(Buffer.isBuffer));
  const fill = (value) => {
    if (value?._placeholder === true && attachments) return bytes[value.num];
    if (Array.isArray(value)) return value.map(fill);
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, fill(inner)]));
  };
  return { head, values: fill(values) };
}
