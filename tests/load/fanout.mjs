// What a delivery costs: processor time of the server for each publication that reaches a subscriber, beside other servers
// in the same run. README.md says how to read the figures.

import { readFileSync, writeFileSync } from "node:fs";
import { cpus, release } from "node:os";
import { setTimeout as pause } from "node:timers/promises";
import { parseArgs } from "node:util";

import { Clients } from "./fanout-clients.mjs";
import { build, servers } from "./fanout-servers.mjs";
import * as inbound from "./inbound.mjs";
import { requireTidegate } from "./tidegate-bin.mjs";

const USAGE = `npm run fanout -- [--quick] [--only tidegate,floor] [--subscribers 1000,5000] [--in-flight 1,4,16] [--rounds 5]
                  [--seconds 1.5] [--parts fanout,inbound] [--json FILE]
servers: ${Object.keys(servers).join(", ")}`;
const WARM_UP = { subscribers: 50, inFlight: 4, seconds: 0.5 };
const SETTLE_MS = 2000;

function options() {
  const text = { type: "string" };
  const { values } = parseArgs({
    options: { quick: { type: "boolean" }, only: text, subscribers: text, "in-flight": text, rounds: text, seconds: text, parts: text, json: text },
  });
  const list = (value, otherwise) => (value ?? otherwise).split(",");
  const listed = Object.keys(servers).filter((name) => servers[name].listed !== false);
  const only = list(values.only, listed.join(","));
  const unknown = only.filter((name) => !servers[name]);
  if (unknown.length > 0) throw new Error(`\`${unknown}\` is not a valid server`);
  return {
    only,
    // The most first: what an idle connection takes is measured before anything was published to it.
    subscribers: list(values.subscribers, "1000,5000").map(Number).sort((a, b) => b - a),
    inFlight: list(values["in-flight"], "1,4,16").map(Number),
    rounds: Number(values.rounds ?? (values.quick ? 1 : 5)),
    seconds: Number(values.seconds ?? (values.quick ? 1 : 1.5)),
    inboundSeconds: values.quick ? 3 : 5,
    parts: list(values.parts, "fanout,inbound"),
    json: values.json,
  };
}

const median = (figures) => {
  const sorted = figures.toSorted((a, b) => a - b);
  return (sorted[Math.floor((sorted.length - 1) / 2)] + sorted[Math.ceil((sorted.length - 1) / 2)]) / 2;
};
const progress = (text) => process.stderr.isTTY && process.stderr.write(`\r\x1b[K${text}`);
const residentKB = (pid) => Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))[1]);

// Starts a server and makes it do once what it will do.
async function begin(name, running) {
  const server = { ...(await servers[name].start()), name, title: servers[name].title };
  running.push(server);
  const clients = await Clients.connect(server, servers[name].speaks, WARM_UP.subscribers);
  await clients.measure(WARM_UP.inFlight, WARM_UP.seconds);
  await clients.stop();
}

// Connects all clients of a server, and answers with them and with what each takes of the server's memory.
async function connect(server, subscribers) {
  await pause(SETTLE_MS / 4);
  const before = residentKB(server.pid);
  const clients = await Clients.connect(server, servers[server.name].speaks, subscribers);
  await pause(SETTLE_MS);
  return { clients, connectionKB: (residentKB(server.pid) - before) / subscribers };
}

// All rounds with so many subscribers; the servers take turns within each round, so that a slow minute hits all of them.
async function stage(running, subscribers, setting, results) {
  const all = [];
  for (const server of running) {
    progress(`${subscribers} subscribers: connecting to ${server.title}`);
    const { clients, connectionKB } = await connect(server, subscribers);
    all.push({ server, clients });
    if (subscribers === Math.max(...setting.subscribers)) results.memory[server.name] = { connectionKB, connections: subscribers };
  }
  for (const { clients } of all) await clients.measure(WARM_UP.inFlight, WARM_UP.seconds);
  for (const inFlight of setting.inFlight) {
    const row = { subscribers, inFlight, servers: Object.fromEntries(running.map(({ name }) => [name, []])) };
    for (let round = 0; round < setting.rounds; round += 1) {
      const turn = [...all.slice(round % all.length), ...all.slice(0, round % all.length)];
      for (const { server, clients } of turn) {
        progress(`${subscribers} subscribers, ${inFlight} in flight, round ${round + 1}: ${server.title}`);
        row.servers[server.name].push(await clients.measure(inFlight, setting.seconds));
      }
    }
    results.fanout.push(row);
  }
  // What comes twice may come late.
  await pause(200);
  for (const { clients } of all) await clients.stop();
}

async function fanout(names, setting, results) {
  const running = [];
  try {
    for (const name of names) await begin(name, running);
    for (const subscribers of setting.subscribers) await stage(running, subscribers, setting, results);
  } finally {
    for (const server of running) await server.stop();
  }
}

