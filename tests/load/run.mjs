// Runs the same load against Tidegate and against the plain Node server, and prints the ratio.

import { fork } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { setTimeout as pause } from "node:timers/promises";

import { target } from "../e2e/paths.mjs";
import { cpuSeconds } from "./cpu.mjs";

process.env.TIDEGATE_BIN ??= join(target, "release", "tidegate");
if (!existsSync(process.env.TIDEGATE_BIN)) {
  console.error(`error: \`${process.env.TIDEGATE_BIN}\` is missing\nhint: cargo build --release, or set TIDEGATE_BIN`);
  process.exit(1);
}
// Read after TIDEGATE_BIN is set.
const { SECRET, Server, token } = await import("../e2e/harness.mjs");

const number = (name, otherwise) => Number(process.env[name] ?? otherwise);
const SECONDS = number("LOAD_SECONDS", 10);
const WARM_UP_SECONDS = number("WARM_UP_SECONDS", 2);
const SOCKETS = number("SOCKETS", 200);
const GENERATORS = number("GENERATORS", 2);
const DEPTHS = (process.env.DEPTHS ?? "1,8").split(",").map(Number);

const BENCH = `
feature: bench
channels:
  bench.{room}:
    scope: authenticated
    payload: { type: object, required: [pong], properties: { pong: { type: integer } }, additionalProperties: false }
    inbound:
      payload: { type: object, required: [n], properties: { n: { type: integer } }, additionalProperties: false }
      handler: ping
`;

const here = (file) => fileURLToPath(new URL(file, import.meta.url));

const servers = {
  async tidegate() {
    const server = await Server.start({ channels: { "bench.yaml": BENCH } });
    return { url: server.url, pid: server.process.pid, stop: () => server.stop() };
  },
  async "node socket.io"() {
    const server = fork(here("node-server.mjs"), { env: { ...process.env, TIDEGATE_JWT_SECRET: SECRET } });
    const [{ url }] = await once(server, "message");
    return { url, pid: server.pid, stop: () => server.kill() };
  },
};

async function measure(start, depth) {
  const server = await start();
  const each = Math.ceil(SOCKETS / GENERATORS);
  const generators = [];
  for (let first = 0; first < SOCKETS; first += each) {
    const tokens = Array.from({ length: Math.min(each, SOCKETS - first) }, (_, index) => token(`u${first + index}`));
    generators.push(fork(here("generator.mjs"), [JSON.stringify({ url: server.url, tokens, depth, first })]));
  }
  await Promise.all(generators.map((generator) => once(generator, "message")));
  const order = (word) => generators.forEach((generator) => generator.send(word));
  order("go");
  await pause(WARM_UP_SECONDS * 1000);
  order("measure");
  const [cpuBefore, began] = [cpuSeconds(server.pid), performance.now()];
  await pause(SECONDS * 1000);
  const [cpu, seconds] = [cpuSeconds(server.pid) - cpuBefore, (performance.now() - began) / 1000];
  const reports = Promise.all(generators.map((generator) => once(generator, "message")));
  order("report");
  const results = (await reports).map(([report]) => report);
  await server.stop();
  for (const { refused } of results) {
    for (const [code, count] of Object.entries(refused)) console.log(`refused: ${count} ${code}`);
  }
  const messages = results.reduce((sum, { acked }) => sum + acked, 0);
  return {
    perSecond: messages / seconds,
    cpuPerMessageUs: (cpu * 1e6) / messages,
    serverCpu: (100 * cpu) / seconds,
    generatorCpu: Math.max(...results.map(({ cpuMs }) => cpuMs / 10 / seconds)),
  };
}

const row = (...cells) => console.log(cells.map((cell, index) => (index ? String(cell).padStart(16) : String(cell).padEnd(16))).join(""));

console.log(`${SOCKETS} sockets, ${GENERATORS} generators, ${SECONDS} s after ${WARM_UP_SECONDS} s, ${cpus().length} cores\n`);
for (const depth of DEPTHS) {
  console.log(`${depth} message${depth > 1 ? "s" : ""} under way on each socket`);
  row("", "messages/s", "CPU µs/message", "server CPU %", "generator CPU %");
  const results = {};
  for (const [name, start] of Object.entries(servers)) {
    const result = (results[name] = await measure(start, depth));
    row(name, ...[result.perSecond, result.cpuPerMessageUs.toFixed(1), result.serverCpu, result.generatorCpu].map((cell) => typeof cell === "number" ? Math.round(cell) : cell));
  }
  const [ours, theirs] = Object.values(results);
  const throughput = (ours.perSecond / theirs.perSecond).toFixed(2);
  const cpu = (ours.cpuPerMessageUs / theirs.cpuPerMessageUs).toFixed(2);
  console.log(`tidegate / node: ${throughput} x messages/s, ${cpu} x CPU a message\n`);
}
