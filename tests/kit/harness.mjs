// Starts the real binary on a copy of the shipped files, and connects stock clients to it.

import { spawn } from "node:child_process";
import { createHmac } from "node:crypto";
import { EventEmitter, once } from "node:events";
import { cpSync, existsSync, mkdtempSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";

import { io } from "socket.io-client";

import { freePort } from "./free-port.mjs";
import { binary, components, pluginCache, repository } from "./paths.mjs";
import { within as inTime } from "./within.mjs";

export { io };

export const SECRET = "an e2e secret, long enough for HMAC with SHA-512: 0123456789abcdef0123456789abcdef";
export const KEYS = {
  backend: "e2e-backend-key-0123456789abcdef",
  operator: "e2e-operator-key-0123456789abcdef",
};
export const TRANSPORTS = ["websocket", "polling"];

// Longer than anything takes; a test that runs into it has found a hang.
const PATIENCE_MS = 20_000;

const CHANNELS = `
feature: e2e
channels:
  e2e.open:
    scope: public
    payload: {}
    inbound: { relay: all }
  e2e.room.{room}:
    scope: authenticated
    payload: { type: object, required: [n], properties: { n: { type: integer } } }
    inbound: { relay: others }
  e2e.inbox.{userId}:
    scope: { user: userId }
    payload: { type: object, required: [text], properties: { text: { type: string } } }
  e2e.editors:
    scope: { role: editor }
    payload: {}
  e2e.slow:
    scope: public
    payload: { type: object, required: [n], properties: { n: { type: integer } } }
    inbound: { relay: all, rate: 3/m }
`;

const BRIDGE = `
rules:
  - on: order.shipped
    to: e2e.inbox.{userId}
    params: { userId: event.data.customer }
    payload: '{"text": "shipped " + event.data.order}'
  - on: sensor.*
    when: event.data.n >= 0
    to: e2e.room.{room}
    params: { room: event.data.room }
`;

function configuration(changes) {
  const config = {
    listen: "127.0.0.1:0",
    channels: "../channels",
    plugins: "../plugins",
    bridge: "bridge.yaml",
    auth: {
      anonymous: "allow",
      origins: ["https://app.example.com"],
      cookie: "session",
      providers: [{ jwt: { algorithm: "HS256", secret: "${TIDEGATE_JWT_SECRET}", user: "sub", roles: "roles" } }],
    },
    api_keys: [
      { name: "backend", key: KEYS.backend, may: ["publish", "events"] },
      { name: "operator", key: KEYS.operator, may: ["operate"] },
    ],
    limits: { drain_timeout: "5s" },
    plugin_cache: pluginCache,
  };
  // JSON is YAML.
  return JSON.stringify(changes?.(config) ?? config, null, 2);
}

// A session token as an identity provider would make it.
export function token(user, claims = {}, { secret = SECRET, alg = "HS256" } = {}) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const head = `${part({ alg, typ: "JWT" })}.${part({ sub: user, exp: now() + 3600, ...claims })}`;
  if (alg === "none") return `${head}.`;
  return `${head}.${createHmac("sha256", secret).update(head).digest("base64url")}`;
}

export const now = () => Math.floor(Date.now() / 1000);

// What a promise comes to, or an error that says what did not happen.
export const within = (what, promise, ms = PATIENCE_MS) => inTime(what, promise, ms);

// Asks again and again until the answer is a yes, and returns it.
export async function until(what, asked, ms = PATIENCE_MS) {
  let isLate = false;
  const asks = async () => {
    while (!isLate) {
      const answer = await asked();
      if (answer) return answer;
      await pause(20);
    }
  };
  return await within(what, asks(), ms).finally(() => (isLate = true));
}

// The next `event` of a socket, as the array of its arguments.
export const next = (socket, event) =>
  within(`event \`${event}\``, new Promise((resolve) => socket.once(event, (...args) => resolve(args))));

async function connected(socket) {
  const answer = new Promise((resolve, reject) => {
    socket.once("connect", resolve);
    socket.once("connect_error", reject);
  });
  await within("connect", answer);
  return socket;
}

// The ack of an event.
export const ask = (socket, event, ...args) =>
  within(`ack of \`${event}\``, new Promise((resolve) => socket.emit(event, ...args, resolve)));

export async function subscribe(socket, channel) {
  const ack = await ask(socket, "subscribe", { channel });
  if (!ack.ok) throw new Error(`subscribe to ${channel}: ${JSON.stringify(ack.error)}`);
  return ack;
}

// Every payload that arrives on an event and is `wanted`, and a promise for the first `count` of them.
export function collect(socket, event, wanted = () => true) {
  const received = [];
  const arrivals = new EventEmitter();
  socket.on(event, (payload) => {
    if (!wanted(payload)) return;
    received.push(payload);
    arrivals.emit("arrival");
  });
  return {
    received,
    async count(count) {
      const enough = (async () => {
        while (received.length < count) await once(arrivals, "arrival");
      })();
      await within(`${count} of \`${event}\``, enough).catch((error) => {
        throw new Error(`${error.message}; ${received.length} arrived`);
      });
      return received;
    },
  };
}

