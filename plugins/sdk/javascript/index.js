// The plugin's side of the contract in `wit/`: payloads as values instead of JSON text.
import { bytes, get, monotonicUs, nextU64, nowMs, write } from '#host';
import { words, wrong } from './checked.js';
import { isAway } from './granted.js';
import { read, text } from './json.js';

export { HostError, bucket, query, request, secret } from './granted.js';

/** Why a message is not taken: throw one. */
export class Refusal extends Error {
  constructor(tag, sentence) {
    super(String(sentence));
    this.name = 'Refusal';
    this.tag = tag;
  }

  static invalidPayload(sentence) { return new Refusal('invalid-payload', sentence); }
  static forbidden(sentence) { return new Refusal('forbidden', sentence); }
  static unavailable(sentence) { return new Refusal('unavailable', sentence); }
  static failed(sentence) { return new Refusal('failed', sentence); }
}

/** A member of a message, of one of these kinds; a message without it, or with something else there, is refused. */
export const field = (message, name, kind) => {
  const why = wrong(message, name, kind);
  if (why) throw Refusal.invalidPayload(why);
  return message[name];
};

/** What the host is to do once the call succeeded. */
export const emit = (topic, payload, to = 'everyone') => {
  if (to !== 'everyone' && to !== 'others') {
    throw new TypeError(`\`to\`: expected everyone or others, found ${String(to)}`);
  }
  return { tag: 'emit', val: { topic: words('topic', topic), payload: text(payload), to } };
};
export const publish = (kind, data, subject) => {
  if (subject !== undefined) words('subject', subject);
  return { tag: 'publish', val: { kind: words('kind', kind), data: text(data), subject } };
};
export const remove = (topic, key) => ({ tag: 'remove', val: { topic: words('topic', topic), key: text(key) } });
export const removeAll = (topic) => ({ tag: 'remove', val: { topic: words('topic', topic), key: undefined } });

export const allow = (ttlMs = 0, user = undefined) => {
  if (!Number.isInteger(ttlMs) || ttlMs < 0 || ttlMs >= 2 ** 32) {
    throw new TypeError(`\`ttlMs\`: ${String(ttlMs)} is no whole number of milliseconds`);
  }
  if (user) [user.id, ...user.roles, user.tenant ?? ''].forEach((word) => words('user', word));
  return { tag: 'allow', val: { ttlMs, user } };
};
export const deny = (sentence) => ({ tag: 'deny', val: String(sentence) });
export const cannotTell = (sentence) => ({ tag: 'cannot-tell', val: String(sentence) });

/** A line of the server's log; `fields` are strings by name. */
const line = (level) => (message, fields = {}) =>
  write(level, message, Object.entries(fields).map(([name, value]) => [name, String(value)]));
export const log = {
  trace: line('trace'), debug: line('debug'), info: line('info'), warn: line('warn'), error: line('error'),
};

/** The value of one key of `config:`; undefined where the section has no such key. */
export const config = (key) => {
  const value = get(key);
  return value === undefined || value === null ? undefined : read(value);
};

export const clock = {
  nowMs: () => Number(nowMs()),
  monotonicUs: () => Number(monotonicUs()),
};

/** The server's own randomness, good for secrets. `Math.random` is not. */
export const random = {
  bytes: (length) => new Uint8Array(bytes(length)),
  u64: () => BigInt(nextU64()),
};

/** What the topic puts in one place of the channel's template: `param(context, 'vaultId')` is `v1` on `vault.v1`. */
export const param = (context, name) => context.params.find(([key]) => key === name)?.[1];

// A Refusal that a function throws is its own words, whatever the kind: no fault. Any other exception is a mistake, which the
// server logs with its place and counts as a fault.

/** Makes `(context, payload) => { reply?, effects? }` the `handler` a plugin exports. */
export const handler = (handle) => ({
  handle(ctx, payload) {
    const { reply, effects = [] } = settled(handle(plain(ctx), taken(payload))) ?? {};
    return { reply: reply === undefined ? undefined : text(reply), effects: checked(effects) };
  },
});

/**
 * Makes `(context, action, payload) => allow() | deny(…) | cannotTell(…)` the `authorizer` a plugin exports. What it throws
 * denies, but for a HostError that says that the host is away: that cannot tell.
 */
export const authorizer = (authorize) => ({
  authorize: (ctx, action, payload) => {
    const message = payload === undefined || payload === null ? undefined : taken(payload);
    const decision = decided(() => settled(authorize(plain(ctx), action, message)));
    if (!DECISIONS.includes(decision?.tag)) throw new TypeError('answer allow(), deny() or cannotTell()');
    return decision;
  },
});

const DECISIONS = ['allow', 'deny', 'cannot-tell'];

function decided(decide) {
  try {
    return decide();
  } catch (error) {
    if (error instanceof Refusal && error.tag === 'unavailable') return cannotTell(error.message);
    if (isAway(error)) return cannotTell(String(error));
    throw error;
  }
}

/** Makes `(context) => [payload, …]` the `snapshot` a plugin exports. What it throws refuses the subscription. */
export const snapshot = (provide) => ({
  provide: (ctx) => {
    const payloads = settled(provide(plain(ctx)));
    if (!Array.isArray(payloads)) throw new TypeError('answer a list of payloads');
    return payloads.map(text);
  },
});

/** What a transform answers for an event that should not cross. */
export const drop = Symbol('drop');

/** Makes `(crossing, payload) => published | drop` the `transform` a plugin exports. What it throws makes a dead letter. */
export const transform = (apply) => ({
  apply: ({ payload, ...crossing }) => {
    const event = { ...crossing.event, data: taken(crossing.event.data) };
    const published = settled(apply({ ...crossing, event }, taken(payload)));
    return published === drop ? undefined : text(published);
  },
});

/** Makes `(peer, phase) => [emit(…), …]` the `connection` a plugin exports. What it throws goes to the log. */
export const connection = (changed) => ({
  changed: (peer, phase) => checked(settled(changed(plain(peer), phase)) ?? []),
});

// A message that JavaScript cannot hold is the sender's mistake, and not the plugin's.
function taken(payload) {
  try {
    return read(payload);
  } catch (error) {
    throw Refusal.invalidPayload(error.message);
  }
}

// A `u64` arrives as a BigInt, which `JSON.stringify` refuses; milliseconds fit a number.
const plain = (call) => ({ ...call, receivedAtMs: Number(call.receivedAtMs) });

// An `async` function would hand the host a promise that nobody settles.
function settled(value) {
  if (typeof value?.then === 'function') throw new TypeError('the function must not be async');
  return value;
}

const EFFECTS = ['emit', 'publish', 'remove'];

// Effects as emit(), publish(), remove() and removeAll() make them.
function checked(effects) {
  if (Array.isArray(effects) && effects.every((effect) => EFFECTS.includes(effect?.tag))) return effects;
  throw new TypeError('`effects`: expected a list of what emit(), publish(), remove() and removeAll() make');
}
