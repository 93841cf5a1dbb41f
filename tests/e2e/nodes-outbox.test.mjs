// Nodes that share a PostgreSQL, as their store and as the outbox that feeds the bridge, through its restarts: an oracle
// knows what was committed, and every subscriber gets that once and in order.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { until } from "@tidegate/kit/cluster.mjs";
import { collect, Server, subscribe, token } from "@tidegate/kit/harness.mjs";
import { PostgresServer } from "@tidegate/kit/services.mjs";

const FAULT_MS = 2000;
const TOPIC = "e2e.room.orders";

const faults = {
  "restarted": (postgres) => postgres.restart(),
  "killed": async (postgres) => {
    await postgres.kill();
    await sleep(FAULT_MS);
    await postgres.restart();
  },
  "frozen": async (postgres) => {
    postgres.freeze();
    await sleep(FAULT_MS);
    postgres.thaw();
  },
};

// An application that publishes one event after the other, each in a transaction of its own.
class Application {
  #writing = true;
  committed = new Set();
  // The connection broke on the way: committed or not, nobody knows.
  unknown = new Set();

  constructor(postgres) {
    this.done = this.#write(postgres);
  }

  async #write(postgres) {
    for (let n = 1; this.#writing; n += 1) {
      const event = JSON.stringify({ room: "orders", n });
      const committed = postgres.sql(`select tidegate_publish('sensor.orders', '${event}', key => 'orders')`);
      await committed.then(() => this.committed.add(n), () => this.unknown.add(n));
      await sleep(20);
    }
  }

  async end() {
    this.#writing = false;
    await this.done;
  }
}

describe("two nodes fed by an outbox", () => {
  for (const [what, fault] of Object.entries(faults)) {
    test(`a PostgreSQL that is ${what}: what was committed reaches every subscriber once and in order`, async () => {
      const postgres = await PostgresServer.start();
      const named = (node) => (config) => ({ ...config, node, store: postgres.url, bus: [{ postgres: { url: postgres.url } }] });
      const nodes = await Promise.all(["a", "b"].map((node) => Server.start({ plugins: false, config: named(node) })));
      try {
        await Promise.all(nodes.map((node) => node.printed("bus.back")));
        const inboxes = [];
        for (const node of [...nodes, ...nodes]) {
          const socket = await node.connect({ token: token(`reader${inboxes.length}`) });
          await subscribe(socket, TOPIC);
          inboxes.push(collect(socket, TOPIC));
        }
        const application = new Application(postgres);
        await until("a load before it", () => application.committed.size >= 10);
        await fault(postgres);
        const before = application.committed.size;
        await until("a load after it", () => application.committed.size >= before + 10);
        await application.end();
        const last = Math.max(...application.committed);
        for (const inbox of inboxes) {
          await until(`number ${last}`, () => inbox.received.some(({ n }) => n === last));
          const received = inbox.received.map(({ n }) => n);
          const owed = new Set(received.filter((n) => application.committed.has(n)));
          assert.deepEqual([...application.committed].filter((n) => !owed.has(n)), [], "what was committed and not received");
          assert.deepEqual(received, [...new Set(received)].sort((one, other) => one - other), "once and in order");
          assert.ok(received.every((n) => application.committed.has(n) || application.unknown.has(n)));
        }
        await until("every node ready", async () => (await Promise.all(nodes.map((node) => node.get("/readyz")))).every(({ status }) => status === 200));
      } finally {
        await Promise.all(nodes.map((node) => node.stop()));
        await postgres.stop();
      }
    });
  }
});
