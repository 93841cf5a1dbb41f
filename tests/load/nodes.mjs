// Three nodes on a Redis, or with BROKER=nats on a NATS, under a steady load, one fault after the other, and what an oracle that knows every accepted
// publication says: FAULT_SECONDS (10) each. With FEED=streams no node is published to, and no broker is between them: each
// reads a stream that producers add to. With OTHER_BIN, the binary of another version, every second node runs that one, and
// the nodes are rolled to this version and back to the other one as well. With KEPT=yes the channels have history, retained
// values and presence, and the oracle asks for these, too.

import { existsSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";

import { target } from "@tidegate/kit/paths.mjs";
import { number } from "./settings.mjs";

const release = join(target, "release", "tidegate");
if (!process.env.TIDEGATE_BIN && existsSync(release)) process.env.TIDEGATE_BIN = release;
// Read after TIDEGATE_BIN is set.
const { Cluster, KEPT, Load } = await import("@tidegate/kit/cluster.mjs");
const { fedByStream, StreamFeed } = await import("@tidegate/kit/feeds.mjs");

const FAULT_MS = number("FAULT_SECONDS", 10) * 1000;
const NODES = number("NODES", 3);
const SUBSCRIBERS = number("SUBSCRIBERS", 4);
const TOPICS = number("TOPICS", 4);
const PER_SECOND = number("PER_SECOND", 20);

const SHOWN_MAX = 10;

const killed = async ({ broker }) => {
  await broker.kill();
  await pause(FAULT_MS);
  await broker.restart();
};

const IS_FED = process.env.FEED === "streams";
const IS_KEPT = process.env.KEPT === "yes";
if (process.env.FEED && !IS_FED) throw new Error("FEED: nothing, or streams");
const BROKER = { redis: "Redis", nats: "NATS" }[process.env.BROKER ?? "redis"];
if (!BROKER) throw new Error("BROKER: redis, or nats");

const faults = {
  "none": () => pause(FAULT_MS),
  [`${BROKER} killed, without data`]: killed,
  [`${BROKER} killed, with data`]: killed,
  [`${BROKER} frozen`]: async ({ broker }) => {
    broker.freeze();
    await pause(FAULT_MS);
    broker.thaw();
  },
  "links cut every second": async (cluster) => {
    for (let elapsed = 0; elapsed < FAULT_MS; elapsed += 1000) {
      await cluster.cutLinks();
      await pause(1000);
    }
  },
  "node rolled": (cluster) => cluster.restartNode(1, { signal: "SIGTERM" }),
  "node killed": (cluster) => cluster.restartNode(1, { killedMs: FAULT_MS }),
};

const OTHER_BIN = process.env.OTHER_BIN;
const programs = Array.from({ length: NODES }, (_, index) => (index % 2 ? undefined : OTHER_BIN));
const rolled = (programOf) => async (cluster) => {
  for (const index of cluster.nodes.keys()) {
    await cluster.restartNode(index, { signal: "SIGTERM", program: programOf(index) });
    await cluster.ready();
    await pause(FAULT_MS / NODES);
  }
};
if (OTHER_BIN) {
  faults["all rolled to this version"] = rolled(() => undefined);
  faults["all rolled to the other"] = rolled(() => OTHER_BIN);
}

const only = process.env.FAULTS?.split(",");
const columns = ["published", "accepted", "owed", "received", "recovered", "toldOfGap", "gaps", "longestRefusedMs", "violations"];
const row = (...cells) => console.log(cells.map((cell, index) => (index ? String(cell).padStart(17) : String(cell).padEnd(28))).join(""));

const source = IS_FED ? "a topic, by a stream," : "a node and topic,";
console.log(`${NODES} nodes on ${BROKER}, ${SUBSCRIBERS} subscribers of ${TOPICS} topics on each, ${PER_SECOND} publications/s ${source} faults of ${FAULT_MS / 1000} s\n`);
row("fault", ...columns);
let failed = false;
for (const [what, fault] of Object.entries(faults)) {
  if (only && !only.some((word) => what.includes(word))) continue;
  const fed = IS_FED ? { config: fedByStream() } : {};
  const cluster = await Cluster.start({ broker: BROKER, nodes: NODES, persistent: what.endsWith("with data"), programs, ...fed, ...(IS_KEPT ? { channels: KEPT } : {}) });
  const feed = IS_FED ? new StreamFeed(cluster.redis) : undefined;
  if (IS_FED) await Promise.all(cluster.nodes.map((node) => node.printed("bus.back")));
  const load = await Load.start(cluster, { topics: TOPICS, subscribers: SUBSCRIBERS, perSecond: PER_SECOND, feed, kept: IS_KEPT });
  await pause(2000);
  await fault(cluster);
  await cluster.ready();
  await pause(2000);
  const figures = await load.end();
  row(what, ...columns.map((column) => (column === "violations" ? figures.violations.length : figures[column])));
  figures.violations.slice(0, SHOWN_MAX).forEach((violation) => console.log(`  ${violation}`));
  failed ||= figures.violations.length > 0;
  feed?.close();
  await cluster.stop();
}
process.exit(failed ? 1 : 0);
