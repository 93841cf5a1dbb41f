// The scene of abuse: a release server with `ping`, which behaves, and `bad`, which does not; neighbours who talk to the
// one, abusers who talk to the other.

import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { fork } from "node:child_process";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { cargoBuild } from "@tidegate/kit/guest.mjs";
import { Server, token } from "@tidegate/kit/harness.mjs";
import { repository } from "@tidegate/kit/paths.mjs";
import { requireTidegate } from "./tidegate-bin.mjs";

requireTidegate();
export { Server, token };

export const NEIGHBOURS = 20;
export const NEIGHBOUR_EVERY_MS = 50;
export const ABUSERS = 16;

const BAD = {
  component: "bad.wasm",
  grants: { emit: ["granted"], publish: ["granted.*"] },
};

export const CHANNELS = {
  feature: "load",
  channels: {
    "bench.{room}": {
      scope: "authenticated",
      payload: { type: "object", required: ["pong"], properties: { pong: { type: "integer" } } },
      inbound: { payload: { type: "object", required: ["n"], properties: { n: { type: "integer" } } }, handler: "ping" },
    },
    "abuse.{room}": { scope: "authenticated", payload: {}, inbound: { payload: true, handler: "bad" } },
    granted: { scope: "public", payload: {} },
  },
};

// `manifest` changes the bad plugin's `plugin.yaml`. Both plugins have the limits and the breaker a plugin has by itself.
// `config` changes the configuration, and `manifests` are the channels.
export async function begin(manifest = {}, { config, manifests = [CHANNELS] } = {}) {
  const scratch = mkdtempSync(join(tmpdir(), "tidegate-load-"));
  mkdirSync(join(scratch, "bad"));
  writeFileSync(join(scratch, "bad/plugin.yaml"), JSON.stringify({ ...BAD, ...manifest }));
  copyFileSync(cargoBuild(join(repository, "tests/plugins/guests/bad"), "bad"), join(scratch, "bad/bad.wasm"));
  const server = await Server.start({ config });
  await server.reload(() => renameSync(join(scratch, "bad"), join(server.directory, "plugins/bad")));
  await server.reload(() => server.write("plugins/ping/plugin.yaml", readFileSync(join(repository, "plugins/ping/plugin.yaml"), "utf8")));
  for (const manifest of manifests) {
    await server.reload(() => server.write(`channels/${manifest.feature}.yaml`, JSON.stringify(manifest)));
  }
  rmSync(scratch, { recursive: true });
  return server;
}

const here = (file) => fileURLToPath(new URL(file, import.meta.url));

async function start(file, setting) {
  const child = fork(here(file), [JSON.stringify(setting)]);
  await once(child, "message");
  return {
    order: (word) => child.send(word),
    // Sends an order that is answered.
    async ask(word) {
      const answer = once(child, "message");
      child.send(word);
      return (await answer)[0];
    },
  };
}

const tokens = (who, count) => Array.from({ length: count }, (_, index) => token(`${who}${index}`));

export const neighbours = (server) =>
  start("neighbours.mjs", { url: server.url, tokens: tokens("n", NEIGHBOURS), everyMs: NEIGHBOUR_EVERY_MS });

export const abusers = (server, deeds, more = {}) =>
  start("abuser.mjs", { url: server.url, tokens: tokens("a", ABUSERS), deeds, ...more });

export const residentMiB = (server) =>
  Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${server.process.pid}/status`, "utf8"))[1]) / 1024;

export const counts = (said) =>
  Object.entries(said).sort(([, a], [, b]) => b - a).map(([name, count]) => `${count} ${name}`).join(", ");
