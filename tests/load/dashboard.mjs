// What an open overview costs the server at a steady load: processor time with a page that is open in Chromium, beside
// none, in turns.

import { setTimeout as pause } from "node:timers/promises";

import { openBrowser, startWithDashboard, Visitor } from "@tidegate/kit/dashboard.mjs";
import { subscribe } from "@tidegate/kit/harness.mjs";

import { cpuSeconds } from "./cpu.mjs";
import { number } from "./settings.mjs";
import { requireTidegate } from "./tidegate-bin.mjs";

requireTidegate();

const SUBSCRIBERS = number("SUBSCRIBERS", 10);
const PUBLICATIONS_PER_SECOND = number("PUBLICATIONS_PER_SECOND", 100);
const SECONDS = number("SECONDS", 10);
const ROUNDS = number("ROUNDS", 5);
const TOPIC = "e2e.open";

const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];

const server = await startWithDashboard({ plugins: false, env: { RUST_LOG: "info" } });
const browser = await openBrowser();
let delivered = 0;
for (let at = 0; at < SUBSCRIBERS; at += 1) {
  const socket = await server.connect();
  socket.on(TOPIC, () => (delivered += 1));
  await subscribe(socket, TOPIC);
}

// Publishes steadily for so long; returns the milliseconds of processor time that the server spent a second.
async function load() {
  const began = performance.now();
  const cpu = cpuSeconds(server.process.pid);
  const before = delivered;
  for (let due = 0; due < SECONDS * PUBLICATIONS_PER_SECOND; due += 1) {
    server.publish(TOPIC, { n: due }).catch(() => {});
    await pause(Math.max(0, began + ((due + 1) * 1000) / PUBLICATIONS_PER_SECOND - performance.now()));
  }
  const seconds = (performance.now() - began) / 1000;
  return { cpuMsPerS: ((cpuSeconds(server.process.pid) - cpu) / seconds) * 1000, deliveriesPerS: (delivered - before) / seconds };
}

const visitor = await Visitor.open(browser, server);
await visitor.signIn();
const rounds = { none: [], open: [] };
await load();
for (let round = 0; round < ROUNDS; round += 1) {
  // Another site's page: nothing of the dashboard is open then.
  await visitor.page.goto("about:blank");
  rounds.none.push(await load());
  await visitor.go("/");
  await visitor.sees(visitor.page.getByRole("img", { name: /^Connections/ }));
  rounds.open.push(await load());
}
for (const [name, loads] of Object.entries(rounds)) {
  const cpu = median(loads.map(({ cpuMsPerS }) => cpuMsPerS));
  const deliveries = median(loads.map(({ deliveriesPerS }) => deliveriesPerS));
  console.log(`${name.padEnd(5)} ${cpu.toFixed(1)} ms of CPU a second, at ${deliveries.toFixed(0)} deliveries a second`);
}
const more = median(rounds.open.map(({ cpuMsPerS }, at) => cpuMsPerS - rounds.none[at].cpuMsPerS));
console.log(`an open overview: ${more.toFixed(1)} ms of CPU a second more`);
await browser.close();
await server.stop();
