// Runs the same load against Tidegate and against the plain Node server, and prints the ratio.

import { cpus } from "node:os";

import { measure, servers } from "./inbound.mjs";
import { requireTidegate } from "./tidegate-bin.mjs";
import { number } from "./settings.mjs";

requireTidegate();

const setting = {
  sockets: number("SOCKETS", 200),
  generators: number("GENERATORS", 2),
  seconds: number("LOAD_SECONDS", 10),
  warmUpSeconds: number("WARM_UP_SECONDS", 2),
};
const DEPTHS = (process.env.DEPTHS ?? "1,8").split(",").map(Number);

const row = (...cells) => console.log(cells.map((cell, index) => (index ? String(cell).padStart(16) : String(cell).padEnd(16))).join(""));

console.log(`${setting.sockets} sockets, ${setting.generators} generators, ${setting.seconds} s after ${setting.warmUpSeconds} s, ${cpus().length} cores\n`);
for (const depth of DEPTHS) {
  console.log(`${depth} message${depth > 1 ? "s" : ""} under way on each socket`);
  row("", "messages/s", "CPU µs/message", "server CPU %", "generator CPU %");
  const results = {};
  for (const [name, start] of Object.entries(servers)) {
    const result = (results[name] = await measure(start, { ...setting, depth }));
    row(name, ...[result.perSecond, result.cpuPerMessageUs.toFixed(1), result.serverCpu, result.generatorCpu].map((cell) => typeof cell === "number" ? Math.round(cell) : cell));
  }
  const [ours, theirs] = Object.values(results);
  const throughput = (ours.perSecond / theirs.perSecond).toFixed(2);
  const cpu = (ours.cpuPerMessageUs / theirs.cpuPerMessageUs).toFixed(2);
  console.log(`tidegate / node: ${throughput} x messages/s, ${cpu} x CPU a message\n`);
}
