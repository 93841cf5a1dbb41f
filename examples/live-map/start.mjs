// Starts everything: PostgreSQL and Redis, the application, the devices' gateway, the durable writer, two nodes of Tidegate,
// and a slow line to the second one. Ctrl-C ends all of it.
//
//   PORT=8114 DEVICES=200 HERTZ=10 BYTES_PER_SECOND=100000; DATABASE_URL, REDIS_URL, TIDEGATE_BIN

import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

import { freePort } from "@tidegate/example-start/local-server.mjs";
import { startPostgres } from "@tidegate/example-start/postgres.mjs";
import { startRedis } from "@tidegate/example-start/redis.mjs";
import { tidegate, tidegateBinary } from "@tidegate/example-start/tidegate.mjs";
import { together } from "@tidegate/example-start/together.mjs";

import { prepare } from "./cms/database.mjs";
import { PASSWORD, PEOPLE } from "./rally.mjs";

const START_TIMEOUT_MS = 60_000;
const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const CONFIG = here("realtime/config/tidegate.yaml");

// A program of the example, started when it says so. What it says afterwards is shown with its name.
async function part(name, command, env, isReady) {
  // A group of its own: Ctrl-C reaches this program first, which ends the others in order.
  const child = spawn(command[0], command.slice(1), { env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"], detached: true });
  const ended = once(child, "exit");
  const forget = () => child.kill();
  process.once("exit", forget);
  let isStopping = false;
  let late;
  const ready = new Promise((resolve, reject) => {
    late = setTimeout(() => reject(new Error(`${name} did not start`)), START_TIMEOUT_MS);
    ended.then(([code, signal]) => {
      reject(new Error(`${name} ended with ${code ?? signal}`));
      if (!isStopping) console.error(`${name} ended with ${code ?? signal}; the others go on`);
    });
    for (const output of [child.stdout, child.stderr]) {
      createInterface({ input: output }).on("line", (line) => {
        if (isReady(line)) return resolve();
        console.error(`${name.padEnd(9)} ${line}`);
      });
    }
  });
  const stop = async () => {
    isStopping = true;
    process.off("exit", forget);
    if (child.exitCode === null && child.signalCode === null) {
      child.kill("SIGTERM");
      // One that was frozen hears it when it goes on.
      child.kill("SIGCONT");
    }
    await ended;
  };
  try {
    await ready;
  } catch (error) {
    await stop();
    throw error;
  } finally {
    clearTimeout(late);
  }
  console.log(`${name.padEnd(9)} pid ${child.pid}`);
  return { stop };
}

const program = (name, file, env) => part(name, [process.execPath, here(file)], env, (line) => line.startsWith("ready"));

const node = (name, port, env) => {
  const command = [tidegateBinary(), "serve", "--config", CONFIG, "--listen", `127.0.0.1:${port}`];
  return part(`node ${name}`, command, { ...env, TIDEGATE__NODE: name, TIDEGATE__LOG__FORMAT: "human" }, (line) => line.includes("listening"));
};

// A role whose name is the name of a schema would look there first: Tidegate has a schema `tidegate` of its own.
function inPublic(url) {
  const address = new URL(url);
  address.searchParams.set("options", "-c search_path=public");
  return address.href;
}

await together(async (add) => {
  const postgres = add(await startPostgres());
  const redis = add(await startRedis());
  const database = inPublic(postgres.url);
  const store = await prepare(database, (server, application) => tidegate("schema", "outbox", "--server", server, "--application", application));
  const page = Number(process.env.PORT ?? 8114) || (await freePort());
  const [a, b, slow] = [await freePort(), await freePort(), await freePort()];
  const [application, fastUrl, slowUrl] = [page, a, slow].map((port) => `http://127.0.0.1:${port}`);
  const lineRate = Number(process.env.BYTES_PER_SECOND ?? 100_000);
  const servers = { DATABASE_URL: database, REDIS_URL: redis.url };

  add(await program("cms", "cms/server.mjs", { ...servers, PORT: page, FAST_URL: fastUrl, SLOW_URL: slowUrl, BYTES_PER_SECOND: lineRate }));
  const env = { LIVE_MAP_STORE: store, LIVE_MAP_REDIS: redis.url, LIVE_MAP_APPLICATION: application };
  execFileSync(tidegateBinary(), ["plugin", "build", "--config", CONFIG], { env: { ...process.env, ...env }, stdio: ["ignore", "ignore", "inherit"] });
  add(await node("a", a, env));
  add(await node("b", b, env));
  add(await program("line", "slow-line.mjs", { PORT: slow, TARGET_PORT: b, BYTES_PER_SECOND: lineRate }));
  add(await program("writer", "writer.mjs", servers));
  add(await program("gateway", "gateway.mjs", servers));

  console.log(`\nOpen ${application}/ and sign in with the password \`${PASSWORD}\` as`);
  for (const { email, role } of PEOPLE) console.log(`  ${email} (${role})`);
  console.log(`Tidegate: node a ${fastUrl}, node b http://127.0.0.1:${b}, by the slow line ${slowUrl}`);
});
