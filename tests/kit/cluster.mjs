// Several nodes that share a broker, Redis or NATS, a steady load on them, and an oracle: it knows every publication that was accepted,
// and says afterwards whether each subscriber that should have received it did, once, or was told of a gap.

import { EventEmitter, once } from "node:events";
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

import { Cable } from "./cable.mjs";
import { ask, Server, token, within } from "./harness.mjs";
import { NatsServer, RedisServer } from "./services.mjs";

// Longer than anything takes to come back.
const PATIENCE_MS = 60_000;
const LOOK_INTERVAL_MS = 20;

// Resolves once `happened` says so.
export async function until(what, happened) {
  const looking = (async () => {
    while (!(await happened())) await sleep(LOOK_INTERVAL_MS);
  })();
  return await within(what, looking, PATIENCE_MS);
}

// The brokers that nodes may share, by the names that people know them by.
export const BROKERS = { Redis: RedisServer, NATS: NatsServer };

export class Cluster {
  // `nodes` of them on one broker; `config` changes the configuration of each, which it is told the number of; `files` are
  // written before they start; `programs` are the binaries of the first ones, where they are of other versions. A NATS is
  // reached by a cable that can be cut, unless the way is to be measured.
  static async start({
    broker = "Redis", nodes = 2, persistent = false, channels, config = (config) => config, files, programs = [], isMeasured = false,
  } = {}) {
    const cluster = new Cluster();
    cluster.broker = await BROKERS[broker].start({ persistent });
    // What only a test on Redis asks for.
    if (broker === "Redis") cluster.redis = cluster.broker;
    else if (!isMeasured) cluster.cable = await Cable.to(cluster.broker.port);
    const url = cluster.cable ? cluster.broker.url.replace(/\d+$/, cluster.cable.port) : cluster.broker.url;
    const shared = (one) => ({ ...one, broker: url, limits: { ...one.limits, broker_timeout: "1s" } });
    cluster.config = (one, index = cluster.nodes.length) => config(shared(one), index, cluster);
    cluster.nodes = await Promise.all(
      Array.from({ length: nodes }, (_, index) =>
        Server.start({ plugins: false, channels, files, config: (one) => cluster.config(one, index), program: programs[index] })),
    );
    await cluster.ready();
    return cluster;
  }

  // Every node reaches the others.
  ready = () => until("every node ready", async () => {
    const answers = await Promise.all(this.nodes.map((node) => node.get("/readyz").catch(() => ({ status: 0 }))));
    return answers.every(({ status }) => status === 200);
  });

  // Ends every link of every node, as a network does that forgets them.
  async cutLinks() {
    if (this.cable) return this.cable.interrupt();
    const { port, password } = new URL(this.redis.url);
    const socket = connect(Number(port), "127.0.0.1");
    socket.write(`AUTH ${password}\r\nCLIENT KILL TYPE pubsub\r\nCLIENT KILL TYPE normal SKIPME yes\r\n`);
    let answer = "";
    while (answer.split("\r\n").length < 4) answer += (await once(socket, "data"))[0];
    socket.destroy();
  }

  // A signal, and once it has ended and some time has passed the same node again on the same port, perhaps of another version.
  async restartNode(index, { signal = "SIGKILL", killedMs = 0, program = this.nodes[index].program } = {}) {
    const node = this.nodes[index];
    node.signal(signal);
    await node.ended();
    await sleep(killedMs);
    this.nodes[index] = await Server.start({ directory: node.directory, listen: node.address, program });
  }

  async stop() {
    await Promise.all((this.nodes ?? []).map((node) => node.stop()));
    this.cable?.stop();
    await this.broker.stop();
  }
}

const killed = (forMs) => async ({ broker }) => {
  await broker.kill();
  await sleep(forMs);
  await broker.restart();
};

// What may happen to a cluster, each for so long, by name. A broker that keeps its data is `persistent`.
export const faults = (forMs, broker = "Redis") => ({
  [`a ${broker} that was killed and forgot`]: killed(forMs),
  [`a frozen ${broker}`]: async (cluster) => {
    cluster.broker.freeze();
    await sleep(forMs);
    cluster.broker.thaw();
  },
  "links that were cut, again and again": async (cluster) => {
    for (let time = 0; time < 4; time += 1) {
      await cluster.cutLinks();
      await sleep(forMs / 4);
    }
  },
  "a node that was rolled": (cluster) => cluster.restartNode(1, { signal: "SIGTERM" }),
  "a node that was killed": (cluster) => cluster.restartNode(1, { killedMs: forMs }),
  [`a ${broker} that was killed and kept its data`]: killed(forMs),
});

