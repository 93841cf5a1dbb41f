// Starts everything: PostgreSQL, the application's tables, Tidegate, the application. Ctrl-C ends it.

import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { randomBytes } from "node:crypto";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

import { startPostgres } from "@tidegate/example-start/postgres.mjs";
import { startTidegate, tidegate } from "@tidegate/example-start/tidegate.mjs";
import { together } from "@tidegate/example-start/together.mjs";

import { Database } from "./app/database.mjs";
import { addPeople, PASSWORD } from "./app/people.mjs";
import { startApplication } from "./app/server.mjs";

const here = fileURLToPath(new URL(".", import.meta.url));
const PORT = 8080;

/** Secrets of this run; a deployment has its own. */
export const makeSecrets = () => ({ jwt: randomBytes(32).toString("hex"), apiKey: randomBytes(32).toString("hex"), plugin: randomBytes(32).toString("hex") });

/** The tables, and who is in them. */
export async function prepareDatabase(url) {
  const database = new Database(url);
  await database.prepare();
  await addPeople(database);
  await database.close();
}

// Whether a file of the plugin, of its SDK or of the contract was written after the component.
function isOutdated(component) {
  const built = statSync(component, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  const sources = ["plugins/team", "../../plugins/sdk/javascript", "../../wit"].flatMap((folder) =>
    readdirSync(join(here, folder), { withFileTypes: true }).filter((entry) => entry.isFile()).map(({ name }) => join(here, folder, name)));
  return sources.some((file) => file !== component && !file.endsWith(".built") && statSync(file).mtimeMs > built);
}

/**
 * The plugins for an application on `port`, `{ directory, stop }`: a plugin may reach the origins of its plugin.yaml and no
 * other, so another port needs a copy.
 */
export function preparePlugins(port) {
  if (port === PORT) return { directory: join(here, "plugins"), stop: () => {} };
  if (isOutdated(join(here, "plugins/team/team.wasm"))) tidegate("plugin", "build", join(here, "plugins/team/"));
  const directory = mkdtempSync(join(tmpdir(), "team-plugins-"));
  cpSync(join(here, "plugins"), directory, { recursive: true });
  const tests = readdirSync(join(directory, "team/tests")).map((name) => `tests/${name}`);
  for (const name of ["plugin.yaml", ...tests]) {
    const file = join(directory, "team", name);
    const text = readFileSync(file, "utf8").replaceAll(`http://127.0.0.1:${PORT}`, `http://127.0.0.1:${port}`);
    // It is built already, and the copy is not where its sources are.
    writeFileSync(file, text.replace(/^build:.*\n/m, ""));
  }
  return { directory, stop: () => rmSync(directory, { recursive: true }) };
}

export const config = join(here, "config/tidegate.yaml");

/** What Tidegate's configuration and its plugin read of the environment, for an application on `port`. */
export const environment = ({ port, plugins, databaseUrl, secrets }) => ({
  APPLICATION_ORIGIN: `http://127.0.0.1:${port}`,
  DATABASE_URL: databaseUrl,
  TIDEGATE__PLUGINS: plugins.directory,
  TIDEGATE_JWT_SECRET: secrets.jwt,
  TIDEGATE_API_KEY: secrets.apiKey,
  TEAM_PLUGIN_KEY: secrets.plugin,
});

/** Tidegate with this example's files. */
export const startRealtime = ({ listen, stderr, ...parts }) => startTidegate({ config, listen, stderr, env: environment(parts) });

async function start(add) {
  const port = Number(process.env.PORT ?? PORT);
  const secrets = makeSecrets();
  const postgres = add(await startPostgres());
  await prepareDatabase(postgres.url);
  const plugins = add(preparePlugins(port));
  const listen = process.env.LISTEN ?? "127.0.0.1:3000";
  const realtime = add(await startRealtime({ listen, port, plugins, databaseUrl: postgres.url, secrets }));
  const application = add(await startApplication({
    port,
    databaseUrl: postgres.url,
    tidegate: realtime.url,
    realtime: process.env.REALTIME === "off" ? null : realtime.url,
    secrets,
    idle_s: Number(process.env.IDLE_S ?? 30 * 60),
    absolute_s: Number(process.env.ABSOLUTE_S ?? 12 * 3600),
  }));
  console.log(`
open ${application.url}
  supervisors: nora (north), sam (south); enumerators: ali, bea (north), cem (south); office: olga
  everybody's password: ${PASSWORD}
Tidegate is at ${realtime.url}. Ctrl-C ends everything.`);
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) await together(start);
