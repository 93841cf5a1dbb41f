// The oracle: it knows every publication of a schedule and everything that the page noted, and says what was lost untold,
// came twice, out of order or to somebody who may not have it, and which session was lost without a reason.

import { SHORT_MESSAGES } from "./schedule.mjs";

const isKind = (topic, ...kinds) => kinds.includes(topic.split(".")[0]);

// What the page knows of one topic.
class Topic {
  // The number of the last publication that it has, or that was there before it subscribed.
  last = undefined;
  // Whether something may be missing before the next one: it was told so.
  isTold = true;
  // The answer to its subscribe, if it has one for this session.
  ackAt = undefined;
  // The number that the next one has at most.
  nextMax = Infinity;
  // The number of the last publication that was there before it asked.
  base = undefined;
  isOver = false;
  // What it misses and was not told of yet: the word may come after the publication that it is about.
  lost = [];
}

class Judge {
  violations = [];
  figures = { comebacks: 0, recovered: 0, renewed: 0 };
  #topics = new Map();
  #connect;
  #lastConnectAt = 0;
  #mayBeNew = false;

  constructor({ publications, deeds, world }) {
    Object.assign(this, { publications, deeds, world });
  }

  topic(name) {
    if (!this.#topics.has(name)) this.#topics.set(name, new Topic());
    return this.#topics.get(name);
  }

  violation(kind, text) {
    this.violations.push({ kind, text });
  }

  of(topic) {
    return this.publications.filter((one) => one.topic === topic);
  }

  entry(entry) {
    this[entry.what]?.(entry);
  }

  connect(entry) {
    this.#connect = entry;
    const before = this.#lastConnectAt;
    this.#lastConnectAt = entry.at;
    if (!entry.hadSession) return this.reset();
    this.figures.comebacks += 1;
    if (entry.recovered) {
      // It knows since the connect before that its session was a new one, though a cut swallowed the reason.
      this.owesReason = false;
      this.figures.recovered += 1;
      return;
    }
    this.figures.renewed += 1;
    if (!this.isExcused(entry, before)) this.violation("session lost without a reason", `at ${Math.round(entry.at)}`);
    this.reset();
    this.owesReason = true;
  }

  // A session is new: the page has nothing, and subscribes.
  reset() {
    this.#topics.clear();
  }

  // Whether what happened since the page was connected is a reason to lose a session.
  isExcused({ at, generation }, before) {
    const happened = (deed) => deed.to > before && deed.from < at;
    if (this.deeds.some((deed) => ["restart", "forget"].includes(deed.what) && happened(deed))) return true;
    if (this.deeds.some((deed) => deed.what === "revoke-user" && generation > 0 && deed.to > before)) return true;
    return [...this.#topics].some(([name, topic]) => {
      const missed = this.of(name).filter(({ n, from }) => from < at && n > (topic.last ?? topic.base ?? 0)).length;
      if (topic.isOver) return false;
      return (isKind(name, "short") && missed > SHORT_MESSAGES) || (this.world.kind === "brief" && missed > 0);
    });
  }

  ask({ topic: name, at }) {
    const topic = this.topic(name);
    const before = this.of(name).filter(({ to }) => to < at).at(-1)?.n ?? 0;
    // The server may have heard it though its answer was lost: then what comes next follows a position that nobody knows.
    Object.assign(topic, { isOver: false, ackAt: undefined, isTold: true, nextMax: Infinity, base: Math.max(before, topic.last ?? 0) });
  }

  ack({ topic: name, at, position }) {
    const topic = this.topic(name);
    topic.ackAt = at;
    topic.isTold = true;
    topic.nextMax = this.sentBefore(name, at) + 1;
    const base = position && this.numberAt(name, position);
    if (base === undefined) return;
    topic.last = Math.max(topic.last ?? 0, base);
    topic.isTold = false;
  }

  // The number of the last publication that was sent before a time.
  sentBefore(name, time) {
    return this.of(name).findLast(({ from }) => from < time)?.n ?? 0;
  }

  // The number of the publication at a position, or of the last one before it.
  numberAt(name, { epoch, offset }) {
    const same = this.of(name).filter(({ position }) => position && (position.epoch ?? epoch) === epoch);
    const until = same.findLast(({ position }) => position.offset <= offset);
    return until?.n ?? (same.length > 0 ? same[0].n - 1 : undefined);
  }

  left({ topic }) {
    Object.assign(this.topic(topic), { isOver: true, over: "it had left" });
  }

  told({ type, channel, at, ...more }) {
    // What was published until now may be missing, and nothing later.
    if (type === "gap") Object.assign(this.topic(channel), { isTold: true, lost: [], nextMax: this.sentBefore(channel, at) + 1 });
    if (type === "revoked") Object.assign(this.topic(channel), { isOver: true, over: "it was told that it is revoked" });
    if (type === "recovered" && more.recovered === false) this.owesReason = false;
  }

  event({ topic: name, n, at }) {
    const topic = this.topic(name);
    const what = `${name} ${n}`;
    const publication = this.of(name).find((one) => one.n === n);
    if (!publication) return this.violation("unknown", what);
    this.#mayHave(topic, publication, at);
    if (topic.isOver) return this.violation("to who may not", `${what} after ${topic.over}`);
    if (topic.last !== undefined && n <= topic.last) return this.violation("twice or out of order", `${what} after ${topic.last}`);
    this.#lost(topic, name, n);
    Object.assign(topic, { last: n, isTold: false, nextMax: Infinity });
  }

  // Whether publications before this one are missing, and the page was not told.
  #lost(topic, name, n) {
    const from = topic.isTold ? topic.nextMax : topic.last + 1;
    const missing = this.of(name).filter((one) => one.n >= from && one.n < n && one.isTaken);
    if (missing.length > 0 && !this.isAtMostOnce(name)) topic.lost.push(`${name} ${missing.map((one) => one.n)} before ${n}`);
  }

  // What is volatile at Node may be lost untold.
  isAtMostOnce(name) {
    return isKind(name, "plain") && this.world.isControl;
  }

  #mayHave(topic, { topic: name, n, from }, at) {
    const { isEditor, generation } = this.#connect;
    if (isKind(name, "editors") && !isEditor) this.violation("to who may not", `${name} ${n} without the role`);
    for (const deed of this.deeds) {
      const isAfter = from > deed.to;
      if (deed.what === "revoke-user" && isAfter && generation === 0) this.violation("to who may not", `${name} ${n} with a revoked credential`);
      if (deed.what === "revoke-topic" && deed.topic === name && isAfter && topic.ackAt < deed.from) {
        this.violation("to who may not", `${name} ${n} after the revocation`);
      }
    }
  }

  // Everything was published, and the page says what it holds.
  end({ page, stuck, thefts = [] }) {
    if (stuck) this.violation("stuck", stuck);
    thefts.forEach((theft) => this.violation("to who may not", theft));
    if (this.owesReason && !this.world.isControl) this.violation("lost untold", "a new session without the reason");
    for (const [name, topic] of this.#topics) {
      topic.lost.forEach((text) => this.violation("lost untold", text));
      if (!page.holds(name) || topic.isOver || stuck) continue;
      const last = this.of(name).at(-1).n;
      if (topic.last !== last) this.violation("lost untold", `${name}: ${last} is the last one, and the page has ${topic.last}`);
    }
  }
}

export function judge(play) {
  const judge = new Judge(play);
  play.page.log.forEach((entry) => judge.entry(entry));
  judge.end(play);
  return { violations: judge.violations, ...judge.figures };
}
