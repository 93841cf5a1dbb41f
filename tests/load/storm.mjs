// A recovery storm: all clients lose their connection at once, and come back when so many publications were missed. Then
// sessions of clients that do not come back, and what each of them costs.
//
//   node storm.mjs            CLIENTS=1000 MISSED=100 BYTES=200 PARKED=100000

import { setTimeout as pause } from "node:timers/promises";

import WebSocket from "ws";

import { judge, percentile } from "./crowd.mjs";
import { requireTidegate } from "./tidegate-bin.mjs";
import { Server, token, until } from "@tidegate/kit/harness.mjs";
import { residentMiB } from "./scene.mjs";
import { number } from "./settings.mjs";

requireTidegate();

const CLIENTS = number("CLIENTS", 1000);
const MISSED = number("MISSED", 100);
const BYTES = number("BYTES", 200);
const PARKED = number("PARKED", 100_000);
const AT_ONCE = 100;
const AIM_MS = 2000;
const TOPIC = "feed.storm";
const PATIENCE_MS = 120_000;

const channels = {
  "storm.yaml": JSON.stringify({
    feature: "storm",
    channels: { "feed.{id}": { scope: "authenticated", payload: {}, history: { messages: 1000 } } },
  }),
};

// A bare websocket that recovers as the stock client does, which costs more than the server.
class Client {
  seen = [];

  constructor(url, credential) {
    this.url = `${url.replace("http", "ws")}/socket.io/?EIO=4&transport=websocket`;
    this.credential = credential;
  }

  // Resolves when it is connected and, the first time, subscribed.
  connect() {
    const socket = new WebSocket(this.url, { perMessageDeflate: false });
    this.socket = socket;
    return new Promise((resolve, reject) => {
      socket.on("error", reject);
      socket.on("message", (data) => this.#packet(data.toString("latin1"), resolve, reject));
    });
  }

  #packet(packet, resolve, reject) {
    const { socket } = this;
    if (packet.startsWith("42[")) return this.#event(packet);
    if (packet === "2") return socket.send("3");
    if (packet.startsWith("0")) {
      const session = this.pid ? { pid: this.pid, offset: this.offset } : {};
      return socket.send(`40${JSON.stringify({ token: this.credential, recover: true, ...session })}`);
    }
    if (packet.startsWith("40")) {
      const { pid } = JSON.parse(packet.slice(2));
      this.isRecovered = pid === this.pid;
      this.letInAt = performance.now();
      if (this.isRecovered) return resolve();
      this.pid = pid;
      return socket.send(`420["subscribe",{"channel":"${TOPIC}"}]`);
    }
    if (packet.startsWith("430")) return packet.includes('"ok":true') ? resolve() : reject(new Error(packet));
    if (packet.startsWith("44")) reject(new Error(packet));
  }

  #event(packet) {
    const [event, payload, ...rest] = JSON.parse(packet.slice(2));
    this.offset = rest.at(-1);
    if (event !== TOPIC) return;
    this.seen.push(payload.n);
    this.lastAt = performance.now();
  }
}

// Does something for each of so many, a few at once.
async function each(count, doing) {
  let next = 0;
  const worker = async () => {
    while (next < count) await doing(next++);
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, count) }, worker));
}

const config = (config) => ({ ...config, limits: { ...config.limits, connections: CLIENTS + 10_000, parked_sessions: PARKED + CLIENTS } });
const server = await Server.start({ plugins: false, channels, config, env: { RUST_LOG: "warn,tidegate_core::telemetry::events=info" } });
const parked = () => server.metric("tidegate_parked_sessions ");
const publish = async (n) => {
  const { status } = await server.publish(TOPIC, { n, pad: "x".repeat(BYTES) });
  if (status !== 202) throw new Error(`publish: ${status}`);
};

const clients = Array.from({ length: CLIENTS }, (_, index) => new Client(server.url, token(`u${index}`)));
await each(CLIENTS, (index) => clients[index].connect());
await publish(1);
await until("the first one", () => clients.every(({ seen }) => seen.length === 1), PATIENCE_MS);
for (const { socket } of clients) socket.terminate();
await until("all parked", async () => (await parked()) === CLIENTS, PATIENCE_MS);
for (let n = 2; n <= MISSED + 1; n += 1) await publish(n);

// All at once.
const began = performance.now();
await Promise.all(clients.map((client) => client.connect()));
const letIn = performance.now() - began;
await until("all that was missed", () => clients.every(({ seen }) => seen.length > MISSED), PATIENCE_MS).catch(() => {});
const took = clients.map(({ letInAt, lastAt }) => lastAt - letInAt);
const recovered = clients.filter(({ isRecovered }) => isRecovered).length;
const expected = JSON.stringify(Array.from({ length: MISSED + 1 }, (_, index) => index + 1));
const whole = clients.filter(({ seen }) => JSON.stringify(seen) === expected).length;

console.log(`${CLIENTS} clients come back at once, ${MISSED} publications of ${BYTES} bytes behind; all are let in after ${(letIn / 1000).toFixed(2)} s`);
console.log(`from being let in to the last publication: p50 ${percentile(took, 0.5).toFixed(0)} ms, p99 ${percentile(took, 0.99).toFixed(0)} ms\n`);
const aims = [
  { what: "recovered", measured: recovered, aim: CLIENTS, met: recovered === CLIENTS },
  { what: "have everything, once and in order", measured: whole, aim: CLIENTS, met: whole === CLIENTS },
  { what: "the last one has everything after", measured: `${(Math.max(...took) / 1000).toFixed(2)} s`, aim: `${AIM_MS / 1000} s`, met: Math.max(...took) <= AIM_MS },
];
const good = judge(aims);

if (PARKED > 0) {
  // What connections leave behind in the allocator is not what a session costs.
  const before = residentMiB(server);
  const already = await parked();
  await each(PARKED, async (index) => {
    const client = new Client(server.url, token(`p${index}`));
    await client.connect();
    client.socket.terminate();
  });
  await until("all parked", async () => (await parked()) >= already + PARKED, PATIENCE_MS);
  await pause(1000);
  const after = residentMiB(server);
  const bytes = ((after - before) * 1024 * 1024) / PARKED;
  console.log(`\n${PARKED} parked sessions with a topic each: ${Math.round(after - before)} MiB more (${Math.round(before)} to ${Math.round(after)}), ${Math.round(bytes)} bytes each`);
}
for (const { socket } of clients) socket.terminate();
await server.stop();
process.exit(good ? 0 : 1);