// What a channel keeps for subscribers that come back: history, the newest value, and who is there.
export const KEPT = {
  "kept.yaml": JSON.stringify({
    feature: "kept",
    channels: {
      "kept.room.{room}": {
        scope: "authenticated", payload: {}, presence: true,
        history: { messages: 10_000, bytes: "16MiB" }, snapshot: { retain: "latest" },
      },
    },
  }),
};

// One stock client, which subscribes to all topics whenever it connects, and remembers what it saw. On topics that are kept
// it asks for what it missed.
class Subscriber {
  constructor(server, name, topics, way) {
    this.name = name;
    this.rosters = new Map(topics.map((topic) => [topic, new Roster(name)]));
    this.arrivals = new EventEmitter().setMaxListeners(0);
    // By topic: the times it was subscribed, the publications received with the connection, and the times of gaps.
    this.topics = new Map(topics.map((topic) => [topic, { spans: [], received: [], gaps: [], position: undefined }]));
    this.socket = server.client({ token: token(name), ...way });
    this.socket.on("connect", () => topics.forEach((topic) => this.#subscribe(topic)));
    this.socket.on("disconnect", () => {
      for (const { spans } of this.topics.values()) {
        const last = spans.at(-1);
        if (!last) continue;
        last.to ??= performance.now();
        last.connections.at(-1).to ??= performance.now();
      }
    });
    this.socket.on("tidegate", ({ type, channel, ...change }) => {
      if (type === "gap") this.topics.get(channel)?.gaps.push(performance.now());
      if (type === "presence") this.rosters.get(channel)?.changes(change);
    });
    for (const [topic, seen] of this.topics) {
      this.socket.on(topic, ({ n }, meta) => {
        seen.received.push({ n, connection: this.socket.id });
        if (meta?.epoch) seen.position = { epoch: meta.epoch, offset: meta.offset };
        this.arrivals.emit("arrival");
      });
    }
  }

  async #subscribe(topic) {
    const { id } = this.socket;
    // Refused while the broker is away: a client tries again.
    while (this.socket.id === id && this.socket.connected) {
      const since = this.topics.get(topic).position;
      const asked = { channel: topic, ...(since ? { since } : {}) };
      // In the callback: publications may stand behind the ack in the same packet.
      const answer = new Promise((resolve) => {
        const cut = () => resolve({ ok: false });
        this.socket.once("disconnect", cut);
        this.socket.emit("subscribe", asked, (ack) => {
          this.socket.off("disconnect", cut);
          if (ack.ok && this.socket.id === id) this.#begin(topic, ack, id);
          resolve(ack);
        });
      });
      const ack = await within("ack of `subscribe`", answer).catch(() => ({ ok: false }));
      if (this.socket.id !== id || ack.ok) return;
      await sleep(LOOK_INTERVAL_MS);
    }
  }

  // A subscription begins, or goes on with everything that was missed.
  #begin(topic, { position, recovered, publications = [], presence }, connection) {
    const seen = this.topics.get(topic);
    if (recovered) {
      const last = seen.spans.at(-1);
      last.to = undefined;
      last.connections.push({ from: performance.now(), to: undefined });
      seen.received.push(...publications.map(({ payload: { n } }) => ({ n, connection, isRecovered: true })));
    } else {
      const connections = [{ from: performance.now(), to: undefined }];
      seen.spans.push({ from: performance.now(), to: undefined, connections });
    }
    if (position) seen.position = publications.at(-1)?.meta ?? position;
    if (presence) this.rosters.get(topic).begin(presence);
    this.arrivals.emit("arrival");
  }

  async subscribed() {
    const all = (async () => {
      while (![...this.topics.values()].every(({ spans }) => spans.length && spans.at(-1).to === undefined)) {
        await once(this.arrivals, "arrival");
      }
    })();
    await within(`${this.name} subscribed`, all, PATIENCE_MS);
  }

  // How many connections it has had.
  get connections() {
    const [{ spans }] = this.topics.values();
    return spans.reduce((sum, { connections }) => sum + connections.length, 0);
  }

