// Random schedules: what happens to one client and its topics, step by step. A seed and a number make the same schedule
// each time.

// Kinds of topics; the worlds declare their channels.
export const KINDS = ["feed", "short", "plain", "editors"];
// A short topic keeps so many publications.
export const SHORT_MESSAGES = 5;
export const LARGE_BYTES = 20_000;
// Longer than a session waits and a history keeps in the world for it.
export const IDLE_MS = 2_600;

// mulberry32: https://gist.github.com/tommyettinger/46a874533244883189143505d203312c describes it.
export function random(seed) {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (count) => Math.floor(next() * count);
  const chance = (share) => next() < share;
  const pick = (list) => list[below(list.length)];
  // Of pairs of a value and its weight.
  const weighted = (pairs) => {
    let left = next() * pairs.reduce((sum, [, weight]) => sum + weight, 0);
    return pairs.find(([, weight]) => (left -= weight) < 0)[0];
  };
  return { below, chance, pick, weighted };
}

const TRANSPORTS = [[["websocket"], 4], [["polling"], 3], [["polling", "websocket"], 3]];

// What happens once in a schedule, and the world that it needs.
const SPECIALS = [
  [undefined, 60], ["revoke-user", 7], ["revoke-topic", 8], ["lose-role", 6], ["thief", 5], ["restart", 4], ["forget", 4], ["idle", 4],
];
const WORLDS = { restart: "restarted", forget: "forgetful", idle: "brief" };

export function schedule(seed, number) {
  const dice = random(Math.imul(seed, 0x9e3779b1) ^ number);
  const special = dice.weighted(SPECIALS);
  const world = WORLDS[special] ?? dice.weighted([["memory", 7], ["redis", 3]]);
  const topics = [...new Set([special === "lose-role" ? "editors" : "feed", ...Array.from({ length: dice.below(3) }, () => dice.pick(KINDS))])];
  const phases = Array.from({ length: 2 + dice.below(5) }, () => phase(dice, topics));
  if (special) phases.splice(dice.below(phases.length + 1), 0, [{ do: special }, { do: "lull", ms: dice.below(60) }]);
  // Some of what happens once happens while the client is away.
  if (special && special !== "idle" && dice.chance(0.6)) phases.push([{ do: "away" }, { do: special }, publish(dice, topics), { do: "back" }]);
  return { seed, number, world, transports: dice.weighted(TRANSPORTS), topics, steps: phases.flat() };
}

// Publications on one topic; with `waits` the next step comes when they are accepted.
function publish(dice, topics, topic = dice.pick(topics), count = 1 + dice.below(4)) {
  return { do: "publish", topic, count, waits: dice.chance(0.5), ...(dice.chance(0.1) ? { large: true } : {}) };
}

const somePublications = (dice, topics, most) => Array.from({ length: dice.below(most + 1) }, () => publish(dice, topics));

function phase(dice, topics) {
  const some = (most) => somePublications(dice, topics, most);
  const lull = { do: "lull", ms: dice.below(150) };
  const settle = dice.chance(0.5) ? [{ do: "settle" }] : [];
  // Headers, the handshake and the answer to CONNECT have some hundred bytes, so some cuts come before and some after.
  const cutAfter = { do: "cut-after", bytes: dice.weighted([[dice.below(600), 2], [dice.below(3000), 2], [dice.below(60_000), 1]]) };
  return dice.weighted([
    [[...some(3), ...settle], 3],
    [[...some(2), { do: "cut" }, ...some(2), ...settle], 4],
    [[...some(1), { do: "away" }, ...some(3), lull, { do: "back" }, ...some(2), ...settle], 6],
    [[...some(1), { do: "half-open" }, ...some(2), ...settle], 4],
    // In the middle of a frame.
    [[cutAfter, ...some(4), publish(dice, topics), ...settle], 4],
    // During a recovery.
    [[{ do: "away" }, publish(dice, topics), ...some(3), cutAfter, { do: "back" }, ...some(1), ...settle], 5],
    [Array.from({ length: 2 + dice.below(3) }, () => [{ do: "cut" }, { do: "lull", ms: dice.below(60) }]).flat().concat(some(1)), 3],
    // More than is kept.
    [[{ do: "away" }, publish(dice, topics, topics.at(-1), SHORT_MESSAGES + dice.below(4)), { do: "back" }, ...settle], topics.at(-1) === "short" ? 4 : 1],
    // The last event before the cut is none that can be asked for.
    [topics.includes("plain") ? [publish(dice, topics, "plain"), { do: "settle" }, { do: "cut" }, ...some(2)] : some(2), 2],
    [[{ do: "unsubscribe", topic: dice.pick(topics) }, ...some(2), { do: "subscribe" }, ...some(1)], 2],
  ]);
}
