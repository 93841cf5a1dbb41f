// Counts what readers lose and what they see twice while their connections are cut 50 times and a supervisor writes on.
// `npm run cuts`; CUTS, READERS and PER_SECOND change it. Takes some minutes, so no test runs it.

import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";

import { Feed } from "./page/feed.js";
import { Scene, signIn } from "./scene.mjs";

const CUTS = Number(process.env.CUTS ?? 50);
const READERS = Number(process.env.READERS ?? 10);
const PER_SECOND = Number(process.env.PER_SECOND ?? 20);
// Longer than a reader waits before it tries again.
const PATIENCE_MS = 90_000;
// Every third message is for one enumerator.
const PEOPLE = [undefined, undefined, "ali"];

const scene = await Scene.start();

/** A page's feed without a page, and all that it tells. */
async function reader(user) {
  const { session } = await signIn(scene.url, user);
  const seen = { user, messages: [], states: {} };
  seen.feed = new Feed({
    topics: ["team.north", `inbox.${user}`], session, realtime: scene.door.url,
    onMessage: (message) => seen.messages.push(message),
    onState: ({ state, source }) => {
      const name = source ? `${state} (${source})` : state;
      seen.states[name] = (seen.states[name] ?? 0) + 1;
    },
    onEnd: (reason) => console.error(`${user}'s login ended: ${reason}`),
  });
  seen.feed.start();
  return seen;
}

let isWriting = true;
async function write(posted) {
  const { session } = await signIn(scene.url, "nora");
  while (isWriting) {
    const next = sleep(1000 / PER_SECOND);
    const n = posted.length;
    const draft = { text: `message ${n}`, key: `cuts-${n}-${Date.now()}`, to: PEOPLE[n % PEOPLE.length] };
    const { number } = await session.call("/api/messages", { method: "POST", body: JSON.stringify(draft) });
    posted.push({ number, to: draft.to });
    await next;
  }
}

// What happens to connections, in turn; each returns when the way is free again.
const HARMS = {
  "every connection is cut": () => scene.door.cut(),
  "cut, and websockets are shut for a second": () => shut(1_000, "websocket"),
  "cut, and sockets are shut for three seconds": () => shut(3_000, "websocket", "polling"),
  "cut, and everything is shut for two seconds": () => shut(2_000, "websocket", "polling", "history"),
  "Tidegate is killed and starts again": async () => {
    scene.realtime.child.kill("SIGKILL");
    await once(scene.realtime.child, "exit");
    await scene.startRealtime();
  },
};

async function shut(forMs, ...kinds) {
  scene.door.only(...kinds);
  await sleep(forMs);
  scene.door.shut = new Set();
}

const expectedBy = (user, posted) => posted.filter(({ to }) => to === undefined || to === user).map(({ number }) => number);

function judge(readers, posted) {
  const sum = { expected: 0, lost: 0, doubled: 0, "out of order in a topic": 0, "came again by another way, dropped": 0 };
  for (const { user, messages, feed } of readers) {
    const told = messages.map(({ number }) => number);
    const expected = expectedBy(user, posted);
    sum.expected += expected.length;
    sum.lost += expected.filter((number) => !told.includes(number)).length;
    sum.doubled += told.length - new Set(told).size;
    for (const isDirect of [false, true]) {
      const topic = messages.filter(({ to }) => Boolean(to) === isDirect).map(({ number }) => number);
      sum["out of order in a topic"] += topic.filter((number, index) => number < topic[index - 1]).length;
    }
    for (const { repeated } of feed.topics.values()) sum["came again by another way, dropped"] += repeated;
  }
  return sum;
}

try {
  const readers = await Promise.all(Array.from({ length: READERS }, (_, index) => reader(index % 2 ? "bea" : "ali")));
  const posted = [];
  const writing = write(posted);
  for (let cut = 0; cut < CUTS; cut += 1) {
    const [name, harm] = Object.entries(HARMS)[cut % Object.keys(HARMS).length];
    process.stderr.write(`cut ${cut + 1}: ${name}\n`);
    await harm();
    // Not always long enough for everybody to be back.
    await sleep(Math.random() * 4_000);
  }
  isWriting = false;
  await writing;
  const late = Date.now() + PATIENCE_MS;
  const isDone = () => readers.every(({ user, messages }) => messages.length >= expectedBy(user, posted).length);
  while (!isDone() && Date.now() < late) await sleep(100);
  const states = {};
  for (const reader of readers) for (const [state, times] of Object.entries(reader.states)) states[state] = (states[state] ?? 0) + times;
  console.log({ cuts: CUTS, readers: READERS, posted: posted.length, ...judge(readers, posted), states });
  for (const { feed } of readers) feed.stop();
} finally {
  await scene.stop();
}
