// One abuse after the other, and what clients of the plugin beside it notice.

import { setTimeout as pause } from "node:timers/promises";
import { join } from "node:path";
import { readFileSync } from "node:fs";

import { coreModule, slowToCompile } from "@tidegate/kit/odd-components.mjs";
import { abusers, ABUSERS, begin, counts, NEIGHBOUR_EVERY_MS, neighbours, NEIGHBOURS, residentMiB } from "./scene.mjs";

const SECONDS = Number(process.env.ABUSE_SECONDS ?? 20);
const DEEDS = [
  "well", "loop", "sleep", "memory", "recursion", "panic", "exit", "huge", "large", "million-effects", "effects",
  "garbage", "not-utf8", "not-granted-emit", "log", "print",
];
const MEGABYTES = 1 << 20;

const row = (...cells) => console.log(cells.map((cell, index) => (index ? String(cell).padStart(12) : String(cell).padEnd(26))).join("  "));

// Measures the neighbours while something goes on.
async function measured(server, clients, goesOn) {
  clients.order("measure");
  let [going, most] = [true, residentMiB(server)];
  const watching = (async () => {
    while (going) {
      most = Math.max(most, residentMiB(server));
      await pause(20);
    }
  })();
  await goesOn();
  going = false;
  await watching;
  return { ...(await clients.ask("report")), mostMiB: most };
}

console.log(`${NEIGHBOURS} neighbours send a ping every ${NEIGHBOUR_EVERY_MS} ms; ${ABUSERS} abusers beside them, each always with a message under way; ${SECONDS} s each\n`);
row("beside", "p50 ms", "p99 ms", "p99 / alone", "server MiB", "lost");

async function scene(name, manifest, goesOn) {
  const server = await begin(manifest);
  const clients = await neighbours(server);
  await pause(2000);
  const alone = await measured(server, clients, () => pause(SECONDS * 1000));
  let told = "";
  const beside = await measured(server, clients, async () => (told = await goesOn(server)));
  const { lost, said } = await clients.ask("stop");
  await server.stop();
  const refused = Object.entries({ ...alone.said, ...beside.said, ...said }).filter(([name]) => name !== "ok");
  row(name, beside.p50Ms.toFixed(2), beside.p99Ms.toFixed(2), (beside.p99Ms / alone.p99Ms).toFixed(2), Math.round(beside.mostMiB), lost);
  console.log(`    ${told}${refused.length ? `; the neighbours heard ${counts(Object.fromEntries(refused))}` : ""}`);
  return beside.p99Ms / alone.p99Ms;
}

async function misbehaving(server, deed) {
  const bad = await abusers(server, [deed]);
  await pause(SECONDS * 1000);
  return `the abusers heard ${counts((await bad.ask("stop")).said)}`;
}

// A file in the bad plugin's place; the server must refuse it while the neighbours talk.
async function file(server, content) {
  const path = "plugins/bad/bad.wasm";
  const until = performance.now() + SECONDS * 1000;
  const good = readFileSync(join(server.directory, path));
  let refused = 0;
  while (performance.now() < until) {
    const [rejected, bytes] = [server.logged("reload.rejected", 120_000), content(good)];
    server.write(path, bytes);
    await rejected;
    refused += 1;
    await server.reload(() => server.write(path, good), "reload.reverted");
  }
  return `refused ${refused} times`;
}

const only = process.argv.slice(2);
const asked = (name) => only.length === 0 || only.includes(name);

for (const deed of DEEDS) if (asked(deed)) await scene(deed, {}, (server) => misbehaving(server, deed));
// The breaker keeps a faulting plugin from being called; without it, every message is a fault.
for (const deed of ["loop", "memory", "panic", "recursion"]) {
  const name = `${deed}, no breaker`;
  if (asked(name)) await scene(name, { breaker: { faults: 1_000_000 } }, (server) => misbehaving(server, deed));
}
const FILES = {
  "half a component": (good) => good.subarray(0, good.length / 2),
  "a core module": coreModule,
  "100 MB of zeros": () => Buffer.alloc(100 * MEGABYTES),
  "a slow compile": () => slowToCompile(2000),
};
for (const [name, content] of Object.entries(FILES)) if (asked(name)) await scene(name, {}, (server) => file(server, content));
