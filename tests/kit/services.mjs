// Real servers for tests, never mocks of them: Redis, NATS and PostgreSQL, each on a free port of 127.0.0.1, in a temporary
// directory, with a password. The verbs resolve once they have happened. `stop()` ends one for good.

import { execFile, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import {
  accessSync, chownSync, closeSync, constants, cpSync, existsSync, mkdirSync, mkdtempSync, openSync, readdirSync, readFileSync, renameSync, rmSync,
  writeFileSync,
} from "node:fs";
import { connect } from "node:net";
import { homedir, tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";

import { freePort } from "./free-port.mjs";
import { repository, target } from "./paths.mjs";

const run = promisify(execFile);

// Longer than any server takes to start or to end on a busy machine.
const PATIENCE_MS = 60_000;
const LOOK_INTERVAL_MS = 10;

async function until(what, happened) {
  const started = Date.now();
  for (;;) {
    const value = await happened();
    if (value) return value;
    if (Date.now() - started > PATIENCE_MS) throw new Error(`${what}: nothing for ${PATIENCE_MS} ms`);
    await sleep(LOOK_INTERVAL_MS);
  }
}

// Servers refuse the rights of root: root becomes nobody.
function nobody() {
  if (process.getuid() !== 0) return {};
  const line = readFileSync("/etc/passwd", "utf8").split("\n").find((line) => line.startsWith("nobody:"));
  const [uid, gid] = line.split(":").slice(2, 4).map(Number);
  return { uid, gid };
}

function giveAway(path) {
  const { uid, gid } = nobody();
  if (uid !== undefined) execFileSync("chown", ["-R", `${uid}:${gid}`, path]);
}

function directoryFor(what) {
  const directory = mkdtempSync(join(tmpdir(), `tidegate-${what}-`));
  const { uid, gid } = nobody();
  if (uid !== undefined) chownSync(directory, uid, gid);
  return directory;
}

// Where a program is: on the path, or where distributions hide it.
export function program(name, packageName, elsewhere = []) {
  for (const folder of [...process.env.PATH.split(delimiter), ...elsewhere]) {
    try {
      accessSync(join(folder, name), constants.X_OK);
      return join(folder, name);
    } catch {
      // Not here.
    }
  }
  throw new Error(`\`${name}\` is not installed\nhint: \`tests/run.sh e2e\` installs it, or: apt-get install ${packageName}`);
}

// The state and the parent of a process.
function stat(pid) {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8");
    // After the name, which may hold anything.
    const [state, parent] = text.slice(text.lastIndexOf(") ") + 2).split(" ");
    return { state, parent: Number(parent) };
  } catch {
    return undefined;
  }
}

const childrenOf = (parent) =>
  readdirSync("/proc").filter((name) => /^\d+$/.test(name)).map(Number).filter((pid) => stat(pid)?.parent === parent);

// One that ended and whose parent has not asked yet is not alive.
const isAlive = (pid) => ![undefined, "Z", "X"].includes(stat(pid)?.state);

function send(pid, signal) {
  try {
    process.kill(pid, signal);
  } catch (error) {
    // It may have ended already.
    if (error.code !== "ESRCH") throw error;
  }
}

export class Service {
  process;
  port;

  // Of each kind: `what`, `command()` (program and arguments) and `ready()`, whether it answers.

  constructor(what) {
    this.what = what;
    this.directory = directoryFor(what);
  }

  async begin() {
    // Between asking for a free port and listening on it, another may take it.
    for (let attempt = 0; attempt < 5; attempt += 1) {
      this.port = await freePort();
      if (await this.listen()) return this;
    }
    throw new Error(`${this.what} found no port\n${this.log()}`);
  }

  async listen() {
    const output = openSync(join(this.directory, "log"), "a");
    const [file, ...args] = this.command();
    const options = { cwd: this.directory, env: { ...process.env, LC_ALL: "C" }, stdio: ["ignore", output, output], ...this.rights() };
    this.process = spawn(file, args, options);
    closeSync(output);
    await once(this.process, "spawn");
    const child = this.process;
    this.exited = once(child, "exit");
    const ended = () => child.exitCode !== null || child.signalCode !== null;
    await until(`${this.what} starts`, async () => ended() || (await this.ready()));
    return !ended();
  }

  // Whose rights it runs with.
  rights() {
    return nobody();
  }

  log() {
    return existsSync(join(this.directory, "log")) ? readFileSync(join(this.directory, "log"), "utf8") : "";
  }

  // It answers nothing, and its connections stay.
  freeze() {
    // First itself: what does not run makes no more children.
    for (const pid of [() => [this.process.pid], () => childrenOf(this.process.pid)]) pid().forEach((one) => send(one, "SIGSTOP"));
  }

  // It goes on.
  thaw() {
    for (const pid of [...childrenOf(this.process.pid), this.process.pid]) send(pid, "SIGCONT");
  }

  // SIGKILL, with every process of its own.
  async kill() {
    if (!this.process) return;
    this.freeze();
    const all = [...childrenOf(this.process.pid), this.process.pid];
    for (const pid of all) send(pid, "SIGKILL");
    await this.exited;
    // They hold the memory that the next one of the same directory would share.
    await until(`${this.what} ends`, () => !all.some(isAlive));
    this.process = undefined;
  }

  // Ends it in order, unless it was killed, and starts it again on the same port.
  async restart() {
    if (this.process) {
      this.thaw();
      send(this.process.pid, this.ending);
      await this.exited;
    }
    if (!(await this.listen())) throw new Error(`${this.what} does not start again\n${this.log()}`);
  }

  // For good.
  async stop() {
    await this.kill();
    rmSync(this.directory, { recursive: true, force: true });
  }
}

const REDIS_PASSWORD = "a-redis-password";

export class RedisServer extends Service {
  ending = "SIGTERM";

  // One that forgets everything when it ends; with `persistent` one that keeps every write that it answered.
  static async start({ persistent = false } = {}) {
    const server = new RedisServer("redis");
    server.persistent = persistent;
    return await server.begin();
  }

  command() {
    return [
      program("redis-server", "redis-server"), "--bind", "127.0.0.1", "--port", String(this.port), "--requirepass", REDIS_PASSWORD,
      "--save", "", "--daemonize", "no", "--dir", this.directory,
      "--appendonly", this.persistent ? "yes" : "no", "--appendfsync", this.persistent ? "always" : "no",
    ];
  }

  ready() {
    return new Promise((resolve) => {
      const socket = connect(this.port, "127.0.0.1", () => socket.write(`AUTH ${REDIS_PASSWORD}\r\nPING\r\n`));
      let answer = "";
      socket.on("data", (data) => {
        answer += data;
        if (answer.split("\r\n").length > 2) socket.end();
      });
      socket.on("error", () => resolve(false));
      socket.on("close", () => resolve(answer === "+OK\r\n+PONG\r\n"));
    });
  }

  get url() {
    return `redis://default:${REDIS_PASSWORD}@127.0.0.1:${this.port}`;
  }
}

const NATS_USER = "tidegate";
const NATS_PASSWORD = "a-nats-password";
// Where `tests/run.sh` puts the program, of the version that it installs.
const NATS_FOLDER = join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "tidegate/nats-server-2.15.1/bin");

