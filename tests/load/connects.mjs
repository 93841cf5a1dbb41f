// How many connections a second gate 1 lets in, with each provider: a websocket is opened, the handshake answered, and
// closed, so many at a time.

import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";

import WebSocket from "ws";

import { cargoBuild } from "@tidegate/kit/guest.mjs";
import { Server, token } from "@tidegate/kit/harness.mjs";
import { Issuer, Key, sqlite, WebApplication } from "@tidegate/kit/identity.mjs";
import { repository } from "@tidegate/kit/paths.mjs";
import { PostgresServer } from "@tidegate/kit/services.mjs";
import { cpuSeconds } from "./cpu.mjs";
import { requireTidegate } from "./tidegate-bin.mjs";
import { number } from "./settings.mjs";

requireTidegate();

const SECONDS = number("LOAD_SECONDS", 5);
const WARM_UP_SECONDS = number("WARM_UP_SECONDS", 1);
const AT_ONCE = number("AT_ONCE", 32);
const USERS = 1000;

const nobody = { stop: async () => {} };

// What is configured, and the credential of each user.
const scenes = {
  "no credential": async () => ({ providers: [], credential: () => undefined, beside: nobody }),
  "jwt HS256": async () => ({ credential: (user) => token(user), beside: nobody }),
  ...Object.fromEntries(["RS256", "ES256", "EdDSA"].map((algorithm) => [`jwt ${algorithm}`, async () => {
    const key = new Key(algorithm, "k");
    const jwt = { algorithm, public_key: key.pem };
    return { providers: [{ jwt }], credential: (user) => key.token(user), beside: nobody };
  }])),
  "jwt RS256, key set": async () => {
    const issuer = await new Issuer().start();
    const key = new Key("RS256", "k");
    issuer.keys = [key];
    const jwt = { algorithm: "RS256", jwks: issuer.jwks };
    return { providers: [{ jwt }], credential: (user) => key.token(user), beside: issuer };
  },
  "introspect, asked": () => introspecting("0s"),
  "introspect, kept": () => introspecting("1h"),
  "session, SQLite": async () => {
    const files = (directory) => sqlite(join(directory, "company.db"), SESSIONS);
    return { ...session, store: "sqlite:../company.db", files, beside: nobody };
  },
  "session, PostgreSQL": async () => {
    const postgres = await PostgresServer.start();
    await postgres.sql(SESSIONS);
    return { ...session, store: postgres.url, beside: postgres };
  },
  plugin: async () => ({
    providers: [{ plugin: { name: "my-auth" } }],
    files: plugin,
    credential: (user) => `user:${user}`,
    beside: nobody,
  }),
};

const session = {
  providers: [{ session: { cookie: "sid", token: true, query: "select user_id, roles from sessions where token = $1" } }],
  credential: (user) => user.replace("u", "t"),
};
const SESSIONS = `create table sessions (token text primary key, user_id text not null, roles text not null);
  insert into sessions values ${Array.from({ length: USERS }, (_, n) => `('t${n}', 'u${n}', 'reader')`).join(", ")};`;

// An authorizer that takes `user:<id>` for a credential, as the tests build it.
function plugin(directory) {
  const into = join(directory, "plugins/my-auth");
  mkdirSync(into, { recursive: true });
  const manifest = { component: "typed.wasm", kinds: ["authorizer"], grants: { http: ["http://api.test"], emit: ["lobby"], publish: ["connection.*"] } };
  writeFileSync(join(into, "plugin.yaml"), JSON.stringify(manifest));
  copyFileSync(cargoBuild(join(repository, "tests/plugins/guests/typed"), "typed"), join(into, "typed.wasm"));
  const lobby = "feature: lobby\nchannels: { lobby: { scope: public, payload: {} } }\n";
  mkdirSync(join(directory, "channels"), { recursive: true });
  writeFileSync(join(directory, "channels/lobby.yaml"), lobby);
}

async function introspecting(cache) {
  const application = await new WebApplication().start();
  for (let n = 0; n < USERS; n++) application.users.set(`t${n}`, { id: `u${n}`, role: "reader" });
  const introspect = { url: application.me, user: "/data/id", roles: "/data/role", cache };
  return { providers: [{ introspect }], credential: (user) => user.replace("u", "t"), beside: application };
}

// Opens one, and closes it once it is let in. Resolves to the time that took, in milliseconds.
function connect(url, credential) {
  const began = performance.now();
  const socket = new WebSocket(`${url.replace("http", "ws")}/socket.io/?EIO=4&transport=websocket`);
  return new Promise((resolve, reject) => {
    socket.on("error", reject);
    socket.on("close", () => reject(new Error("the socket was closed")));
    socket.on("message", (data) => {
      const packet = data.toString("latin1");
      if (packet.startsWith("0")) socket.send(`40${JSON.stringify(credential === undefined ? {} : { token: credential })}`);
      else if (packet.startsWith("44")) reject(new Error(packet));
      else if (packet.startsWith("40")) {
        resolve(performance.now() - began);
        socket.close();
      }
    });
  });
}

async function measure(scene) {
  const { providers, store, files, credential, beside } = await scene();
  const auth = (auth) => ({ ...auth, ...(providers ? { providers } : {}) });
  const config = (config) => ({ ...config, auth: auth(config.auth), ...(store ? { store } : {}) });
  const server = await Server.start({ config, files, plugins: false, env: { RUST_LOG: "info" } });
  // Made before: signing is the issuer's work and not the server's.
  const credentials = Array.from({ length: USERS }, (_, n) => credential(`u${n}`));
  let tookMs = [];
  let going = true;
  let next = 0;
  const workers = Array.from({ length: AT_ONCE }, async () => {
    while (going) tookMs.push(await connect(server.url, credentials[next++ % USERS]));
  });
  const pause = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  await Promise.race([pause(WARM_UP_SECONDS), Promise.all(workers)]);
  tookMs = [];
  const [cpuBefore, ownBefore, began] = [cpuSeconds(server.process.pid), process.cpuUsage(), performance.now()];
  await Promise.race([pause(SECONDS), Promise.all(workers)]);
  const seconds = (performance.now() - began) / 1000;
  const [cpu, own] = [cpuSeconds(server.process.pid) - cpuBefore, process.cpuUsage(ownBefore)];
  const took = tookMs.toSorted((a, b) => a - b);
  going = false;
  await Promise.all(workers);
  await server.stop();
  await beside.stop();
  const at = (share) => took[Math.min(took.length - 1, Math.floor(took.length * share))];
  return [
    Math.round(took.length / seconds),
    Math.round((cpu * 1e6) / took.length),
    Math.round((100 * cpu) / seconds),
    Math.round((own.user + own.system) / 10_000 / seconds),
    at(0.5).toFixed(1),
    at(0.99).toFixed(1),
  ];
}

const row = (...cells) => console.log(cells.map((cell, index) => (index ? String(cell).padStart(16) : String(cell).padEnd(22))).join(""));

console.log(`${AT_ONCE} at a time, ${SECONDS} s after ${WARM_UP_SECONDS} s, ${cpus().length} cores\n`);
row("", "connects/s", "CPU µs/connect", "server CPU %", "generator CPU %", "p50 ms", "p99 ms");
const wanted = process.argv.slice(2);
for (const [name, scene] of Object.entries(scenes)) {
  if (wanted.length === 0 || wanted.some((part) => name.includes(part))) row(name, ...(await measure(scene)));
}
