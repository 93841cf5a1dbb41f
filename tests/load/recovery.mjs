// Recovery torture: random schedules of cuts, publications, revocations and restarts against clients that recover by
// themselves, and an oracle that knows every publication. The same schedules are played against Node's socket.io, to
// compare.
//
//   node recovery.mjs --seed 1 --count 1000        --only 17: one schedule, with everything that the page noted
//                                                  --verbose: so of every schedule that fails
//                                                  --against tidegate,node  --at-once 12

import { existsSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";

import { target } from "@tidegate/kit/paths.mjs";

process.env.TIDEGATE_BIN ??= [join(target, "debug", "tidegate"), join(target, "release", "tidegate")].find(existsSync);
// Read after TIDEGATE_BIN is set.
const { play } = await import("./recovery/play.mjs");
const { schedule } = await import("./recovery/schedule.mjs");
const { NodeWorld, TidegateWorld } = await import("./recovery/worlds.mjs");

const { values } = parseArgs({
  options: {
    seed: { type: "string", default: "1" },
    count: { type: "string", default: "1000" },
    only: { type: "string" },
    against: { type: "string", default: "tidegate,node" },
    "at-once": { type: "string", default: "12" },
    verbose: { type: "boolean", default: false },
  },
});
const SEED = Number(values.seed);
const KINDS = { tidegate: TidegateWorld, node: NodeWorld };
const numbers = values.only ? values.only.split(",").map(Number) : Array.from({ length: Number(values.count) }, (_, at) => at + 1);

// Plays all schedules in the worlds of one kind.
async function playAll(name) {
  const Kind = KINDS[name];
  const shared = new Map();
  const results = [];
  const one = async (number) => {
    const plan = schedule(SEED, number);
    if (Kind.lacks(plan.world)) return;
    if (!shared.has(plan.world)) shared.set(plan.world, Kind.start(plan.world));
    const standing = await shared.get(plan.world);
    const world = standing.isOwn ? await Kind.start(plan.world) : standing;
    world.isControl = name === "node";
    const result = await play(plan, world);
    if (world !== standing) await world.stop();
    results.push(result);
    // What the control does wrong is counted.
    if (world.isControl && !values.only) return;
    if (values.only || (values.verbose && result.violations.length > 0)) show(plan, result);
    else if (result.violations.length > 0) showViolations(plan, result);
  };
  const left = [...numbers];
  const player = async () => {
    while (left.length > 0) await one(left.shift());
  };
  await Promise.all(Array.from({ length: Number(values["at-once"]) }, player));
  for (const world of await Promise.all(shared.values())) await world.stop();
  return results;
}

function showViolations(plan, { violations }) {
  const { number, steps, ...more } = plan;
  console.log(`schedule ${number} fails; alone: npm run recovery -- --seed ${SEED} --only ${number}`);
  violations.forEach(({ kind, text }) => console.log(`  ${kind}: ${text}`));
  console.log(`  ${JSON.stringify(more)}`);
  steps.forEach((step) => console.log(`  ${JSON.stringify(step)}`));
}

function show(plan, result) {
  showViolations(plan, result);
  const noted = result.log.map(({ at, ...entry }) => [at, entry]);
  const deeds = result.deeds.map(({ from, ...deed }) => [from, { deed }]);
  const sent = result.publications.map(({ from, topic, n, isTaken, position }) => [from, { sent: `${topic} ${n}`, isTaken, ...position }]);
  for (const [at, entry] of [...noted, ...deeds, ...sent].sort(([a], [b]) => a - b)) console.log(`  ${at.toFixed(1)} ${JSON.stringify(entry)}`);
}

const VIOLATIONS = ["lost untold", "twice or out of order", "to who may not", "session lost without a reason", "stuck", "unknown"];

const tables = {};
let failed = false;
for (const name of values.against.split(",")) {
  const began = performance.now();
  const results = await playAll(name);
  const sum = (figure) => results.reduce((total, one) => total + figure(one), 0);
  const violations = results.flatMap((one) => one.violations);
  tables[name] = {
    schedules: results.length,
    publications: sum((one) => one.publications.length),
    comebacks: sum((one) => one.comebacks),
    "with the session": sum((one) => one.recovered),
    "with a new one": sum((one) => one.renewed),
    ...Object.fromEntries(VIOLATIONS.map((kind) => [kind, violations.filter((one) => one.kind === kind).length])),
    "schedules with a violation": results.filter((one) => one.violations.length > 0).length,
    seconds: Math.round((performance.now() - began) / 1000),
  };
  failed ||= name === "tidegate" && violations.length > 0;
}
console.log(`\nseed ${SEED}`);
const columns = Object.keys(tables);
console.log(`| | ${columns.join(" | ")} |\n|---|${columns.map(() => "---|").join("")}`);
for (const row of Object.keys(tables[columns[0]])) console.log(`| ${row} | ${columns.map((name) => tables[name][row]).join(" | ")} |`);
process.exit(failed ? 1 : 0);
