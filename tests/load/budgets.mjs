// Budgets by team: what the clients of one team notice while another team's plugin loops and its channel floods, with the
// budgets and, as the control, without them.

import { setTimeout as pause } from "node:timers/promises";

import { abusers, ABUSERS, begin, CHANNELS, counts, NEIGHBOUR_EVERY_MS, neighbours, NEIGHBOURS } from "./scene.mjs";
import { number } from "./settings.mjs";

const SECONDS = number("BUDGETS_SECONDS", 15);
const ROUNDS = number("BUDGETS_ROUNDS", 3);
const TEAMS = {
  quiet: { features: ["quiet"] },
  noisy: { features: ["noisy"], cpu: "5%", instances: 8, publications: "50/s", subscriptions: 1000, dead_letters: 100 },
};

const { "bench.{room}": bench, ...rest } = CHANNELS.channels;
const flood = { scope: "authenticated", payload: { type: "string" }, inbound: { relay: "all" } };
const manifests = [
  { feature: "quiet", channels: { "bench.{room}": bench } },
  { feature: "noisy", channels: { ...rest, flood } },
];
// The breaker would pause a plugin that only loops; here it does not help.
const bad = { breaker: { faults: 1_000_000 } };
// The room hears each of these from each of its members.
const FLOODED = "x".repeat(4_000);

const row = (...cells) => console.log(cells.map((cell, index) => (index ? String(cell).padStart(12) : String(cell).padEnd(16))).join("  "));

async function scene(name, teams) {
  const server = await begin(bad, { config: (config) => ({ ...config, ...teams }), manifests });
  const clients = await neighbours(server);
  const measured = async () => {
    clients.order("measure");
    await pause(SECONDS * 1000);
    return clients.ask("report");
  };
  await pause(2000);
  const alone = await measured();
  const looping = await abusers(server, ["loop"]);
  const flooding = await abusers(server, [FLOODED], { topic: "flood" });
  // The first second of a budget may be used at once.
  await pause(2000);
  const beside = await measured();
  const told = [await looping.ask("stop"), await flooding.ask("stop")];
  const { lost, said } = await clients.ask("stop");
  await server.stop();
  const ratio = beside.p99Ms / alone.p99Ms;
  row(name, alone.p99Ms.toFixed(2), beside.p50Ms.toFixed(2), beside.p99Ms.toFixed(2), ratio.toFixed(2), lost);
  const refused = Object.fromEntries(Object.entries({ ...alone.said, ...beside.said, ...said }).filter(([outcome]) => outcome !== "ok"));
  const [loops, floods] = told.map(({ said }) => counts(said));
  console.log(`    the looping team heard ${loops}; the flooding one ${floods}; the neighbours ${counts(refused) || "no refusal"}`);
  return ratio;
}

console.log(`${NEIGHBOURS} neighbours of another team send a ping every ${NEIGHBOUR_EVERY_MS} ms; beside them ${ABUSERS} clients whose plugin loops and ${ABUSERS} that flood one room; ${SECONDS} s each\n`);
row("budgets", "alone p99", "p50 ms", "p99 ms", "p99 / alone", "lost");
const ratios = { on: [], off: [] };
for (let round = 0; round < ROUNDS; round += 1) {
  ratios.off.push(await scene("off (control)", {}));
  ratios.on.push(await scene("on", { teams: TEAMS }));
}
const middle = (values) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)];
console.log(`\np99 beside, as a multiple of alone, the middle of ${ROUNDS} rounds: ${middle(ratios.on).toFixed(2)} with budgets, ${middle(ratios.off).toFixed(2)} without`);