export class Server {
  #sockets = new Set();
  #log = new EventEmitter().setMaxListeners(0);
  #seen = [];

  // `config` changes the configuration, `plugins: false` leaves the shipped plugins and channels out, `env` is added to the
  // environment, `files` adds to the directory, `patienceMs` is how long it may take until it listens, `program` is the
  // binary of another version, `command` is `serve` or `dev`, `under` is a command that it is run by. `reader` is a shell
  // command that the server's output is piped to in place of this test, to which nothing is `logged` then.
  static async start({
    config, channels = {}, directory, env = {}, files, listen = "127.0.0.1:0", plugins = true, patienceMs = PATIENCE_MS,
    program = binary(), command = "serve", reader, under = [],
  } = {}) {
    const server = new Server();
    server.program = program;
    server.env = env;
    server.patienceMs = patienceMs;
    server.command = command;
    server.under = under;
    server.directory = directory ?? mkdtempSync(join(tmpdir(), "tidegate-e2e-"));
    if (!directory) server.#lay(config, channels, plugins);
    files?.(server.directory);
    if (reader) await server.#spawnPiped(reader);
    else await server.#spawn(listen);
    return server;
  }

  #lay(config, channels, plugins) {
    for (const part of ["channels", "plugins", "config"]) mkdirSync(join(this.directory, part));
    if (plugins) {
      cpSync(join(repository, "channels"), join(this.directory, "channels"), { recursive: true });
      for (const name of ["ping", "vault-members"]) this.plugin(name);
    }
    writeFileSync(join(this.directory, "channels/e2e.yaml"), CHANNELS);
    for (const [name, text] of Object.entries(channels)) writeFileSync(join(this.directory, "channels", name), text);
    writeFileSync(join(this.directory, "config/bridge.yaml"), BRIDGE);
    writeFileSync(join(this.directory, "config/tidegate.yaml"), configuration(config));
  }

  // Puts a shipped plugin in place, or its second version.
  plugin(name, built = components.shipped) {
    const from = join(repository, "plugins", name);
    const into = join(this.directory, "plugins", name);
    mkdirSync(into, { recursive: true });
    const manifest = readFileSync(join(from, "plugin.yaml"), "utf8");
    const component = /^component:\s*(\S+)/m.exec(manifest)[1];
    // More time than it needs: what these tests are about is not how busy the machine is.
    const patient = manifest.includes("\nlimits:") ? manifest : `${manifest}limits: { wall: 10s }\n`;
    if (!existsSync(join(into, "plugin.yaml"))) writeFileSync(join(into, "plugin.yaml"), patient);
    this.#replace(join(into, component), readFileSync(join(built.directory, basename(component))));
    return join("plugins", name, component);
  }

  async #spawn(listen) {
    const [program, ...args] = [
      ...this.under, this.program, this.command,
      "--config", join(this.directory, "config/tidegate.yaml"), "--listen", listen,
    ];
    this.process = spawn(program, args, {
      // What happens often within a second is logged at `debug` after the first few; tests wait for every one.
      env: { ...process.env, TIDEGATE_JWT_SECRET: SECRET, RUST_LOG: "info,tidegate_core::telemetry::events=debug", ...this.env },
      stdio: ["ignore", "inherit", "pipe"],
    });
    this.exited = once(this.process, "exit");
    this.exited.then(([code]) => this.#log.emit("exit", code));
    createInterface({ input: this.process.stderr }).on("line", (line) => this.#line(line));
    const died = new Promise((_, reject) => {
      this.#log.once("exit", (code) => reject(new Error(`the server ended with ${code}:\n${this.#seen.join("\n")}`)));
    });
    died.catch(() => {});
    const { address } = await within(
      "server.listening", Promise.race([this.logged("server.listening", this.patienceMs), died]), this.patienceMs,
    );
    this.address = address;
    this.url = `http://${address}`;
  }

  async #spawnPiped(reader) {
    const listen = `127.0.0.1:${await freePort()}`;
    const serve = [this.program, this.command, "--config", "config/tidegate.yaml", "--listen", listen];
    const script = `{ sh -c 'echo $$ >pid; exec "$@"' sh "$@"; echo $? >exit; } 2>&1 | { ${reader}; }`;
    const env = { ...process.env, TIDEGATE_JWT_SECRET: SECRET, ...this.env };
    // A group of its own: a reader that reads nothing ends with it.
    this.process = spawn("sh", ["-c", script, "sh", ...serve], {
      cwd: this.directory, env, stdio: ["ignore", "ignore", "inherit"], detached: true,
    });
    this.piped = true;
    this.exited = once(this.process, "exit");
    this.url = `http://${listen}`;
    await until("an answer", () => fetch(`${this.url}/healthz`).then((response) => response.ok, () => false));
  }

  #line(line) {
    this.#seen.push(line);
    this.#log.emit("line");
    if (process.env.TIDEGATE_E2E_LOG) console.error(line);
    let entry;
    try {
      entry = JSON.parse(line);
    } catch {
      return;
    }
    const fields = entry.fields ?? entry;
    if (fields.event) this.#log.emit(fields.event, fields);
  }

  // A line of the log with this text, written already or yet to come.
  async printed(text) {
    const line = () => this.#seen.find((line) => line.includes(text));
    const found = async () => {
      while (!line()) await once(this.#log, "line");
      return line();
    };
    return await within(`log line with \`${text}\``, found());
  }

  // The lines of the log with this text so far.
  lines(text) {
    return this.#seen.filter((line) => line.includes(text));
  }

  // The next log event of that name.
  async logged(event, patienceMs = PATIENCE_MS) {
    const [fields] = await within(`log event \`${event}\``, once(this.#log, event), patienceMs).catch((error) => {
      throw new Error(`${error.message}\n${this.#seen.slice(-20).join("\n")}`);
    });
    return fields;
  }

  // A stock client, not waited for; `url` is a way to the server that something stands on.
  client({ token, transport = "websocket", transports = [transport], url = this.url, ...options } = {}) {
    const socket = io(url, {
      forceNew: true,
      transports,
      reconnectionDelay: 50,
      reconnectionDelayMax: 200,
      ...(token === undefined ? {} : { auth: { token } }),
      ...options,
    });
    this.#sockets.add(socket);
    return socket;
  }

  // A connected stock client.
  async connect(options) {
    return await connected(this.client(options));
  }

  // A stock client that began with polling, connected; and a promise for its upgrade to a websocket.
  async connectUpgrading(options) {
    const socket = this.client({ ...options, transports: ["polling", "websocket"] });
    const upgraded = next(socket.io.engine, "upgrade");
    return { socket: await connected(socket), upgraded };
  }

  // The message with which a client is refused.
  async refused(options) {
    const socket = this.client(options);
    const answer = new Promise((resolve, reject) => {
      socket.once("connect", () => reject(new Error("it was let in")));
      socket.once("connect_error", (error) => resolve(error.message));
    });
    return await within("connect_error", answer).finally(() => socket.close());
  }

  async post(path, body, { key = KEYS.backend, type = "application/json" } = {}) {
    const text = typeof body === "string" ? body : JSON.stringify(body);
    const headers = { "content-type": type, ...(key ? { authorization: `Bearer ${key}` } : {}) };
    const response = await fetch(this.url + path, { method: "POST", headers, body: text });
    return { status: response.status, body: await response.json() };
  }

  async delete(path, { key = KEYS.backend } = {}) {
    const response = await fetch(this.url + path, { method: "DELETE", headers: { authorization: `Bearer ${key}` } });
    return { status: response.status, body: await response.json() };
  }

  async get(path, { key } = {}) {
    const headers = key ? { authorization: `Bearer ${key}` } : {};
    const response = await fetch(this.url + path, { headers });
    const text = await response.text();
    return { status: response.status, text, body: text.startsWith("{") ? JSON.parse(text) : undefined };
  }

  publish(topic, payload, options) {
    return this.post(`/v1/channels/${topic}/publish`, payload, options);
  }

  // Puts a file in place in one step, as an editor or a deployment does.
  write(path, text) {
    this.#replace(join(this.directory, path), text);
  }

  remove(path) {
    rmSync(join(this.directory, path));
  }

  #replace(path, content) {
    // Beside the watched directories, on the same file system.
    const aside = join(this.directory, `.${basename(dirname(path))}-${basename(path)}`);
    writeFileSync(aside, content);
    renameSync(aside, path);
  }

  // Does something to the files and waits for what the server makes of it.
  async reload(change, outcome = "reload.applied", patienceMs = PATIENCE_MS) {
    const made = this.logged(outcome, patienceMs);
    change();
    return await made;
  }

  // The sum of a metric over its labels; `labels` is a part of them.
  async metric(name, labels = "") {
    const { text } = await this.get("/metrics");
    const lines = text.split("\n").filter((line) => line.startsWith(name) && line.includes(labels));
    return lines.reduce((sum, line) => sum + Number(line.split(" ").at(-1)), 0);
  }

  signal(signal) {
    if (this.piped) process.kill(Number(readFileSync(join(this.directory, "pid"), "utf8")), signal);
    else this.process.kill(signal);
  }

  // Resolves to the exit code.
  async ended() {
    if (this.piped) {
      const place = join(this.directory, "exit");
      return Number(await until("exit", () => existsSync(place) && readFileSync(place, "utf8").trim()));
    }
    const [code] = await within("exit", this.exited);
    return code;
  }

  async stop({ keep = false } = {}) {
    for (const socket of this.#sockets) socket.close();
    if (this.process.exitCode === null && this.process.signalCode === null) {
      process.kill(this.piped ? -this.process.pid : this.process.pid, "SIGKILL");
      await this.exited;
    }
    if (!keep) rmSync(this.directory, { recursive: true, force: true });
  }
}
