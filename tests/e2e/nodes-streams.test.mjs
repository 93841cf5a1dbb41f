// Nodes that Redis Streams feed: an oracle knows every entry that Redis accepted, and each subscriber gets it or is told of a
// gap; and nodes that share a stream, of which one is killed with what it had claimed.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { Cluster, faults, Load, until } from "@tidegate/kit/cluster.mjs";
import { fedByStream, sharingStream, StreamFeed } from "@tidegate/kit/feeds.mjs";
import { collect, subscribe, token } from "@tidegate/kit/harness.mjs";
import { RedisLink } from "@tidegate/kit/redis-link.mjs";

const FAULT_MS = 2000;

describe("an oracle over a stream that every node reads by itself, with no broker between them", () => {
  const all = {
    ...faults(FAULT_MS),
    "a Redis that forgot what a node had not read": async ({ redis, nodes: [, node] }) => {
      node.signal("SIGSTOP");
      await sleep(FAULT_MS / 2);
      await redis.kill();
      node.signal("SIGCONT");
      await sleep(FAULT_MS / 2);
      await redis.restart();
    },
  };
  for (const [what, fault] of Object.entries(all)) {
    test(`${what}: what Redis accepted is received once and in order, or a gap is told`, async () => {
      const cluster = await Cluster.start({ nodes: 3, persistent: what.includes("kept"), config: fedByStream() });
      const feed = new StreamFeed(cluster.redis);
      try {
        await Promise.all(cluster.nodes.map((node) => node.printed("bus.back")));
        const load = await Load.start(cluster, { feed });
        // A load before and after it.
        await sleep(500);
        await fault(cluster);
        await sleep(500);
        const figures = await load.end();
        assert.deepEqual(figures.violations, [], JSON.stringify(figures));
        assert.ok(figures.received > 0, JSON.stringify(figures));
        if (what.includes("had not read")) assert.ok(figures.toldOfGap > 0, JSON.stringify(figures));
      } finally {
        feed.close();
        await cluster.stop();
      }
    });
  }
});

describe("two nodes that share a stream, and a broker between them", () => {
  const TOPIC = "e2e.room.shared";
  const BATCH = 10;
  const GROUP = "tidegate";
  let cluster, feed, link, inboxes;
  const sockets = [];
  // The number of each entry, by its id.
  const numbers = new Map();

  before(async () => {
    cluster = await Cluster.start({ config: sharingStream({ batch: BATCH, claim_after: "1s" }) });
    feed = new StreamFeed(cluster.redis);
    await Promise.all(cluster.nodes.map((node) => node.printed("bus.back")));
    link = await RedisLink.open(cluster.redis.url);
    inboxes = await Promise.all([...cluster.nodes, ...cluster.nodes].map(read));
  });
  after(async () => {
    for (const socket of sockets) socket.close();
    feed?.close();
    link?.close();
    await cluster?.stop();
  });

  async function read(node, index) {
    const socket = await node.connect({ token: token(`reader${index}`) });
    sockets.push(socket);
    await subscribe(socket, TOPIC);
    return collect(socket, TOPIC);
  }

  async function add(count) {
    const added = [];
    for (let one = 0; one < count; one += 1) {
      const n = numbers.size + 1;
      numbers.set(await feed.publish(TOPIC, n), n);
      added.push(n);
    }
    return added;
  }

  const counts = ({ received }) => {
    const times = new Map();
    for (const { n } of received) times.set(n, (times.get(n) ?? 0) + 1);
    return times;
  };
  const hasAll = (inbox, wanted) => until("every event", () => wanted.every((n) => counts(inbox).has(n)));
  // What a node has and did not acknowledge, by its number.
  const claimed = async (...consumer) =>
    (await link.ask("XPENDING", "load", GROUP, "-", "+", 1000, ...consumer)).map(([id]) => numbers.get(id));
  const allAcknowledged = () => until("every acknowledgement", async () => (await claimed()).length === 0);
  const taken = async (node) =>
    Number(/^tidegate_bus_events_total\{source="redis:load",outcome="taken"\} (\d+)$/m.exec((await node.get("/metrics")).text)?.[1] ?? 0);

  test("the nodes share the work, and every event reaches the subscribers of both, once", async () => {
    const added = await add(300);
    await Promise.all(inboxes.map((inbox) => hasAll(inbox, added)));
    await allAcknowledged();
    for (const inbox of inboxes) assert.deepEqual(inbox.received.map(({ n }) => n).sort((a, b) => a - b), added);
    const [one, other] = await Promise.all(cluster.nodes.map(taken));
    assert.ok(one > 0 && other > 0, `${one} and ${other}`);
    assert.equal(one + other, added.length);
  });

  test("what a killed node had claimed and not acknowledged is taken over: nothing is lost, and nothing else comes twice", async () => {
    const [, killed] = cluster.nodes;
    const ours = inboxes.filter((_, index) => index % 2 === 0);
    const before = numbers.size;
    // Stopped while it waits, it is given an entry and does nothing with it; between two waits it is given none.
    let held = [];
    while (held.length === 0) {
      killed.signal("SIGSTOP");
      await add(4);
      held = await claimed("n1");
      if (held.length === 0) killed.signal("SIGCONT");
    }
    killed.signal("SIGKILL");
    await killed.ended();
    const added = [...numbers.values()].filter((n) => n > before).concat(await add(20));
    for (const inbox of ours) {
      await hasAll(inbox, added);
      const twice = [...counts(inbox)].filter(([, times]) => times > 1).map(([n]) => n);
      assert.deepEqual(twice.filter((n) => !held.includes(n)), [], "only what it had claimed may come again");
    }
    await allAcknowledged();
    await cluster.restartNode(1);
    await cluster.ready();
    inboxes[1] = await read(cluster.nodes[1], 1);
    const again = await add(20);
    for (const inbox of [...ours, inboxes[1]]) await hasAll(inbox, again);
  });

  test("a node that is killed in the middle of its work costs nothing but a batch that may come twice", async () => {
    const [ours] = inboxes;
    const before = ours.received.length;
    const adding = add(400);
    await until("it is at work", () => ours.received.length > before + 100);
    cluster.nodes[1].signal("SIGKILL");
    await cluster.nodes[1].ended();
    const added = await adding;
    await hasAll(ours, added);
    await allAcknowledged();
    const times = counts(ours);
    const again = added.reduce((sum, n) => sum + times.get(n) - 1, 0);
    assert.ok(again <= BATCH, `${again} came again`);
  });
});
