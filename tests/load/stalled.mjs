// A thousand clients stop reading, beside twenty who read on: what is queued for them, when they are gone, and what the
// twenty notice.

import { readFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";

import { Crowd, judge, percentile } from "./crowd.mjs";
import { nowUs, Pipeline } from "./pipeline.mjs";
import { requireTidegate } from "./tidegate-bin.mjs";
import { KEYS, Server } from "@tidegate/kit/harness.mjs";
import { number } from "./settings.mjs";

requireTidegate();

const STALLED = number("STALLED", 1000);
const READING = number("READING", 20);
const PER_SECOND = number("PER_SECOND", 10);
const BYTES = number("BYTES", 4096);
const SECONDS = number("SECONDS", 10);
// The server's defaults: what it may queue for a client, and when it gives up on one that answers no ping.
const OUTBOUND_BYTES = 1024 * 1024;
const PING_INTERVAL_S = number("PING_INTERVAL_S", 25);
const PING_TIMEOUT_S = number("PING_TIMEOUT_S", 20);
const GONE_S = PING_INTERVAL_S + PING_TIMEOUT_S + 1;
const TOPIC = "load.all";

const CHANNELS = JSON.stringify({
  feature: "load",
  channels: {
    [TOPIC]: { scope: "public", payload: { type: "object", required: ["at"], properties: { at: { type: "integer" } } } },
  },
});

const server = await Server.start({ plugins: false, channels: { "load.yaml": CHANNELS }, env: { RUST_LOG: "info" } });
const pipeline = new Pipeline({ url: server.url, key: KEYS.backend, connections: 1 });
const [stalled, reading] = await Promise.all(
  [STALLED, READING].map((count) => Crowd.gather({ url: server.url, count, topics: [TOPIC] })),
);

let seq = 0;
let published = 0;
// Publishes steadily for so long, and until `done`; calls `each` once a second.
async function load(seconds, each = () => false) {
  const began = performance.now();
  const note = "x".repeat(BYTES);
  for (let due = 0; ; due += 1) {
    const elapsed = (performance.now() - began) / 1000;
    if (elapsed > seconds || (due % PER_SECOND === 0 && (await each(elapsed)))) return elapsed;
    pipeline.publish(TOPIC, `{"at":${nowUs()},"seq":${(seq += 1)},"key":0,"note":"${note}"}`);
    published += 1;
    await pause(Math.max(0, began + ((due + 1) * 1000) / PER_SECOND - performance.now()));
  }
}

// The p99 of those who read, in milliseconds, and how many publications one of them misses at most.
async function noticed() {
  for (let waited = 0; pipeline.waiting > 0 && waited < 50; waited += 1) await pause(100);
  await pause(500);
  const readers = (await reading.report()).map(({ received }) => received[TOPIC]);
  const missed = Math.max(...readers.map(({ count }) => published - count));
  return { p99Ms: percentile(readers.flatMap(({ agesUs }) => agesUs), 0.99) / 1000, missed };
}

const residentMiB = () => Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${server.process.pid}/status`, "utf8"))[1]) / 1024;

await load(3);
await noticed();
reading.reset();
published = 0;
await load(SECONDS);
const before = { ...(await noticed()), residentMiB: residentMiB() };

reading.reset();
published = 0;
stalled.stall();
let queuedMax = 0;
let residentMax = 0;
let goneAfter = null;
await load(GONE_S + 10, async (elapsed) => {
  const [connections, outbound] = [await server.metric("tidegate_connections "), await server.metric("tidegate_outbound_bytes")];
  // Of all that stalled: the server measures the bytes once a second, so it may tell those of clients that are gone.
  queuedMax = Math.max(queuedMax, outbound / STALLED);
  residentMax = Math.max(residentMax, residentMiB());
  if (connections <= READING) goneAfter ??= elapsed;
  return goneAfter !== null && elapsed > SECONDS;
});
const after = await noticed();
const left = (await server.metric("tidegate_connections ")) - READING;
const told = (await server.get("/metrics")).text.includes("tidegate_outbound_bytes");

console.log(`${STALLED} clients stop reading, ${READING} read on; ${PER_SECOND} publications of ${BYTES} bytes a second`);
console.log(`memory of the server: ${before.residentMiB.toFixed(0)} MiB before, ${residentMax.toFixed(0)} MiB at most\n`);
const good = judge([
  {
    what: "bytes queued for each of them (mean), at most", measured: told ? Math.round(queuedMax) : "not told",
    aim: OUTBOUND_BYTES, met: told && queuedMax <= OUTBOUND_BYTES,
  },
  { what: "the last of them is gone after", measured: goneAfter === null ? `${left} stay` : `${goneAfter.toFixed(1)} s`, aim: `${GONE_S} s`, met: goneAfter !== null && goneAfter <= GONE_S },
  { what: "p99 of who reads on", measured: `${after.p99Ms.toFixed(1)} ms`, aim: `2 x ${before.p99Ms.toFixed(1)} ms`, met: after.p99Ms <= 2 * before.p99Ms },
  { what: "publications that one of these misses, at most", measured: after.missed, aim: 0, met: after.missed === 0 },
]);
for (const part of [stalled, reading, pipeline]) part.end();
await server.stop();
process.exit(good ? 0 : 1);