// With JetStream, if nothing else is said.
export class NatsServer extends Service {
  ending = "SIGTERM";

  // One that forgets everything when it ends; with `persistent` one that keeps every write that it answered. Its user may not
  // publish to the subjects of `deny`.
  static async start({ persistent = false, jetStream = true, deny = [] } = {}) {
    const server = new NatsServer("nats");
    Object.assign(server, { persistent, jetStream, deny });
    return await server.begin();
  }

  command() {
    const store = join(this.directory, "jetstream");
    if (!this.persistent) rmSync(store, { recursive: true, force: true });
    const settings = join(this.directory, "nats.conf");
    writeFileSync(settings, [
      `listen: "127.0.0.1:${this.port}"`,
      `authorization { users: [{
        user: ${NATS_USER}, password: "${NATS_PASSWORD}", permissions: { publish: { deny: ${JSON.stringify(this.deny)} } }
      }] }`,
      this.jetStream ? `jetstream { store_dir: ${JSON.stringify(store)}, ${this.persistent ? "sync_interval: always" : ""} }` : "",
    ].join("\n"));
    return [program("nats-server", "nats-server", [NATS_FOLDER]), "-c", settings];
  }

  // It does not mind the rights of root, and its program may lie where nobody else may read.
  rights() {
    return {};
  }

  ready() {
    return new Promise((resolve) => {
      const hello = JSON.stringify({ verbose: false, user: NATS_USER, pass: NATS_PASSWORD });
      const socket = connect(this.port, "127.0.0.1", () => socket.write(`CONNECT ${hello}\r\nPING\r\n`));
      let answer = "";
      socket.on("data", (data) => {
        answer += data;
        if (answer.endsWith("PONG\r\n")) socket.end();
      });
      socket.on("error", () => resolve(false));
      socket.on("close", () => resolve(answer.endsWith("PONG\r\n")));
    });
  }

