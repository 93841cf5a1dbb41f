// The example vault with many members: how long a change takes from the request that makes it to every member, how soon
// a removed member is out, and how long after a cut everybody has everything.
//
//   node vault.mjs            CLIENTS=150 CHANGES=200 PER_SECOND=10 REMOVED=20 MISSED=20

import { once } from "node:events";
import { setTimeout as pause } from "node:timers/promises";

import { judge, percentile } from "./crowd.mjs";
import { number } from "./settings.mjs";
import { requireTidegate } from "./tidegate-bin.mjs";
import { ask, io, until, within } from "@tidegate/kit/harness.mjs";
import { Line } from "@tidegate/kit/line.mjs";
import { PostgresServer } from "@tidegate/kit/services.mjs";
import { System } from "tidegate-example-vault/testing.mjs";

requireTidegate();

const CLIENTS = number("CLIENTS", 150);
const CHANGES = number("CHANGES", 200);
const PER_SECOND = number("PER_SECOND", 10);
const REMOVED = number("REMOVED", 20);
const MISSED = number("MISSED", 20);
const AIM_MS = { propagation: 100, removal: 1000, recovery: 2000 };
const TOPIC = "vault.tides";

// As the page does it: `app/page/realtime.mjs`.
class Member {
  seen = [];

  constructor(url, cookie) {
    // Over a websocket at once: this process is all of the clients, and what it spends is not what a browser spends.
    const options = { transports: ["websocket"], forceNew: true, reconnectionDelay: 500, reconnectionDelayMax: 1000 };
    this.socket = io(url, { ...options, extraHeaders: { cookie } });
    this.socket.on("connect", () => this.subscribe());
    this.socket.on(TOPIC, ({ source }, meta) => {
      this.last = { epoch: meta.epoch, offset: meta.offset };
      this.take(source);
    });
  }

  subscribe() {
    this.socket.emit("subscribe", { channel: TOPIC, since: this.last }, (ack) => {
      if (!ack.ok) return setTimeout(() => this.subscribe(), 100);
      for (const { payload } of ack.publications ?? []) this.take(payload.source);
      this.last = ack.position;
      this.isLive = true;
    });
  }

  take({ title }) {
    this.seen.push(title);
    this.onTitle?.(title, performance.now());
  }
}

const postgres = await PostgresServer.start();
const system = await System.start(postgres);
const line = await Line.start(new URL(system.url).host);
// Each client is another user, with a session of its own.
await system.pool.query(`
  insert into users (name, email) select 'Member ' || n, 'm' || n || '@example.com' from generate_series(1, ${CLIENTS}) as n;
  insert into sessions ("userId", expires, "sessionToken") select id, now() + interval '1 day', 'token-' || email from users where email like 'm%@%';
  insert into members select 'tides', id, 'viewer' from users where email like 'm%@%';
`);
const members = Array.from({ length: CLIENTS }, (_, n) => new Member(line.url, `authjs.session-token=token-m${n + 1}@example.com`));
await until("all are live", () => members.every(({ isLive }) => isLive));
const ada = await system.signIn("ada");

async function change(title) {
  const { status } = await system.api(ada, "POST", "vaults/tides/sources", { title, url: "https://tides.example.com/" });
  if (status !== 200) throw new Error(`the application answered ${status}`);
}
const have = (count) => until(`everybody has ${count}`, () => members.every(({ seen }) => seen.length >= count), 60_000);

async function propagation() {
  const sent = new Map();
  const [took, last, answered] = [[], new Map(), []];
  for (const member of members) {
    member.onTitle = (title, now) => {
      took.push(now - sent.get(title));
      last.set(title, now - sent.get(title));
    };
  }
  const started = performance.now();
  for (let n = 0; n < CHANGES; n += 1) {
    await pause(Math.max(0, started + (n * 1000) / PER_SECOND - performance.now()));
    sent.set(`change ${n}`, performance.now());
    await change(`change ${n}`);
    answered.push(performance.now() - sent.get(`change ${n}`));
  }
  await have(CHANGES);
  for (const member of members) member.onTitle = undefined;
  return { took, last: [...last.values()], answered };
}

async function recovery() {
  line.isDown = true;
  line.cut();
  await until("nobody is connected", () => members.every(({ socket }) => !socket.connected));
  for (let n = 0; n < MISSED; n += 1) await change(`missed ${n}`);
  // So long that the clients are between two attempts.
  await pause(3000);
  line.isDown = false;
  const back = performance.now();
  const whole = members.map((member) => new Promise((resolve) => {
    member.onTitle = (title) => title === `missed ${MISSED - 1}` && resolve(performance.now() - back);
  }));
  return await within("everybody has everything", Promise.all(whole), 60_000);
}

async function removal() {
  const took = [];
  for (const [n, { socket }] of members.slice(0, REMOVED).entries()) {
    const told = once(socket, "tidegate");
    const asked = performance.now();
    const email = `m${n + 1}@example.com`;
    await system.pool.query("delete from members where user_id = (select id from users where email = $1)", [email]);
    const [message] = await within("revoked", told);
    if (message.type !== "revoked") throw new Error(JSON.stringify(message));
    took.push(performance.now() - asked);
  }
  return took;
}

const ms = (figure) => `${figure.toFixed(1)} ms`;
const { took, last, answered } = await propagation();
const back = await recovery();
const titles = (word, length) => Array.from({ length }, (_, n) => `${word} ${n}`);
const expected = [...titles("change", CHANGES), ...titles("missed", MISSED)];
const whole = members.filter(({ seen }) => JSON.stringify(seen) === JSON.stringify(expected)).length;
const out = await removal();

console.log(`${CLIENTS} members of a vault, ${CHANGES} changes by the REST API, ${PER_SECOND} a second; each time from the request`);
const figures = { "the application answers": answered, "a member has it": took, "the last member has it": last };
for (const [what, figure] of Object.entries(figures)) {
  console.log(`${what}: p50 ${ms(percentile(figure, 0.5))}, p99 ${ms(percentile(figure, 0.99))}`);
}
console.log();
const below = (what, measured, aim) => ({ what, measured: ms(measured), aim: `< ${ms(aim)}`, met: measured < aim });
const met = judge([
  below("a change at a member, p99", percentile(took, 0.99), AIM_MS.propagation),
  below("after a cut the last member has everything after", Math.max(...back), AIM_MS.recovery),
  { what: "members with everything, once and in order", measured: whole, aim: CLIENTS, met: whole === CLIENTS },
  below(`a removed member is out after, the slowest of ${REMOVED}`, Math.max(...out), AIM_MS.removal),
]);
for (const { socket } of members) socket.close();
line.stop();
await system.stop();
await postgres.stop();
process.exit(met ? 0 : 1);
