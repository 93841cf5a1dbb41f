// Redis Streams → 1,000 local sockets: how many entries a second cross, and how long one takes from XADD to a client.
//
//   node streams.mjs            SOCKETS=1000 SECONDS=10 RATE=100 BURST=20000
//
// `steady`: RATE entries a second, each to one topic that every socket holds; the time from XADD to the arrival, by the one
// clock of this process. `burst`: BURST entries that wait in the stream, each to a topic of one socket; how fast they cross.

import { connect } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

import { Server, token } from "@tidegate/kit/harness.mjs";
import { RedisServer } from "@tidegate/kit/services.mjs";
import { requireTidegate } from "./tidegate-bin.mjs";
import { open } from "./wire.mjs";
import { number } from "./settings.mjs";

requireTidegate();

const SOCKETS = number("SOCKETS", 1000);
const SECONDS = number("SECONDS", 10);
const RATE = number("RATE", 100);
const BURST = number("BURST", 20_000);

const CHANNELS = JSON.stringify({
  feature: "load",
  channels: {
    "bench.{room}": { scope: "public", payload: { type: "object", required: ["at"], properties: { at: { type: "number" } } } },
  },
});
const BRIDGE = JSON.stringify({ rules: [{ on: "load.entry", to: "bench.{room}", params: { room: "event.subject" } }] });

// Enough of Redis's protocol to add entries without waiting for each answer.
async function producer(redis) {
  const { password, port } = new URL(redis.url);
  const socket = connect(Number(port), "127.0.0.1");
  const command = (...words) => `*${words.length}\r\n${words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join("")}`;
  socket.write(command("AUTH", password));
  socket.resume();
  return {
    add: (room, data) => socket.write(command("XADD", "load", "*", "room", room, "data", JSON.stringify(data))),
    end: () => socket.end(),
  };
}

const percentile = (sorted, share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];

async function until(what, holds, patienceMs = 120_000) {
  const end = Date.now() + patienceMs;
  while (!(await holds())) {
    if (Date.now() > end) throw new Error(`${what}: nothing for ${patienceMs} ms`);
    await sleep(20);
  }
}

const redis = await RedisServer.start();
const server = await Server.start({
  plugins: false,
  channels: { "load.yaml": CHANNELS },
  config: (config) => ({
    ...config,
    bus: [{ redis: { url: redis.url, stream: "load", batch: 1000, fields: { type: "load.entry", subject: "$room", data: "$data" } } }],
  }),
  files: (directory) => import("node:fs").then(({ writeFileSync }) => writeFileSync(join(directory, "config/bridge.yaml"), BRIDGE)),
});
const taken = async () => {
  const found = /tidegate_bus_events_total\{source="redis:load",outcome="taken"\} (\d+)/.exec((await server.get("/metrics")).text);
  return found ? Number(found[1]) : 0;
};

try {
  await server.printed("bus.back");
  const delays = [];
  const arrived = (packet) => {
    const at = /"at":([\d.]+)/.exec(packet);
    if (at) delays.push(performance.now() - Number(at[1]));
  };
  const sockets = [];
  for (let index = 0; index < SOCKETS; index += 1) {
    sockets.push(await open({ url: server.url, token: token(`u${index}`), topic: "bench.all", event: arrived, answered() {}, closed() {} }));
  }
  const { add, end } = await producer(redis);

  const entries = SECONDS * RATE;
  for (let sent = 0; sent < entries; sent += 1) {
    add("all", { at: performance.now() });
    await sleep(1000 / RATE);
  }
  await until("every arrival", () => delays.length >= entries * SOCKETS);
  delays.sort((a, b) => a - b);
  const shown = [0.5, 0.99].map((share) => `p${share * 100} ${percentile(delays, share).toFixed(1)} ms`).join(", ");
  console.log(`steady: ${entries} entries to ${SOCKETS} sockets, ${delays.length} arrivals, ${shown}`);

  const before = await taken();
  const began = performance.now();
  for (let sent = 0; sent < BURST; sent += 1) add(`none-${sent % 1000}`, { at: 0 });
  await until("the burst", async () => (await taken()) >= before + BURST);
  const seconds = (performance.now() - began) / 1000;
  console.log(`burst: ${BURST} entries crossed in ${seconds.toFixed(1)} s, ${Math.round(BURST / seconds)}/s`);
  end();
  for (const socket of sockets) socket.terminate();
} finally {
  await server.stop();
  await redis.stop();
}
process.exit(0);