  async received(topic, n) {
    const { received } = this.topics.get(topic);
    const arrived = (async () => {
      while (!received.some((one) => one.n === n)) await once(this.arrivals, "arrival");
    })();
    await within(`${n} on ${topic} at ${this.name}`, arrived, PATIENCE_MS);
  }
}

// Who is on a topic, as one client knows it from its acks and from the changes.
class Roster {
  users = new Set();
  // Who was told to have left, and when.
  left = [];

  begin({ members }) {
    this.users = new Set(members.map(({ user }) => user));
  }

  changes({ joined, left }) {
    for (const { user } of joined) this.users.add(user);
    for (const { user } of left) {
      this.users.delete(user);
      this.left.push({ user, at: performance.now() });
    }
  }
}

export class Load {
  #publications = [];
  #number = 0;
  #stopped = false;
  #publishers = [];

  // Subscribers of every topic on every node, and for each node and topic one that publishes, one after the other. With a
  // `feed` it is that which publishes, for each topic one after the other: `feed.publish(topic, n)` says whether it was
  // accepted, or fails where nobody knows. With `kept` the cluster has the channels of `KEPT`. `way(number)` says how each
  // subscriber connects, where it does not come to its node itself.
  static async start(cluster, { topics = 3, subscribers = 2, perSecond = 10, feed, kept = false, way = () => ({}) } = {}) {
    const load = new Load();
    load.cluster = cluster;
    load.feed = feed;
    load.kept = kept;
    load.topics = Array.from({ length: topics }, (_, index) => `${kept ? "kept" : "e2e"}.room.load${index}`);
    load.subscribers = cluster.nodes.flatMap((node, at) =>
      Array.from({ length: subscribers }, (_, index) =>
        new Subscriber(node, `node${at}-${index}`, load.topics, way(at * subscribers + index))),
    );
    await Promise.all(load.subscribers.map((subscriber) => subscriber.subscribed()));
    for (const [from, topic] of load.#roads()) load.#publishers.push(load.#publish(from, topic, 1000 / perSecond));
    return load;
  }

  // Who publishes on what.
  #roads() {
    const from = this.feed ? ["the feed"] : [...this.cluster.nodes.keys()];
    return from.flatMap((one) => this.topics.map((topic) => [one, topic]));
  }

  // Publishes once; the oracle knows when, where, and what the answer was.
  async #once(from, topic) {
    const n = (this.#number += 1);
    const publication = { n, topic, node: from, sent: performance.now(), accepted: false };
    this.#publications.push(publication);
    try {
      if (this.feed) {
        publication.accepted = Boolean(await this.feed.publish(topic, n));
      } else {
        const { status } = await this.cluster.nodes[from].publish(topic, { n });
        publication.accepted = status === 202;
        publication.status = status;
      }
    } catch {
      // Nobody answers: the node was killed, or what feeds it. It may have taken it.
    }
    publication.answered = performance.now();
    return publication;
  }

