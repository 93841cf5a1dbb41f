// A PgBouncer before a PostgreSQL: what works through it, and what is told where something does not.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";

import { until } from "@tidegate/kit/cluster.mjs";
import { collect, KEYS, Server, subscribe, token } from "@tidegate/kit/harness.mjs";
import { PostgresServer, program, Service } from "@tidegate/kit/services.mjs";

// With so many connections to the server for all clients; its other settings are those that it comes with.
class PgBouncer extends Service {
  ending = "SIGINT";

  static async before(postgres, mode, connections) {
    const pooler = new PgBouncer("pgbouncer");
    Object.assign(pooler, { postgres, mode, connections });
    return await pooler.begin();
  }

  command() {
    const { username, password, hostname, port, pathname } = new URL(this.postgres.url);
    writeFileSync(join(this.directory, "users.txt"), `"${username}" "${password}"\n`, { mode: 0o644 });
    const settings = [
      "[databases]", `${pathname.slice(1)} = host=${hostname} port=${port}`,
      "[pgbouncer]", "listen_addr = 127.0.0.1", `listen_port = ${this.port}`, "unix_socket_dir =",
      "auth_type = scram-sha-256", "auth_file = users.txt", `pool_mode = ${this.mode}`, `default_pool_size = ${this.connections}`,
    ];
    writeFileSync(join(this.directory, "pgbouncer.ini"), settings.join("\n"), { mode: 0o644 });
    return [program("pgbouncer", "pgbouncer", ["/usr/sbin"]), "pgbouncer.ini"];
  }

  ready() {
    return new Promise((resolve) => {
      const socket = connect(this.port, "127.0.0.1", () => socket.end(() => resolve(true)));
      socket.on("error", () => resolve(false));
    });
  }

  get url() {
    return this.postgres.url.replace(`:${this.postgres.port}/`, `:${this.port}/`);
  }
}

describe("a pooler before a PostgreSQL", () => {
  let postgres;
  const poolers = [];
  const pooler = async (mode, connections) => {
    poolers.push(await PgBouncer.before(postgres, mode, connections));
    return poolers.at(-1);
  };
  const serve = (changes) => Server.start({ plugins: false, config: (config) => ({ ...config, ...changes }) });
  before(async () => {
    postgres = await PostgresServer.start();
  });
  after(async () => {
    await Promise.all(poolers.map((pooler) => pooler.stop()));
    await postgres?.stop();
  });

  test("in transaction mode, with two connections for all: outboxes are read by it, and heard of by a direct address", async () => {
    const { url } = await pooler("transaction", 2);
    // Rows are heard of at once only by `LISTEN`.
    const bus = [{ postgres: { url, listen_url: postgres.url, poll: "30s", batch: 10 } }];
    const nodes = await Promise.all(["a", "b", "c"].map((node) => serve({ node, bus })));
    try {
      const inboxes = await Promise.all(nodes.map(async (node, index) => {
        await node.printed("bus.back");
        const socket = await node.connect({ token: token(`reader${index}`) });
        await subscribe(socket, "e2e.room.pool");
        return collect(socket, "e2e.room.pool");
      }));
      const listens = "select count(*) from pg_stat_activity where query ilike 'listen%tidegate_outbox%'";
      await until("everybody listens", async () => (await postgres.sql(listens)) === String(nodes.length));
      const numbers = Array.from({ length: 50 }, (_, n) => n);
      for (const n of numbers) await postgres.sql(`select tidegate_publish('sensor.pool', '{"room": "pool", "n": ${n}}')`);
      for (const inbox of inboxes) assert.deepEqual((await inbox.count(50)).map(({ n }) => n), numbers);
    } finally {
      await Promise.all(nodes.map((node) => node.stop()));
    }
  });

  test("in session mode: the store of two nodes is used by it", async () => {
    const { url } = await pooler("session", 60);
    const nodes = await Promise.all([1, 2].map(() => serve({ store: url })));
    try {
      const event = { specversion: "1.0", type: "sensor.pool", source: "/e2e", id: "1", data: { room: "pool", n: 1.5 } };
      assert.equal((await nodes[0].post("/v1/events", event)).status, 202);
      const kept = async () => (await nodes[1].get("/v1/dead-letters", { key: KEYS.operator })).body.kept;
      await until("the other has the dead letter", async () => (await kept()) === 1);
      for (const node of nodes) assert.equal((await node.get("/readyz")).status, 200);
    } finally {
      await Promise.all(nodes.map((node) => node.stop()));
    }
  });

  test("in transaction mode: the store says what is between", async () => {
    const { url } = await pooler("transaction", 1);
    // It may not come to a start, or the first that is not its own comes a little later.
    const told = await serve({ store: url }).then(
      async (server) => {
        try {
          return await server.printed("store.away");
        } finally {
          await server.stop();
        }
      },
      (error) => error.message,
    );
    assert.match(told, /prepared statement.*hint: a pooler in transaction mode.*session mode/);
  });
});
