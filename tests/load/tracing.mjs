// What tracing costs: the inbound load (`inbound.mjs`) without a collector, and with one that takes everything, with sampling
// of 0, 1 % and 100 %. The servers take turns within a round; the ratios are medians of those of each round.

import { createServer } from "node:http";
import { cpus } from "node:os";

import { BENCH, measure } from "./inbound.mjs";
import { requireTidegate } from "./tidegate-bin.mjs";
import { number } from "./settings.mjs";
import { Server } from "@tidegate/kit/harness.mjs";

requireTidegate();

const setting = {
  sockets: number("SOCKETS", 200),
  generators: number("GENERATORS", 2),
  seconds: number("LOAD_SECONDS", 10),
  warmUpSeconds: number("WARM_UP_SECONDS", 2),
  depth: number("DEPTH", 8),
};
const ROUNDS = number("ROUNDS", 3);

// Reads what it is sent, and nothing of it: what it costs is no part of the server.
let bytes = 0;
const collector = createServer((request, response) => {
  request.on("data", (data) => (bytes += data.length));
  request.on("end", () => response.end());
});
await new Promise((resolve) => collector.listen(0, "127.0.0.1", resolve));
const otlp = `http://127.0.0.1:${collector.address().port}`;

const start = (telemetry) => async () => {
  const config = (config) => ({ ...config, ...(telemetry && { telemetry }) });
  const server = await Server.start({ channels: { "bench.yaml": BENCH }, config });
  return { url: server.url, pid: server.process.pid, stop: () => server.stop() };
};
const ways = {
  none: start(),
  "sample: 0": start({ otlp, sample: 0 }),
  "sample: 0.01": start({ otlp, sample: 0.01 }),
  "sample: 1": start({ otlp, sample: 1 }),
};

const row = (...cells) => console.log(cells.map((cell, index) => (index ? String(cell).padStart(22) : String(cell).padEnd(16))).join(""));
const median = (numbers) => numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)];

console.log(`${setting.sockets} sockets, ${setting.depth} messages under way on each, ${ROUNDS} rounds of ${setting.seconds} s, ${cpus().length} cores\n`);
const rounds = [];
for (let round = 0; round < ROUNDS; round += 1) {
  const results = {};
  for (const [way, starts] of Object.entries(ways)) {
    bytes = 0;
    results[way] = { ...(await measure(starts, setting)), bytes };
  }
  rounds.push(results);
}
row("", "messages/s", "of none", "CPU a message, of none", "KB/s to the collector");
for (const way of Object.keys(ways)) {
  const all = (found) => median(rounds.map((results) => found(results[way], results.none)));
  row(
    way,
    Math.round(all(({ perSecond }) => perSecond)),
    all((one, none) => one.perSecond / none.perSecond).toFixed(3),
    all((one, none) => one.cpuPerMessageUs / none.cpuPerMessageUs).toFixed(3),
    Math.round(all(({ bytes }) => bytes / 1000 / (setting.seconds + setting.warmUpSeconds))),
  );
}
collector.close();
