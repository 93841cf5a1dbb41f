// A PostgreSQL for an example: the one of DATABASE_URL, else a fresh one that ends with the example.

import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";

import { asNobody, findProgram, freePort, runServer, temporaryDirectory } from "./local-server.mjs";

const run = promisify(execFile);

// Debian keeps the servers of each version in a folder of its own; the newest comes first.
const DEBIAN = "/usr/lib/postgresql";
const folders = existsSync(DEBIAN)
  ? readdirSync(DEBIAN).sort((a, b) => b.localeCompare(a, undefined, { numeric: true })).map((version) => join(DEBIAN, version, "bin"))
  : [];
const program = (name) => findProgram(name, { variable: "DATABASE_URL", packageName: "postgresql", folders });

/** `{ url, isLocal, stop }`; the role of a local server's `url` may do everything. */
export async function startPostgres(url = process.env.DATABASE_URL) {
  if (url) return { url, isLocal: false, stop: async () => {} };
  const [initdb, postgres] = [program("initdb"), program("postgres")];
  const directory = temporaryDirectory("example-postgres");
  const password = randomBytes(16).toString("hex");
  writeFileSync(join(directory, "password"), password);
  const make = ["-D", "data", "-U", "postgres", "--pwfile=password", "-A", "scram-sha-256", "-E", "UTF8", "--locale=C", "--no-sync"];
  await run(initdb, make, { cwd: directory, ...asNobody() });
  const data = join(directory, "data");
  const port = await freePort();
  const settings = ["listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off", "max_connections=50"];
  // The eighth line of this file says `ready`, as `pg_ctl` reads it.
  const isReady = () => {
    const file = join(data, "postmaster.pid");
    return existsSync(file) && readFileSync(file, "utf8").split("\n")[7]?.trim() === "ready";
  };
  const args = ["-D", data, "-p", String(port), ...settings.flatMap((setting) => ["-c", setting])];
  const { stop } = await runServer({ name: "PostgreSQL", program: postgres, args, directory, isReady, signal: "SIGINT" });
  return { url: `postgres://postgres:${password}@127.0.0.1:${port}/postgres`, isLocal: true, stop };
}
