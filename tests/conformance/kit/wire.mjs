// A connection of TCP, for requests that no HTTP client sends and frames that no websocket client writes.

import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { connect } from "node:net";

import { address } from "./http.mjs";
import { within } from "./within.mjs";

export const opcodes = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 };

/** A frame of RFC 6455 as a client writes it. */
export function frame(payload, { opcode = opcodes.text, fin = true, masked = true, reserved = 0 } = {}) {
  const bytes = Buffer.from(payload);
  const head = [(fin ? 0x80 : 0) | reserved | opcode];
  const mask = masked ? 0x80 : 0;
  if (bytes.length < 126) head.push(mask | bytes.length);
  else if (bytes.length < 65_536) head.push(mask | 126, bytes.length >> 8, bytes.length & 255);
  else head.push(mask | 127, 0, 0, 0, 0, ...[24, 16, 8, 0].map((bits) => (bytes.length >> bits) & 255));
  if (!masked) return Buffer.concat([Buffer.from(head), bytes]);
  const key = randomBytes(4);
  return Buffer.concat([Buffer.from(head), key, bytes.map((byte, i) => byte ^ key[i % 4])]);
}

export class Wire {
  constructor(server) {
    this.server = server;
    this.unread = Buffer.alloc(0);
    this.hasEnded = false;
    this.socket = connect(Number(server.url.port), server.url.hostname);
    this.socket.on("data", (bytes) => {
      this.unread = Buffer.concat([this.unread, bytes]);
      this.socket.emit("more");
    });
    this.socket.on("error", () => {});
    this.ended = new Promise((resolve) => this.socket.on("close", resolve)).then(() => {
      this.hasEnded = true;
      this.socket.emit("more");
    });
  }

  write(bytes) {
    this.socket.write(bytes);
  }

  /** A request's head, with Host. */
  head(method, query, headers = {}) {
    const { pathname, search, host } = address(this.server, query);
    const lines = [`${method} ${pathname}${search} HTTP/1.1`, `Host: ${host}`];
    for (const [name, value] of Object.entries(headers)) lines.push(`${name}: ${value}`);
    this.write(`${lines.join("\r\n")}\r\n\r\n`);
  }

  /** Asks for a websocket; a header that is undefined is left out. */
  handshake(query = {}, headers = {}) {
    const usual = {
      Upgrade: "websocket",
      Connection: "Upgrade",
      "Sec-WebSocket-Key": randomBytes(16).toString("base64"),
      "Sec-WebSocket-Version": "13",
    };
    const all = Object.entries({ ...usual, ...headers }).filter(([, value]) => value !== undefined);
    this.head("GET", { EIO: "4", transport: "websocket", ...query }, Object.fromEntries(all));
  }

  async until(what, read) {
    for (;;) {
      const found = read();
      if (found !== undefined) return found;
      if (this.hasEnded) throw new Error(`${what}: the connection ended after ${JSON.stringify(this.unread.toString())}`);
      await within(what, once(this.socket, "more"));
    }
  }

  /** The head of an answer: its status, and its headers by their names in lower case. */
  answer() {
    return this.until("the head of an answer", () => {
      const end = this.unread.indexOf("\r\n\r\n");
      if (end < 0) return undefined;
      const [first, ...lines] = this.unread.subarray(0, end).toString().split("\r\n");
      this.unread = this.unread.subarray(end + 4);
      const pairs = lines.map((line) => [line.slice(0, line.indexOf(":")).toLowerCase(), line.slice(line.indexOf(":") + 1).trim()]);
      return { status: Number(first.split(" ")[1]), headers: Object.fromEntries(pairs) };
    });
  }

  /** The next frame of the server: opcode, payload, and whether its message is compressed. */
  frame() {
    return this.until("a frame", () => {
      if (this.unread.length < 2) return undefined;
      let [at, length] = [2, this.unread[1] & 127];
      if (length === 126) [at, length] = [4, this.unread.length < 4 ? Infinity : this.unread.readUInt16BE(2)];
      if (length === 127) [at, length] = [10, this.unread.length < 10 ? Infinity : Number(this.unread.readBigUInt64BE(2))];
      if (this.unread.length < at + length) return undefined;
      const payload = this.unread.subarray(at, at + length);
      const [opcode, isCompressed] = [this.unread[0] & 15, (this.unread[0] & 0x40) !== 0];
      this.unread = this.unread.subarray(at + length);
      return { opcode, payload, isCompressed, text: payload.toString() };
    });
  }

  /** The next frame that is no ping; pings are answered. */
  async message() {
    for (;;) {
      const next = await this.frame();
      if (next.text !== "2") return next;
      this.write(frame("3"));
    }
  }

  /** A websocket whose handshake is done; with `opens`, its `open` packet is read. */
  static async websocket(server, { query, opens = true } = {}) {
    const wire = new Wire(server);
    wire.handshake(query);
    const { status } = await wire.answer();
    if (status !== 101) throw new Error(`the websocket was refused with ${status}`);
    if (opens) await wire.frame();
    return wire;
  }

  /** The code of the server's close frame, or `undefined` when the connection ends without one. */
  async closeCode() {
    try {
      for (;;) {
        const { opcode, payload } = await this.frame();
        if (opcode === opcodes.close) return payload.length < 2 ? 1005 : payload.readUInt16BE(0);
      }
    } catch (error) {
      if (this.hasEnded) return undefined;
      throw error;
    }
  }

  cut() {
    this.socket.resetAndDestroy();
  }
}