  // Everybody knows who is there, nobody was told to have left who stayed, and every node gives the last value to who comes.
  async #judgeKept() {
    const violations = [];
    const names = this.subscribers.map(({ name }) => name);
    for (const subscriber of this.subscribers) {
      for (const [topic, roster] of subscriber.rosters) {
        const knows = () => names.every((name) => roster.users.has(name)) && roster.users.size === names.length;
        await until(`who is on ${topic}`, knows).catch(() => violations.push(`${subscriber.name} knows ${[...roster.users]} on ${topic}`));
        for (const { user, at } of roster.left) {
          const { spans } = this.subscribers.find(({ name }) => name === user).topics.get(topic);
          const stayed = spans.some(({ connections }) => connections.some(({ from, to = Infinity }) => from < at && at < to));
          if (stayed) violations.push(`${subscriber.name} was told that ${user} left ${topic}, and it stayed`);
        }
      }
    }
    for (const topic of this.topics) {
      const last = this.#publications.findLast((one) => one.topic === topic).n;
      for (const [index, node] of this.cluster.nodes.entries()) {
        const socket = await node.connect({ token: token("newcomer") });
        const { snapshot = [] } = await ask(socket, "subscribe", { channel: topic });
        if (snapshot[0]?.payload.n !== last) violations.push(`node ${index} gives ${JSON.stringify(snapshot)} on ${topic}, and ${last} is the last one`);
        socket.close();
      }
    }
    return violations;
  }

  async #publish(from, topic, everyMs) {
    while (!this.#stopped) {
      const began = performance.now();
      await this.#once(from, topic);
      await sleep(Math.max(0, everyMs - (performance.now() - began)));
    }
  }

  // Ends the load once all is well again, and says what came of it.
  async end() {
    await this.cluster.ready();
    await Promise.all(this.subscribers.map((subscriber) => subscriber.subscribed()));
    this.#stopped = true;
    await Promise.all(this.#publishers);
    // One more from everywhere, which everyone gets after everything else.
    for (const [from, topic] of this.#roads()) {
      const last = await this.#once(from, topic);
      if (!last.accepted) throw new Error(`not accepted after all was well: ${JSON.stringify(last)}`);
      await Promise.all(this.subscribers.map((subscriber) => subscriber.received(topic, last.n)));
    }
    // Before the clients end: whoever is disconnected knows that it misses something.
    const figures = judge(this.#publications, this.subscribers, { isReadAgain: this.feed !== undefined });
    if (this.kept) figures.violations.push(...(await this.#judgeKept()));
    for (const { socket } of this.subscribers) socket.close();
    return figures;
  }
}

// Whether a subscriber was subscribed from before a publication was sent until now, or until it was disconnected and so
// knew that it missed something: `owed` it is, once.
const spanOf = (spans, publication) => spans.find(({ from, to = Infinity }) => from < publication.sent && publication.answered < to);

// With `isReadAgain` what a node that was killed had not acknowledged comes again, but never twice by one connection.
export function judge(publications, subscribers, { isReadAgain = false } = {}) {
  const figures = {
    published: publications.length,
    accepted: publications.filter(({ accepted }) => accepted).length,
    owed: 0, received: 0, recovered: 0, toldOfGap: 0, gaps: 0, longestRefusedMs: 0, violations: [],
  };
  const violation = (what, subscriber, { n, topic, node }) => {
    if (figures.violations.length < 20) figures.violations.push(`${what}: ${n} from ${node} on ${topic} at ${subscriber.name}`);
  };
  const byTopic = Map.groupBy ? Map.groupBy(publications, ({ topic }) => topic) : groupBy(publications);
  for (const subscriber of subscribers) {
    for (const [topic, { spans, received, gaps }] of subscriber.topics) {
      const times = new Map();
      for (const { n } of received) times.set(n, (times.get(n) ?? 0) + 1);
      const known = new Set();
      figures.gaps += gaps.length;
      figures.recovered += received.filter(({ isRecovered }) => isRecovered).length;
      const published = byTopic.get(topic) ?? [];
      const byNumber = new Map(published.map((publication) => [publication.n, publication]));
      for (const publication of published) {
        const count = times.get(publication.n) ?? 0;
        if (count > 1 && !isReadAgain) violation(`received ${count} times`, subscriber, publication);
        const span = publication.accepted && spanOf(spans, publication);
        if (!span) continue;
        figures.owed += 1;
        if (count > 0) figures.received += 1;
        // The client was disconnected after it: it knows.
        else if (span.to !== undefined || gaps.some((at) => at > publication.sent)) figures.toldOfGap += 1;
        else violation("missed and not told", subscriber, publication);
      }
      const latest = new Map();
      for (const { n, connection } of received) {
        const { node } = byNumber.get(n);
        const from = isReadAgain ? `${connection} ${node}` : node;
        if (n < (latest.get(from) ?? 0)) violation("out of order", subscriber, byNumber.get(n));
        if (isReadAgain && known.has(`${connection} ${n}`)) violation("received twice by one connection", subscriber, byNumber.get(n));
        known.add(`${connection} ${n}`);
        latest.set(from, n);
      }
    }
  }
  figures.longestRefusedMs = longestRefused(publications);
  return figures;
}

function groupBy(publications) {
  const groups = new Map();
  for (const publication of publications) groups.set(publication.topic, [...(groups.get(publication.topic) ?? []), publication]);
  return groups;
}

// The longest time in which a node accepted nothing on a topic.
function longestRefused(publications) {
  const last = new Map();
  let longest = 0;
  for (const { node, topic, accepted, answered } of [...publications].sort((a, b) => a.answered - b.answered)) {
    if (!accepted) continue;
    const key = `${node} ${topic}`;
    longest = Math.max(longest, answered - (last.get(key) ?? answered));
    last.set(key, answered);
  }
  return Math.round(longest);
}
