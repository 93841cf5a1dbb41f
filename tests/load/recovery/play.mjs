// Plays one schedule in a world, and asks the judge.

import { setTimeout as pause } from "node:timers/promises";

import { now, token, until } from "@tidegate/kit/harness.mjs";
import { Line } from "@tidegate/kit/line.mjs";
import { judge } from "./judge.mjs";
import { Page } from "./page.mjs";
import { LARGE_BYTES } from "./schedule.mjs";

const PATIENCE_MS = 30_000;
// A thief is let in or not within this time; what comes twice comes within it.
const LOOK_MS = 60;
const SETTLE_MS = 300;
const LAST_MS = 5_000;
const LAST_TRIES = 4;

// Schedules play at once: a topic and a user are one schedule's own.
let played = 0;

class Play {
  publications = [];
  // What happened that changes what the page may have, with the time.
  deeds = [];
  #chains = new Map();

  static async begin(schedule, world) {
    const play = new Play();
    Object.assign(play, { schedule, world, id: `${schedule.number}x${(played += 1)}` });
    play.user = `user-${play.id}`;
    play.line = await Line.start(world.address);
    const topics = schedule.topics.map((kind) => play.topic(kind));
    play.page = new Page({ url: play.line.url, transports: schedule.transports, topics, credential: (wish) => play.credential(wish) });
    await until("the page is there", () => play.page.isSettled, PATIENCE_MS);
    return play;
  }

  topic = (kind) => `${kind}.${this.id}`;

  // A revocation covers what was issued before it.
  credential({ isEditor, isNew }) {
    return token(this.user, { iat: now() + (isNew ? 5 : -60), roles: isEditor ? ["editor"] : [] });
  }

  async deed(what, more, doing) {
    const deed = { what, ...more, from: performance.now(), to: Infinity };
    this.deeds.push(deed);
    await doing();
    deed.to = performance.now();
  }

  // The publications of a topic are sent one after the other, so their numbers are in the order of its history.
  #publish(topic, isLarge) {
    const last = this.#chains.get(topic) ?? Promise.resolve();
    const chain = last.then(async () => {
      const n = this.publications.filter((one) => one.topic === topic).length + 1;
      const one = { topic, n, from: performance.now(), to: Infinity, isTaken: undefined };
      this.publications.push(one);
      try {
        const answer = await this.world.publish(topic, isLarge ? { n, pad: "x".repeat(LARGE_BYTES) } : { n });
        Object.assign(one, { to: performance.now(), isTaken: answer.ok, position: answer.position });
      } catch {
        // The server was killed: it may have taken it.
      }
    });
    this.#chains.set(topic, chain);
    return chain;
  }

  steps = {
    publish: async ({ topic, count, waits, large }) => {
      let last;
      for (let one = 0; one < count; one += 1) last = this.#publish(this.topic(topic), large);
      if (waits) await last;
    },
    cut: () => this.line.cut(),
    "cut-after": ({ bytes }) => this.line.cutAfter(bytes),
    away: () => {
      this.line.isDown = true;
      this.line.cut();
    },
    back: () => {
      this.line.isDown = false;
    },
    "half-open": () => this.line.goDead(),
    lull: ({ ms }) => pause(ms),
    settle: () => this.settle(),
    unsubscribe: ({ topic }) => this.page.unsubscribe(this.topic(topic)),
    subscribe: () => this.page.subscribe(),
    "revoke-user": () => {
      // The next credential is from after a revocation: none covers it.
      if (this.page.generation > 0) return;
      return this.deed("revoke-user", {}, () => this.world.revoke({ user: this.user, reason: "torture" }));
    },
    "revoke-topic": () => {
      const topic = this.topic(this.schedule.topics[0]);
      return this.deed("revoke-topic", { topic }, () => this.world.revoke({ user: this.user, topic }));
    },
    "lose-role": () => {
      this.page.isEditor = false;
    },
    thief: () => this.#steal(),
    restart: () => this.deed("restart", {}, () => this.world.restart()),
    forget: () => this.deed("forget", {}, () => this.world.forget()),
    idle: async () => {
      await this.settle();
      await this.deed("idle", {}, () => this.world.idle());
    },
  };

  // Another user brings what the page would bring.
  async #steal() {
    const { _pid: pid, _lastOffset: offset } = this.page.socket;
    const credential = () => token(`thief-${this.id}`, { iat: now() - 60, roles: ["editor"] });
    const thief = new Page({
      url: `http://${this.world.address}`, transports: this.schedule.transports, topics: [], credential, session: { pid, offset },
    });
    await until("the thief is there", () => thief.connections > 0, PATIENCE_MS);
    await pause(LOOK_MS);
    this.thefts ??= [];
    if (pid && thief.socket._pid === pid) this.thefts.push("the session of another user");
    this.thefts.push(...thief.log.filter(({ what }) => what === "event").map(({ topic, n }) => `${topic} ${n} of another user`));
    thief.close();
  }

  // The page is there, and has what is under way to it.
  async settle() {
    this.line.isDown = false;
    await Promise.all(this.#chains.values());
    await until("the page is there again", () => this.page.isSettled, PATIENCE_MS);
    // Not everything comes: what was there before it subscribed does not.
    await until("the newest", () => this.page.isSettled && this.#hasNewest(), SETTLE_MS).catch(() => {});
  }

  // Whether the page has the last publication of every topic that it holds.
  #hasNewest() {
    const held = [...this.page.states.keys()].filter((topic) => this.page.holds(topic));
    return held.every((topic) => {
      const last = this.publications.findLast((one) => one.topic === topic);
      return !last || this.page.has(topic, last.n);
    });
  }

  // Once all is well: one more publication on each topic, after which nothing else is on its way.
  async end() {
    this.line.cutAfter(Infinity);
    await this.settle();
    let isWell = false;
    // Without history one may be lost, and told, if the page does not know yet that its line is cut.
    for (let tries = 0; !isWell && tries < LAST_TRIES; tries += 1) {
      for (const topic of this.page.states.keys()) await this.#publish(topic);
      isWell = await until("it", () => this.page.isSettled && this.#hasNewest(), LAST_MS).catch(() => false);
    }
    if (!isWell) this.stuck = "the last publication of a topic that the page holds does not come";
    await pause(LOOK_MS);
  }
}

// What came of a schedule: its violations, and how often the page came back and had its session again.
export async function play(schedule, world) {
  const one = await Play.begin(schedule, world);
  try {
    for (const step of schedule.steps) await one.steps[step.do](step);
    await one.end();
  } catch (error) {
    one.stuck = error.message;
  }
  one.page.close();
  one.line.stop();
  return { ...judge(one), log: one.page.log, deeds: one.deeds, publications: one.publications };
}
