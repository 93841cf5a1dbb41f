// The inbound load: sockets, each on a topic of its own, that send `{ n }` and wait for the ack with `{ pong: n }`.

import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { setTimeout as pause } from "node:timers/promises";

import { cpuSeconds } from "./cpu.mjs";
import "./tidegate-bin.mjs";
import { SECRET, Server, token } from "@tidegate/kit/harness.mjs";

export const BENCH = `
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

export const servers = {
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

// Starts a server, loads it with `depth` messages under way on each socket, and stops it.
export async function measure(start, { depth, sockets, generators: processes, seconds: lasts, warmUpSeconds }) {
  const server = await start();
  const each = Math.ceil(sockets / processes);
  const generators = [];
  for (let first = 0; first < sockets; first += each) {
    const tokens = Array.from({ length: Math.min(each, sockets - first) }, (_, index) => token(`u${first + index}`));
    generators.push(fork(here("generator.mjs"), [JSON.stringify({ url: server.url, tokens, depth, first })]));
  }
  await Promise.all(generators.map((generator) => once(generator, "message")));
  const order = (word) => generators.forEach((generator) => generator.send(word));
  order("go");
  await pause(warmUpSeconds * 1000);
  order("measure");
  const [cpuBefore, began] = [cpuSeconds(server.pid), performance.now()];
  await pause(lasts * 1000);
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