  get url() {
    return `nats://${NATS_USER}:${NATS_PASSWORD}@127.0.0.1:${this.port}`;
  }
}

const POSTGRES_USER = "tidegate";
const POSTGRES_PASSWORD = "a-postgres-password";

// Debian keeps the programs of each version apart, off the path.
function postgresProgram(name) {
  const root = "/usr/lib/postgresql";
  const versions = existsSync(root) ? readdirSync(root).sort((a, b) => Number(b) - Number(a)) : [];
  return program(name, "postgresql", versions.map((version) => join(root, version, "bin")));
}

// A fresh cluster, made once for all tests of this target directory: `initdb` takes a second or more.
async function postgresTemplate() {
  const { stdout } = await run(postgresProgram("initdb"), ["--version"]);
  const template = join(target, "tmp", `postgres-${stdout.trim().split(" ")[2]}-template`);
  if (existsSync(template)) return template;
  const made = directoryFor("initdb");
  writeFileSync(join(made, "password"), POSTGRES_PASSWORD);
  giveAway(made);
  // A small log: a copy is quick.
  const args = ["-D", "data", "-U", POSTGRES_USER, "--pwfile=password", "-A", "scram-sha-256", "-E", "UTF8", "--locale=C"];
  await run(postgresProgram("initdb"), [...args, "--wal-segsize=1", "--no-sync", "--no-instructions"], { cwd: made, ...nobody() });
  // In one step: other tests look for it at the same time, and one of them comes first.
  mkdirSync(join(target, "tmp"), { recursive: true });
  const aside = `${template}.${process.pid}`;
  cpSync(join(made, "data"), aside, { recursive: true });
  try {
    renameSync(aside, template);
  } catch {
    rmSync(aside, { recursive: true });
  }
  rmSync(made, { recursive: true });
  return template;
}

// Keeps what it committed, killed or not, and would not survive the loss of the machine.
export class PostgresServer extends Service {
  ending = "SIGINT";

  // With an empty database `tidegate`. With `tls` it lets nobody in who does not speak TLS; its certificate is for
  // `localhost`, signed by nobody else.
  static async start({ tls = false } = {}) {
    const template = await postgresTemplate();
    const server = new PostgresServer("postgres");
    server.data = join(server.directory, "data");
    server.tls = tls;
    cpSync(template, server.data, { recursive: true });
    if (tls) server.#layTls();
    execFileSync("chmod", ["700", server.data]);
    giveAway(server.data);
    await server.begin();
    await server.sql("create database tidegate", "postgres");
    return server;
  }

  // What the server of the tests shows who it is with.
  static certificate = join(repository, "host/testkit/tls/localhost.crt");

  #layTls() {
    for (const name of ["localhost.crt", "localhost.key"]) {
      writeFileSync(join(this.data, name), readFileSync(join(repository, "host/testkit/tls", name)), { mode: 0o600 });
    }
    const access = join(this.data, "pg_hba.conf");
    writeFileSync(access, readFileSync(access, "utf8").replaceAll(/^host /gm, "hostssl "));
  }

  command() {
    // One that was killed left it behind.
    rmSync(join(this.data, "postmaster.pid"), { force: true });
    // What was committed is with the operating system: it outlives the process.
    const settings = [
      "listen_addresses=127.0.0.1", "unix_socket_directories=", "shared_buffers=16MB", "fsync=off", "full_page_writes=off",
      "log_min_messages=fatal",
      ...(this.tls ? ["ssl=on", "ssl_cert_file=localhost.crt", "ssl_key_file=localhost.key"] : []),
    ];
    return [postgresProgram("postgres"), "-D", this.data, "-p", String(this.port), ...settings.flatMap((setting) => ["-c", setting])];
  }

  // As `pg_ctl` finds out: the eighth line says so.
  ready() {
    try {
      return readFileSync(join(this.data, "postmaster.pid"), "utf8").split("\n")[7]?.trim() === "ready";
    } catch {
      return false;
    }
  }

  // A superuser's.
  get url() {
    return this.urlOf("tidegate");
  }

  urlOf(database) {
    return `postgres://${POSTGRES_USER}:${POSTGRES_PASSWORD}@127.0.0.1:${this.port}/${database}`;
  }

  // What `psql` prints for statements, a row a line and its columns separated by `|`; fails when one does.
  async sql(statements, database = "tidegate") {
    const args = ["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", this.urlOf(database), "-c", statements];
    const { stdout } = await run(postgresProgram("psql"), args, { maxBuffer: 64 << 20 });
    return stdout.trimEnd();
  }
}
