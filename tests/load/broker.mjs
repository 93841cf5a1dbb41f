// Publications per second through the broker, from an event sent to one node to a socket on another, with Redis and with
// NATS, without history and with it; beside a bare PUBLISH and SUBSCRIBE on the same Redis.

import { appendFileSync, existsSync } from "node:fs";
import { connect } from "node:net";
import { EventEmitter, once } from "node:events";
import { join } from "node:path";

import { target } from "@tidegate/kit/paths.mjs";
import { number } from "./settings.mjs";

const release = join(target, "release", "tidegate");
if (!process.env.TIDEGATE_BIN && existsSync(release)) process.env.TIDEGATE_BIN = release;
// Read after TIDEGATE_BIN is set.
const { Cluster } = await import("@tidegate/kit/cluster.mjs");
const { subscribe, token } = await import("@tidegate/kit/harness.mjs");

const SECONDS = number("LOAD_SECONDS", 5);
const BATCH = number("BATCH", 500);
const UNDER_WAY = number("UNDER_WAY", 4);
// So long nothing arrives, and nothing will.
const QUIET_MS = 3_000;

const percentile = (times, part) => times.sort((a, b) => a - b)[Math.floor((times.length - 1) * part)]?.toFixed(2);
const report = (what, count, seconds, times, refused) =>
  console.log(`${what.padEnd(60)}${String(Math.round(count / seconds)).padStart(10)}/s   p50 ${percentile(times, 0.5)} ms   p99 ${percentile(times, 0.99)} ms${refused ? `   ${refused} not taken in time` : ""}`);

// One connection to Redis: commands out, and every piece of what comes in.
async function plain(redis) {
  const { port, password } = new URL(redis.url);
  const socket = connect(Number(port), "127.0.0.1");
  await once(socket, "connect");
  socket.write(`AUTH ${password}\r\n`);
  await once(socket, "data");
  return socket;
}

// As many of `what` as can be, and then one after the other: the first says how many, the second how long one takes.
async function measure(what, start) {
  await run(`${what}, all there is`, start, BATCH, UNDER_WAY);
  await run(`${what}, one by one`, start, 1, 1);
}

async function run(what, start, batch, underWay) {
  const times = [];
  const arrivals = new EventEmitter();
  let last = performance.now();
  const { send, stop } = await start((began) => {
    last = performance.now();
    times.push(last - began);
    arrivals.emit("arrival");
  }, batch);
  const began = performance.now();
  const ends = began + SECONDS * 1000;
  let sent = 0;
  // What a broker does not take in time is a dead letter, and arrives never.
  const arrived = async () => {
    try {
      while (times.length < sent) await once(arrivals, "arrival", { signal: AbortSignal.timeout(QUIET_MS) });
    } catch (error) {
      if (error.name !== "AbortError") throw error;
    }
  };
  await Promise.all(Array.from({ length: underWay }, async () => {
    while (performance.now() < ends) {
      const taken = await send();
      sent += taken;
      // One by one is to the end of its way.
      if (underWay === 1) await arrived();
    }
  }));
  await arrived();
  report(what, times.length, (last - began) / 1000, times, sent - times.length);
  await stop();
}

// `bench.kept` has a history, `e2e.room` has none.
const KEPT = JSON.stringify({
  feature: "bench",
  channels: { "bench.kept.{room}": { scope: "authenticated", payload: {}, history: { messages: 10_000, bytes: "4MiB" } } },
});
const KEPT_RULE = "  - on: kept.read\n    to: bench.kept.{room}\n    params: { room: event.data.room }\n";
const begin = (broker) => Cluster.start({
  broker, isMeasured: true, channels: { "bench.yaml": KEPT },
  config: (config) => ({ ...config, limits: { ...config.limits, outbound_bytes: 100_000_000, bus_queue: 100_000 } }),
  files: (directory) => appendFileSync(join(directory, "config/bridge.yaml"), KEPT_RULE),
});

let cluster = await begin("Redis");

await measure("bare PUBLISH to a SUBSCRIBE", async (heard, batch) => {
  const [out, into] = await Promise.all([plain(cluster.redis), plain(cluster.redis)]);
  into.write("SUBSCRIBE bare\r\n");
  await once(into, "data");
  let rest = "";
  into.on("data", (data) => {
    rest += data;
    let end = 0;
    for (const match of rest.matchAll(/@([\d.]+)@/g)) {
      heard(Number(match[1]));
      end = match.index + match[0].length;
    }
    rest = rest.slice(end);
  });
  let waiting = 0;
  let done = [];
  out.on("data", (data) => {
    waiting -= data.toString().split(":").length - 1;
    if (waiting <= 0) done.splice(0).forEach((resolve) => resolve());
  });
  return {
    async send() {
      const payload = `@${performance.now()}@`;
      waiting += batch;
      const answered = new Promise((resolve) => done.push(resolve));
      out.write(`PUBLISH bare ${payload}\r\n`.repeat(batch));
      await answered;
      return batch;
    },
    stop: () => [out, into].forEach((socket) => socket.destroy()),
  };
});

// Events that one node is sent, to a socket of the first one.
const events = (from, { topic, type, rooms }) => async (heard, batch) => {
  const socket = await cluster.nodes[0].connect({ token: token("reader") });
  const names = Array.from({ length: rooms }, (_, at) => `bench${at}`);
  for (const name of names) {
    await subscribe(socket, `${topic}.${name}`);
    socket.on(`${topic}.${name}`, ({ n }) => heard(n / 1000));
  }
  let sent = 0;
  return {
    async send() {
      const n = Math.round(performance.now() * 1000);
      const events = Array.from({ length: batch }, () => {
        sent += 1;
        return { specversion: "1.0", type, source: "/bench", id: `${n}-${sent}`, data: { room: names[sent % rooms], n } };
      });
      const { status } = await cluster.nodes[from].post("/v1/events", events);
      return status === 202 ? batch : 0;
    },
    stop: () => socket.close(),
  };
};

const PLAIN = { topic: "e2e.room", type: "sensor.read", rooms: 1 };
const HISTORY = { topic: "bench.kept", type: "kept.read", rooms: 1 };
await measure("events of one node to a socket of the same", events(0, PLAIN));
for (const broker of ["Redis", "NATS"]) {
  if (broker !== "Redis") cluster = await begin(broker);
  await measure(`${broker}: to a socket of the other node`, events(1, PLAIN));
  await measure(`${broker}: the same, history, one topic`, events(1, HISTORY));
  await measure(`${broker}: the same, history, 20 topics`, events(1, { ...HISTORY, rooms: 20 }));
  await cluster.stop();
}
