// The recording publisher, for unit tests: the publisher itself, before a judge in place of the server.

import { isDeepStrictEqual } from "node:util";

import { publisher } from "./index.js";
import { readChannels } from "./manifests.js";

const VIOLATIONS_MAX = 10;

// The codes that a publisher can hear: their status, and whether the same call may succeed later.
const REFUSALS = {
  unauthenticated: [401, false], forbidden: [403, false], unknown_channel: [404, false], invalid_payload: [422, false],
  idempotency_conflict: [422, false], payload_too_large: [413, false], rate_limited: [429, true], over_budget: [429, true],
  unavailable: [503, true], draining: [503, true], internal: [500, true],
};

/** @type {typeof import("./recording.js").recordingPublisher} */
export function recordingPublisher({ channels = "channels", source, attempts = 1, deadlineMs } = {}) {
  const judge = new Judge(readChannels(channels));
  const fetch = async (url, { headers, body }) => judge.answer(new URL(url).pathname, headers, JSON.parse(body));
  const calls = publisher({ url: "http://recording.invalid", key: "recording", source, attempts, deadlineMs, fetch });
  return Object.assign(calls, {
    publications: judge.publications,
    busEvents: judge.busEvents,
    revocations: judge.revocations,
    fail(code, times = 1) {
      if (code !== "unreachable" && !(code in REFUSALS)) throw new TypeError(`\`${code}\` is no code that a publisher can hear`);
      for (let time = 0; time < times; time += 1) judge.failures.push(code);
    },
  });
}

// Answers as the server does, and keeps what it would have delivered.
class Judge {
  publications = [];
  busEvents = [];
  revocations = [];
  failures = [];
  #keys = new Map();

  constructor(channels) {
    this.channels = channels;
  }

  answer(path, headers, body) {
    const failure = this.failures.shift();
    if (failure === "unreachable") throw new TypeError("fetch failed", { cause: new Error("the test said so") });
    if (failure) return refused(refusal(failure, "the test said so"));
    if (path === "/v1/publish") {
      const one = ({ topic, payload, idempotency_key }) => this.#publish(topic, payload, idempotency_key);
      return answered(200, body.map(one).map((error) => (error ? { ok: false, error } : { ok: true })));
    }
    if (path === "/v1/events") return this.#events(body);
    if (path === "/v1/revoke") return this.#revoke(body);
    const topic = decodeURIComponent(path.split("/")[3]);
    const error = this.#publish(topic, body, headers["idempotency-key"].slice(1, -1).replace(/\\(.)/g, "$1"));
    return error ? refused(error) : answered(202, {});
  }

  // The refusal, or nothing.
  #publish(topic, payload, idempotencyKey) {
    const name = `${topic} ${idempotencyKey}`;
    if (this.#keys.has(name)) {
      return isDeepStrictEqual(this.#keys.get(name), payload) ? undefined : refusal("idempotency_conflict", "this idempotency key was used with another body");
    }
    const channel = this.channels.find(topic);
    if (!channel) return refusal("unknown_channel", `no channel below \`${this.channels.directory}\` has the topic \`${topic}\``);
    const violations = channel.violations(payload);
    if (violations.length > 0) {
      return refusal("invalid_payload", `the payload does not match the schema of \`${channel.name}\``, { violations: violations.slice(0, VIOLATIONS_MAX) });
    }
    this.#keys.set(name, payload);
    this.publications.push({ topic, channel: channel.name, payload, idempotencyKey });
    return undefined;
  }

  #events(events) {
    const wrong = events.find(({ type }) => typeof type !== "string" || type === "" || type.startsWith("tidegate."));
    if (wrong) return refused(refusal("invalid_payload", `\`${wrong.type}\` is no type of an event: a text that does not begin with \`tidegate.\``), 400);
    this.busEvents.push(...events);
    return answered(202, { accepted: events.length });
  }

  #revoke(revocation) {
    if (!["user", "token", "topic"].some((name) => typeof revocation[name] === "string")) {
      return refused(refusal("invalid_payload", "at least one of `user`, `token` and `topic` is needed"), 400);
    }
    if (revocation.topic !== undefined && !this.channels.find(revocation.topic)) return refused(refusal("unknown_channel", "no channel has this name"));
    this.revocations.push(revocation);
    return answered(202, { revocation, here: { sessions: 0, subscriptions: 0, rechecked: 0 } });
  }
}

const refusal = (code, message, details) => ({ code, message, retry: REFUSALS[code][1], ...(details && { details }) });
const refused = (error, status = REFUSALS[error.code][0]) => answered(status, { error });
const answered = (status, body) => new Response(JSON.stringify(body), { status });
