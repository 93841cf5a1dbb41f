// A process of subscribers on raw websockets, cheap enough for a hundred thousand publications a second.
//
// Its argument: `url`, `count`, the `topics` that each of them subscribes to, and `bytesPerSecond`, if they read no faster;
// `headers` of their requests; and, where publications are others than `KEYED`, the `pattern` of their beginning, with the
// groups `topic`, `at` in steps of `stepUs`, `key`, and `seq` where it is not `at`.
// Orders: `stall` (they stop reading), `reset`, `report` (answered with what each has received since).

import { connect } from "node:net";
import { setTimeout as pause } from "node:timers/promises";

import { nowUs } from "./pipeline.mjs";

const setting = JSON.parse(process.argv[2]);
const KEYED = /^42\["(?<topic>[^"]+)",\{"at":(?<at>\d+),"seq":(?<seq>\d+),"key":(?<key>\d+)/;
const PATTERN = setting.pattern ? new RegExp(setting.pattern) : KEYED;
const STEP_US = setting.stepUs ?? 1;
const CHUNK_BYTES = 4096;

class Reader {
  closedAfterMs = null;
  #rest = Buffer.alloc(0);
  #upgraded = false;
  #stalled = false;

  constructor() {
    this.reset();
    this.subscribed = new Promise((resolve, reject) => Object.assign(this, { resolve, reject }));
    const { hostname: host, port } = new URL(setting.url);
    const paced = { onread: { buffer: Buffer.alloc(CHUNK_BYTES), callback: (count, buffer) => this.#paced(count, buffer) } };
    this.socket = connect({ host, port: Number(port), noDelay: true, ...(setting.bytesPerSecond ? paced : {}) });
    this.socket.write(
      `GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: ${host}:${port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
        Object.entries(setting.headers ?? {}).map(([name, value]) => `${name}: ${value}\r\n`).join("") +
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    this.socket.on("data", (data) => this.#data(data));
    this.socket.on("error", () => {});
    this.socket.on("close", () => {
      this.closedAfterMs ??= Math.round(performance.now());
      this.reject(new Error("a connection was closed before it had subscribed"));
    });
  }

  reset() {
    // For each topic: how many, the newest `seq` of each key, and how long each took.
    this.received = Object.fromEntries(setting.topics.map((topic) => [topic, { count: 0, newest: {}, agesUs: [] }]));
  }

  // Reads as many bytes as a second allows, and then not for so long.
  #paced(count, buffer) {
    this.#data(Buffer.from(buffer.subarray(0, count)));
    pause((count / setting.bytesPerSecond) * 1000).then(() => this.#stalled || this.socket.resume());
    return false;
  }

  stall() {
    this.#stalled = true;
    this.socket.pause();
  }

  #data(data) {
    let bytes = this.#rest.length > 0 ? Buffer.concat([this.#rest, data]) : data;
    if (!this.#upgraded) {
      const end = bytes.indexOf("\r\n\r\n");
      if (end < 0) return void (this.#rest = bytes);
      if (!bytes.toString("latin1", 0, 12).endsWith(" 101")) return this.reject(new Error(bytes.toString("latin1")));
      this.#upgraded = true;
      bytes = bytes.subarray(end + 4);
    }
    let at = 0;
    for (;;) {
      const short = bytes[at + 1];
      const header = short === 126 ? 4 : short === 127 ? 10 : 2;
      if (bytes.length < at + header) break;
      const length = short === 126 ? bytes.readUInt16BE(at + 2) : short === 127 ? Number(bytes.readBigUInt64BE(at + 2)) : short;
      if (bytes.length < at + header + length) break;
      this.#packet(bytes, at + header, at + header + length);
      at += header + length;
    }
    this.#rest = at < bytes.length ? Buffer.from(bytes.subarray(at)) : Buffer.alloc(0);
  }

  #packet(bytes, from, to) {
    // A publication says everything in its beginning.
    const packet = bytes.latin1Slice(from, Math.min(to, from + 120));
    const publication = PATTERN.exec(packet)?.groups;
    if (publication) {
      const { topic, at, seq = at, key } = publication;
      const received = this.received[topic];
      received.count += 1;
      received.newest[key] = Number(seq);
      received.agesUs.push(nowUs() - Number(at) * STEP_US);
    } else if (packet === "2") this.#say("3");
    else if (packet.startsWith("0")) this.#say("40");
    else if (packet.startsWith("40")) setting.topics.forEach((channel, id) => this.#say(`42${id}["subscribe",{"channel":"${channel}"}]`));
    else if (packet.startsWith(`43${setting.topics.length - 1}[{"ok":true`)) this.resolve();
    else if (/^4[34]/.test(packet) && !packet.includes('"ok":true')) this.reject(new Error(packet));
  }

  #say(text) {
    const short = text.length < 126;
    const head = short ? [0x81, 0x80 | text.length] : [0x81, 0xfe, text.length >> 8, text.length & 255];
    this.socket.write(Buffer.concat([Buffer.from([...head, 0, 0, 0, 0]), Buffer.from(text)]));
  }
}

const readers = [];
for (let index = 0; index < setting.count; index += 1) {
  const reader = new Reader();
  readers.push(reader);
  // So many handshakes at once, and not all of them.
  if (index % 50 === 49) await reader.subscribed;
}
await Promise.all(readers.map(({ subscribed }) => subscribed));

process.on("message", (order) => {
  if (order === "stall") for (const reader of readers) reader.stall();
  if (order === "reset") for (const reader of readers) reader.reset();
  if (order === "report") process.send(readers.map(({ received, closedAfterMs }) => ({ received, closedAfterMs })));
});
process.on("disconnect", () => process.exit(0));
process.send("subscribed");
