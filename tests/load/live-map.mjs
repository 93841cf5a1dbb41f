// The example live-map beside the same system with socket.io: how old is what a fast and a slow reader see, and what does a
// delivery cost the server? Each has the example's gateway, database and application to itself for as long as it is measured.

import { execFileSync, fork, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";

import { requireTidegate } from "./tidegate-bin.mjs";
import { freePort } from "@tidegate/kit/free-port.mjs";
import { PostgresServer, RedisServer } from "@tidegate/kit/services.mjs";
import { prepare } from "tidegate-example-live-map/cms/database.mjs";
import { PASSWORD } from "tidegate-example-live-map/rally.mjs";

import { cpuSeconds } from "./cpu.mjs";
import { Crowd, judge, percentile } from "./crowd.mjs";
import { number } from "./settings.mjs";

requireTidegate();

const DEVICES = number("DEVICES", 200);
const HERTZ = number("HERTZ", 10);
const FAST = number("FAST", 20);
const SLOW_BYTES_PER_SECOND = number("SLOW_BYTES_PER_SECOND", 100_000);
const LEAD_SECONDS = number("LEAD_SECONDS", 10);
const SECONDS = number("SECONDS", 20);
const TOPIC = "event.lakes";
// What both send begins so.
const PATTERN = String.raw`^42\["(?<topic>[^"]+)",\{"at":(?<at>\d+),"deviceId":"(?<key>[^"]+)"`;

const of = (file) => fileURLToPath(import.meta.resolve(`tidegate-example-live-map/${file}`));
const CONFIG = of("realtime/config/tidegate.yaml");
const tidegate = (...args) => execFileSync(process.env.TIDEGATE_BIN, args, { encoding: "utf8" });

const children = [];
async function run(command, env, isReady) {
  const child = spawn(command[0], command.slice(1), { env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"] });
  children.push(child);
  const ready = new Promise((resolve, reject) => {
    child.once("exit", () => reject(new Error(`${command.join(" ")} ended`)));
    for (const output of [child.stdout, child.stderr]) createInterface({ input: output }).on("line", (line) => isReady(line) && resolve());
  });
  ready.catch(() => {});
  await ready;
  return child;
}
const program = (file, env) => run([process.execPath, of(file)], env, (line) => line.startsWith("ready"));

async function stop(child) {
  if (child.exitCode === null && child.signalCode === null) child.kill();
  if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
}

const systems = {
  async Tidegate({ redis, store, application }) {
    const port = await freePort();
    const env = { LIVE_MAP_REDIS: redis.url, LIVE_MAP_STORE: store, LIVE_MAP_APPLICATION: application, RUST_LOG: "info" };
    execFileSync(process.env.TIDEGATE_BIN, ["plugin", "build", "--config", CONFIG], { env: { ...process.env, ...env }, stdio: "ignore" });
    const command = [process.env.TIDEGATE_BIN, "serve", "--config", CONFIG, "--listen", `127.0.0.1:${port}`];
    return { child: await run(command, env, (line) => line.includes("server.listening")), url: `http://127.0.0.1:${port}` };
  },
  async "Node socket.io"({ redis, database, application }) {
    const child = fork(fileURLToPath(new URL("live-map-node.mjs", import.meta.url)), {
      env: { ...process.env, REDIS_URL: redis.url, DATABASE_URL: database, APPLICATION: application },
    });
    children.push(child);
    const [{ url }] = await once(child, "message");
    return { child, url };
  },
};

async function signIn(application) {
  const body = JSON.stringify({ email: "maya@north.example", password: PASSWORD });
  const response = await fetch(`${application}/auth/login`, { method: "POST", body });
  return response.headers.get("set-cookie").split(";")[0];
}

async function measure(start, place) {
  const { child, url } = await start(place);
  const headers = { cookie: await signIn(place.application), origin: place.application };
  const readers = { url, topics: [TOPIC], headers, pattern: PATTERN, stepUs: 1000 };
  const [fast, slow] = await Promise.all([
    Crowd.gather({ ...readers, count: FAST }),
    Crowd.gather({ ...readers, count: 1, bytesPerSecond: SLOW_BYTES_PER_SECOND }),
  ]);
  await pause(LEAD_SECONDS * 1000);
  for (const crowd of [fast, slow]) crowd.reset();
  const before = cpuSeconds(child.pid);
  await pause(SECONDS * 1000);
  const seconds = cpuSeconds(child.pid) - before;
  const reports = { fast: await fast.report(), slow: await slow.report() };
  for (const crowd of [fast, slow]) crowd.end();
  await stop(child);
  const ages = Object.fromEntries(Object.entries(reports).map(([who, all]) => [who, all.flatMap(({ received }) => received[TOPIC].agesUs)]));
  const deliveries = ages.fast.length + ages.slow.length;
  const ms = (who, share) => percentile(ages[who], share) / 1000;
  return {
    fast: [ms("fast", 0.5), ms("fast", 0.99)], slow: [ms("slow", 0.5), ms("slow", 0.99)],
    perSecond: ages.fast.length / FAST / SECONDS, slowPerSecond: ages.slow.length / SECONDS, cpuUs: (seconds / deliveries) * 1e6,
  };
}

const [redis, postgres] = await Promise.all([RedisServer.start(), PostgresServer.start()]);
const measured = {};
try {
  const address = new URL(postgres.url);
  address.searchParams.set("options", "-c search_path=public");
  const database = address.href;
  process.env.DEVICES = DEVICES;
  const store = await prepare(database, (server, owner) => tidegate("schema", "outbox", "--server", server, "--application", owner));
  const port = await freePort();
  const application = `http://127.0.0.1:${port}`;
  const servers = { REDIS_URL: redis.url, DATABASE_URL: database };
  await program("cms/server.mjs", { ...servers, PORT: port });
  await program("writer.mjs", servers);
  await program("gateway.mjs", { ...servers, HERTZ });
  console.log(`${DEVICES} devices at ${HERTZ} Hz, ${FAST} fast readers and one of ${SLOW_BYTES_PER_SECOND / 1000} KB/s; ${SECONDS} s, after ${LEAD_SECONDS} s\n`);
  console.log("| | positions/s a fast reader | the slow one | age, fast p50 | p99 | age, slow p50 | p99 | CPU µs a delivery |");
  console.log("|---|---|---|---|---|---|---|---|");
  for (const [name, start] of Object.entries(systems)) {
    if (process.env.ONLY && process.env.ONLY !== name) continue;
    const found = (measured[name] = await measure(start, { redis, store, database, application }));
    const figures = [found.perSecond, found.slowPerSecond].map(Math.round);
    const ages = [...found.fast, ...found.slow].map((age) => `${age.toFixed(0)} ms`);
    console.log(`| ${[name, ...figures, ...ages, found.cpuUs.toFixed(1)].join(" | ")} |`);
  }
} finally {
  for (const child of children) await stop(child);
  await Promise.all([redis.stop(), postgres.stop()]);
}

if (process.env.ONLY) process.exit(0);
const { Tidegate: ours, "Node socket.io": node } = measured;
const fresher = node.slow[0] / ours.slow[0];
const cost = ours.cpuUs / node.cpuUs;
console.log();
const good = judge([
  { what: "fresher for the slow reader, p50", measured: `${fresher.toFixed(1)} times`, aim: "20 times", met: fresher >= 20 },
  { what: "server CPU a delivery, of Node's", measured: cost.toFixed(2), aim: "0.5", met: cost <= 0.5 },
]);
process.exit(good ? 0 : 1);
