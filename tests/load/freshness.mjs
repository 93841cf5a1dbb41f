// How old is what a slow reader sees? 200 keys change 20 times a second; twenty readers are fast, one reads 100 KB/s. A
// control message comes ten times a second on a topic of its own.

import { setTimeout as pause } from "node:timers/promises";

import { Crowd, judge, percentile } from "./crowd.mjs";
import { nowUs, Pipeline } from "./pipeline.mjs";
import { requireTidegate } from "./tidegate-bin.mjs";
import { KEYS as API_KEYS, Server } from "@tidegate/kit/harness.mjs";
import { number } from "./settings.mjs";

requireTidegate();

const KEYS = number("KEYS", 200);
const HERTZ = number("HERTZ", 20);
const SECONDS = number("SECONDS", 10);
const FAST = number("FAST", 20);
const SLOW_BYTES_PER_SECOND = number("SLOW_BYTES_PER_SECOND", 100_000);
const CONTROL_HERTZ = 10;
const TICK_MS = 10;
const POSITIONS = "load.positions";
const CONTROL = "load.control";

const channels = (delivery) => {
  const integers = (...names) => Object.fromEntries(names.map((name) => [name, { type: "integer" }]));
  const properties = { ...integers("at", "seq", "key"), note: { type: "string", maxLength: 256 } };
  const payload = { type: "object", required: ["at", "seq", "key"], properties, additionalProperties: false };
  const latest = delivery ? { delivery: { mode: "latest", key: "/key" } } : {};
  const declared = { [POSITIONS]: { scope: "public", payload, ...latest }, [CONTROL]: { scope: "public", payload } };
  return { "load.yaml": JSON.stringify({ feature: "load", channels: declared }) };
};

// A version without `delivery` is measured all the same.
async function start() {
  const scene = { plugins: false, env: { RUST_LOG: "info" } };
  try {
    return await Server.start({ ...scene, channels: channels(true) });
  } catch (error) {
    if (!error.message.includes("delivery")) throw error;
    console.log("this version does not know `delivery`: each publication goes to each reader\n");
    return await Server.start({ ...scene, channels: channels(false) });
  }
}

const seqs = Array(KEYS).fill(0);
let controls = 0;
const body = (seq, key, bytes) => {
  const start = `{"at":${nowUs()},"seq":${seq},"key":${key},"note":"`;
  return `${start}${"x".repeat(Math.max(0, bytes - start.length - 2))}"}`;
};

async function publish(pipeline) {
  const began = performance.now();
  let positions = 0;
  for (let elapsed = 0; elapsed < SECONDS * 1000; elapsed = performance.now() - began) {
    for (const due = Math.floor((elapsed / 1000) * KEYS * HERTZ); positions < due; positions += 1) {
      const key = positions % KEYS;
      // A key keeps its order: one connection takes all of it.
      pipeline.publish(POSITIONS, body((seqs[key] += 1), key, 200), key);
    }
    while (controls < (elapsed / 1000) * CONTROL_HERTZ) pipeline.publish(CONTROL, body((controls += 1), 0, 60), 0);
    await pause(TICK_MS);
  }
}

// Until the slow reader receives nothing more.
async function quiet(crowd) {
  let before = -1;
  for (let waited = 0; waited < 30; waited += 1) {
    const [{ received }] = await crowd.report();
    const count = received[POSITIONS].count + received[CONTROL].count;
    if (count === before) return;
    before = count;
    await pause(1000);
  }
}

const server = await start();
const topics = [POSITIONS, CONTROL];
const [fast, slow] = await Promise.all([
  Crowd.gather({ url: server.url, count: FAST, topics }),
  Crowd.gather({ url: server.url, count: 1, topics, bytesPerSecond: SLOW_BYTES_PER_SECOND }),
]);
const pipeline = new Pipeline({ url: server.url, key: API_KEYS.backend });
await publish(pipeline);
for (let waited = 0; pipeline.waiting > 0 && waited < 100; waited += 1) await pause(100);
await quiet(slow);

const [slowReader] = await slow.report();
const fastReaders = await fast.report();
const positions = seqs.reduce((sum, seq) => sum + seq, 0);
const ages = slowReader.received[POSITIONS].agesUs;
const age = (share) => (ages.length > 0 ? percentile(ages, share) / 1e6 : Infinity);
const { newest } = slowReader.received[POSITIONS];
const missingKeys = seqs.filter((seq, key) => newest[key] !== seq).length;
const missingControls = controls - slowReader.received[CONTROL].count;
const lost = Math.max(...fastReaders.map(({ received }) => positions + controls - received[POSITIONS].count - received[CONTROL].count));
const fastP99 = percentile(fastReaders.flatMap(({ received }) => received[POSITIONS].agesUs), 0.99) / 1e6;

console.log(`${KEYS} keys at ${HERTZ} Hz for ${SECONDS} s, ${FAST} fast readers, one of ${SLOW_BYTES_PER_SECOND / 1000} KB/s`);
console.log(`${pipeline.accepted} of ${pipeline.sent} publications accepted; the fast readers' p99 is ${fastP99.toFixed(3)} s`);
if (slowReader.closedAfterMs !== null) console.log(`the slow reader's connection was closed after ${(slowReader.closedAfterMs / 1000).toFixed(1)} s`);
console.log(`the slow reader received ${ages.length} of ${positions} positions\n`);
const good = judge([
  { what: "age at the slow reader, p50", measured: `${age(0.5).toFixed(3)} s`, aim: "0.1 s", met: age(0.5) <= 0.1 },
  { what: "age at the slow reader, p99", measured: `${age(0.99).toFixed(3)} s`, aim: "0.3 s", met: age(0.99) <= 0.3 },
  { what: "keys whose newest value it has not", measured: missingKeys, aim: 0, met: missingKeys === 0 },
  { what: "control messages that it misses", measured: missingControls, aim: 0, met: missingControls === 0 },
  { what: "publications that a fast reader misses, at most", measured: lost, aim: 0, met: lost === 0 },
]);
for (const part of [fast, slow, pipeline]) part.end();
await server.stop();
process.exit(good ? 0 : 1);
