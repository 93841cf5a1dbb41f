// Abuse and swaps of every kind at once, for minutes: no ack is lost, nothing grows, and at the end the server is as it was.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";

import { KEYS } from "@tidegate/kit/harness.mjs";
import { coreModule, slowToCompile } from "@tidegate/kit/odd-components.mjs";
import { components } from "@tidegate/kit/paths.mjs";
import { abusers, begin, counts, neighbours, NEIGHBOURS, residentMiB } from "./scene.mjs";

const MINUTES = Number(process.env.SOAK_MINUTES ?? 10);
const WARM_UP_MINUTES = Math.min(1, MINUTES / 4);
const DEEDS = [
  "well", "count", "loop", "sleep", "memory", "recursion", "panic", "exit", "huge", "large", "million-effects", "effects",
  "garbage", "not-utf8", "garbage-effect", "not-granted-emit", "not-granted-publish", "log", "print", "forbidden", "granted",
];
const GROWN_MIB_MAX = 64;
const PATIENCE_MS = 60_000;

// Without a pause after faults, so that the bad plugin is called all the time.
const server = await begin({ breaker: { faults: 1_000_000 } });
const good = readFileSync(join(server.directory, "plugins/bad/bad.wasm"));
const manifest = readFileSync(join(server.directory, "channels/load.yaml"), "utf8");
const applied = { now: 0 };

const into = async (outcome, change) => {
  await server.reload(change, outcome, PATIENCE_MS);
  applied.now += 1;
};
const replaced = async (content) => {
  await into("reload.rejected", () => server.write("plugins/bad/bad.wasm", content));
  await into("reload.reverted", () => server.write("plugins/bad/bad.wasm", good));
};
let rate = 0;
const CHANGES = {
  "ping, its second version": async () => {
    await into("reload.applied", () => server.plugin("ping", components.second));
    await into("reload.applied", () => server.plugin("ping", components.shipped));
  },
  "a rate of the abused channel": async () => {
    rate += 1;
    const changed = JSON.parse(manifest);
    changed.channels["abuse.{room}"].inbound.rate = `${1000 + (rate % 100)}/s`;
    await into("reload.applied", () => server.write("channels/load.yaml", JSON.stringify(changed)));
  },
  "half a component": () => replaced(good.subarray(0, good.length / 2)),
  "a core module": () => replaced(coreModule()),
  "zeros": () => replaced(Buffer.alloc(20 << 20)),
  "a slow compile": () => replaced(slowToCompile(500)),
  "a manifest that is none": async () => {
    const before = readFileSync(join(server.directory, "channels/load.yaml"), "utf8");
    await into("reload.rejected", () => server.write("channels/load.yaml", "feature: [\n"));
    await into("reload.reverted", () => server.write("channels/load.yaml", before));
  },
};

async function gauge(name) {
  const { text } = await server.get("/metrics");
  const lines = text.split("\n").filter((line) => line.startsWith(name) && !line.startsWith("#"));
  return lines.reduce((sum, line) => sum + Number(line.split(" ").at(-1)), 0);
}

const good_clients = await neighbours(server);
const bad_clients = await abusers(server, DEEDS);
const ends = performance.now() + MINUTES * 60_000;
const warm = performance.now() + WARM_UP_MINUTES * 60_000;
let [baseMiB, nextLine] = [undefined, 0];
const names = Object.keys(CHANGES);
for (let turn = 0; performance.now() < ends; turn += 1) {
  await CHANGES[names[turn % names.length]]();
  if (baseMiB === undefined && performance.now() > warm) baseMiB = residentMiB(server);
  if (performance.now() > nextLine) {
    nextLine = performance.now() + 30_000;
    const left = Math.round((ends - performance.now()) / 1000);
    console.log(`${String(left).padStart(5)} s left, ${applied.now} reloads, ${Math.round(residentMiB(server))} MiB`);
  }
  await pause(200);
}
const bad = await bad_clients.ask("stop");
const report = await good_clients.ask("report");
await pause(2000);
const endMiB = residentMiB(server);
const { body } = await server.get("/v1/plugins", { key: KEYS.operator });
const open = await gauge("tidegate_connections ");
const final = await good_clients.ask("stop");
console.log(`\n${applied.now} reloads; ${report.answered} acks to the neighbours: ${counts(report.said)}; lost ${final.lost}; p99 ${report.p99Ms.toFixed(1)} ms`);
console.log(`the abusers heard ${counts(bad.said)}`);
console.log(`memory ${Math.round(baseMiB)} MiB after ${WARM_UP_MINUTES} min, ${Math.round(endMiB)} MiB at the end`);
const ended = server.ended();
server.signal("SIGTERM");
const exit = await ended;
await server.stop();

assert.equal(final.lost, 0, "acks were lost");
assert.equal(final.said["an ack nobody waits for"] ?? 0, 0, "an ack came twice");
assert.equal((report.said["a socket was closed"] ?? 0) + (bad.said["a socket was closed"] ?? 0), 0, "sockets were closed");
assert.ok(endMiB - baseMiB < GROWN_MIB_MAX, `memory grew by ${Math.round(endMiB - baseMiB)} MiB`);
assert.equal(open, NEIGHBOURS, "connections are counted that are not there");
// The bad one has given the server reason to put its versions aside.
const rests = ({ name, state }) => ["active", "standby"].includes(state) || (name === "bad" && state === "quarantined");
assert.deepEqual(body.plugins.filter((plugin) => !rests(plugin)), [], "versions are left that neither serve nor stand by");
assert.equal(exit, 0, "the server did not end well");
console.log("nothing was lost, nothing grew");