async function inboundAndAck(setting, results) {
  const load = { depth: 8, sockets: 200, generators: 2, seconds: setting.inboundSeconds, warmUpSeconds: 1 };
  for (let round = 0; round < Math.min(setting.rounds, 3); round += 1) {
    for (const [name, start] of Object.entries(inbound.servers)) {
      progress(`inbound event and ack, round ${round + 1}: ${name}`);
      (results.inbound[name] ??= []).push(await inbound.measure(start, load));
    }
  }
}

const table = (head, rows) => {
  const line = (cells) => `| ${cells.join(" | ")} |`;
  console.log([line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n") + "\n");
};
const digits = (figure, count) => (figure === undefined || Number.isNaN(figure) ? "" : figure.toFixed(count));
const cost = (rounds) => rounds && median(rounds.map(({ cpuUs }) => cpuUs));
// The median of each round's ratio: both sides of it were measured within seconds.
const ratio = (ours, theirs) => ours && theirs && median(ours.map(({ cpuUs }, round) => cpuUs / theirs[round].cpuUs));

function print(names, results) {
  const ratios = (of) => [digits(ratio(of.tidegate, of.floor), 2), digits(ratio(of.tidegate, of.node), 3)];
  const both = names.includes("tidegate") ? ["of the floor", "of Node"] : [];
  if (results.fanout.length > 0) {
    console.log("µs of server CPU a delivery\n");
    table(
      ["subscribers, in flight", ...names.map((name) => servers[name].title), ...both, "(clients)"],
      results.fanout.toSorted((a, b) => a.subscribers - b.subscribers).map(({ subscribers, inFlight, servers: of }) => [
        `${subscribers}, ${inFlight}`,
        ...names.map((name) => digits(cost(of[name]), 1)),
        ...(both.length > 0 ? ratios(of) : []),
        digits(median(Object.values(of).flat().map(({ clientsUs }) => clientsUs)), 1),
      ]),
    );
    const { memory } = results;
    const [{ connections }] = Object.values(memory);
    console.log(`KB of memory (RSS) an idle, subscribed websocket connection, of ${connections}\n`);
    const share = (memory.tidegate?.connectionKB ?? NaN) / (memory.node?.connectionKB ?? NaN);
    table(
      [...names.map((name) => servers[name].title), ...both.slice(1)],
      [[...names.map((name) => digits(memory[name].connectionKB, 1)), ...(both.length > 0 ? [digits(share, 2)] : [])]],
    );
  }
  if (Object.keys(results.inbound).length > 0) {
    const { tidegate, "node socket.io": node } = results.inbound;
    const us = (rounds) => median(rounds.map(({ cpuPerMessageUs }) => cpuPerMessageUs));
    console.log("µs of server CPU an inbound event with its ack, 200 sockets, 8 under way on each\n");
    const share = median(tidegate.map(({ cpuPerMessageUs }, round) => cpuPerMessageUs / node[round].cpuPerMessageUs));
    table(["Tidegate, schemas and ping component", "Node socket.io, ws", "of Node"], [[us(tidegate), us(node)].map((figure) => digits(figure, 1)).concat(digits(share, 2))]);
  }
}

async function main() {
  const setting = options();
  const names = setting.only.filter((name) => {
    const missing = servers[name].missing?.();
    if (missing) console.log(`skipped: ${servers[name].title}: ${missing}`);
    return !missing;
  });
  const inboundToo = setting.parts.includes("inbound") && ["tidegate", "node"].every((name) => names.includes(name));
  if (names.includes("tidegate")) requireTidegate();
  build();
  const machine = { cores: cpus().length, processor: cpus()[0].model, kernel: release() };
  const versions = Object.fromEntries(names.map((name) => [name, servers[name].version()]));
  const results = { fanout: [], memory: {}, inbound: {} };
  const began = performance.now();
  if (setting.parts.includes("fanout")) await fanout(names, setting, results);
  if (inboundToo) await inboundAndAck(setting, results);
  progress("");
  print(names, results);
  console.log(`${machine.cores} cores (${machine.processor}), Linux ${machine.kernel}; medians of ${setting.rounds} rounds; ${Math.round((performance.now() - began) / 1000)} s`);
  console.log(Object.values(versions).filter(Boolean).join("; "));
  if (setting.json) writeFileSync(setting.json, JSON.stringify({ machine, versions, setting, ...results }, null, 2));
}

main().then(
  () => process.exit(0),
  (error) => {
    progress("");
    console.error(`error: ${error.message}`);
    if (error.code?.startsWith?.("ERR_PARSE_ARGS") || /is not a valid server/.test(error.message)) console.error(USAGE);
    process.exit(1);
  },
);
