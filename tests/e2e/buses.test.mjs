// The worked examples of `config/README.md`: each section's own files, served beside a real server, and what it says to do.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";

import { collect, KEYS, next, Server, subscribe, token } from "@tidegate/kit/harness.mjs";
import { binary, repository } from "@tidegate/kit/paths.mjs";
import { PostgresServer, RedisServer } from "@tidegate/kit/services.mjs";

const manual = readFileSync(join(repository, "config/README.md"), "utf8");

// The blocks of a section, by the file that their first line names, or by their language: the first of each.
function blocks(section) {
  const text = manual.split(`\n## ${section}\n`)[1].split("\n## ")[0];
  const found = [...text.matchAll(/```(\w+)\n(?:# (\S+)\n)?(.*?)```/gs)].reverse();
  return Object.fromEntries(found.map(([, language, file, block]) => [file ?? language, block]));
}

// Serves what a section shows: its bus is put into the configuration, its other files are the whole.
async function serve(section, env) {
  const { "config/tidegate.yaml": bus, ...files } = blocks(section);
  const others = Object.entries(files).filter(([name]) => name.includes("/"));
  const server = await Server.start({
    plugins: false,
    env,
    files: (directory) => {
      for (const [name, text] of others) writeFileSync(join(directory, name), text);
      const file = join(directory, "config/tidegate.yaml");
      const config = JSON.parse(readFileSync(file, "utf8"));
      const lines = Object.entries(config).map(([key, value]) => `${key}: ${JSON.stringify(value)}`);
      writeFileSync(file, `${lines.join("\n")}\n${bus}`);
    },
  });
  const read = server.printed("bus.back");
  return { server, blocks: files, read };
}

const letters = async (server) => (await server.get("/v1/dead-letters", { key: KEYS.operator })).body.dead_letters;
const metric = async (server, line) => (await server.get("/metrics")).text.includes(line);

describe("Redis Streams telemetry", () => {
  let redis, server, files;
  before(async () => {
    redis = await RedisServer.start({ persistent: true });
    const served = await serve("Redis Streams telemetry", { REDIS_URL: redis.url });
    ({ server, blocks: files } = served);
    await served.read;
  });
  after(async () => {
    await server?.stop();
    await redis?.stop();
  });

  const add = (...fields) => promisify(execFile)("redis-cli", ["-e", "-u", redis.url, "xadd", "telemetry", "*", ...fields]);

  test("the entry that the manual says to add reaches who is subscribed", async () => {
    const socket = await server.connect();
    await subscribe(socket, "fleet.d1");
    const arrival = next(socket, "fleet.d1");
    const env = { ...process.env, REDIS_URL: redis.url };
    await promisify(execFile)("bash", ["-c", files.sh], { env });
    assert.deepEqual((await arrival)[0], { lat: 52.5, lon: 13.4 });
    assert.ok(await metric(server, 'tidegate_bus_events_total{source="redis:telemetry",outcome="taken"} 1'));
  });

  test("what is no position is a dead letter, and the next one arrives, in order", async () => {
    const socket = await server.connect();
    await subscribe(socket, "fleet.d2");
    const inbox = collect(socket, "fleet.d2");
    await add("device", "d2", "position", '{"lat": 1, "lon": 1}');
    await add("device", "d2", "position", "nowhere");
    await add("device", "d2", "position", '{"lat": "north"}');
    await add("device", "d2", "position", '{"lat": 2, "lon": 2}');
    assert.deepEqual((await inbox.count(2)).map(({ lat }) => lat), [1, 2]);
    const [second, first] = await letters(server);
    assert.match(first.reason, /field `position` is not JSON/);
    assert.match(second.reason, /invalid_payload/);
  });

  test("what was added while the server was away arrives after it came back, and so it is when Redis was", async () => {
    server.signal("SIGTERM");
    assert.equal(await server.ended(), 0);
    await add("device", "d3", "position", '{"lat": 3, "lon": 3}');
    const again = await Server.start({ directory: server.directory, env: { REDIS_URL: redis.url } });
    await server.stop({ keep: true });
    server = again;
    await server.printed("bus.back");
    // It had nobody to reach when it crossed; that it did is counted.
    await assertSoon(() => metric(server, 'tidegate_bus_events_total{source="redis:telemetry",outcome="taken"} 1'));
    const socket = await server.connect();
    await subscribe(socket, "fleet.d3");
    const inbox = collect(socket, "fleet.d3");
    const away = server.logged("bus.away");
    await redis.kill();
    await away;
    await redis.restart();
    await add("device", "d3", "position", '{"lat": 4, "lon": 4}');
    assert.deepEqual((await inbox.count(1)).map(({ lat }) => lat), [4]);
    const shown = JSON.stringify(await server.printed("bus.away"));
    assert.ok(!shown.includes("a-redis-password"), "no password in the log");
  });
});

describe("a Postgres outbox", () => {
  let postgres, server, files;
  before(async () => {
    postgres = await PostgresServer.start();
    const served = await serve("A Postgres outbox", { DATABASE_URL: postgres.url });
    ({ server, blocks: files } = served);
    await served.read;
  });
  after(async () => {
    await server?.stop();
    await postgres?.stop();
  });

  test("what the manual's transaction publishes reaches who is subscribed, and a rollback nobody", async () => {
    const socket = await server.connect();
    await subscribe(socket, "orders.c1");
    const inbox = collect(socket, "orders.c1");
    await postgres.sql(files.sql.replace("commit;", "rollback;"));
    await postgres.sql(files.sql);
    assert.deepEqual(await inbox.count(1), [{ order: 7, state: "order.shipped" }]);
    await assertSoon(async () => (await postgres.sql("select count(*) from tidegate_outbox")) === "0");
  });

  test("the same event by the outbox and over HTTP arrives once", async () => {
    const socket = await server.connect();
    await subscribe(socket, "orders.c2");
    const inbox = collect(socket, "orders.c2");
    await postgres.sql(`select tidegate_publish('order.paid', '{"customer": "c2", "order": 1}', source => '/shop', id => 'e1')`);
    await inbox.count(1);
    const event = { specversion: "1.0", id: "e1", source: "/shop", type: "order.paid", data: { customer: "c2", order: 1 } };
    assert.equal((await server.post("/v1/events", event)).status, 202);
    assert.equal((await server.post("/v1/events", { ...event, id: "e2", data: { customer: "c2", order: 2 } })).status, 202);
    assert.deepEqual((await inbox.count(2)).map(({ order }) => order), [1, 2]);
    assert.ok(await metric(server, 'tidegate_bus_events_total{source="http",outcome="duplicate"} 1'));
  });

  test("what was committed while the server was away, or PostgreSQL down, arrives", async () => {
    const socket = await server.connect();
    await subscribe(socket, "orders.c3");
    const inbox = collect(socket, "orders.c3");
    const away = server.logged("bus.away");
    await postgres.kill();
    await away;
    await postgres.restart();
    await postgres.sql(`select tidegate_publish('order.paid', '{"customer": "c3", "order": 3}')`);
    assert.deepEqual((await inbox.count(1)).map(({ order }) => order), [3]);
    const shown = JSON.stringify(await server.printed("bus.away"));
    assert.ok(!shown.includes("a-postgres-password"), "no password in the log");
  });

  test("a drain takes what was read to the rooms before the sockets close", async () => {
    const socket = await server.connect();
    await subscribe(socket, "orders.c4");
    const inbox = collect(socket, "orders.c4");
    const gone = next(socket, "disconnect");
    await postgres.sql(`select tidegate_publish('order.paid', jsonb_build_object('customer', 'c4', 'order', n)) from generate_series(1, 300) n`);
    await inbox.count(1);
    server.signal("SIGTERM");
    await gone;
    const left = Number(await postgres.sql("select count(*) from tidegate_outbox"));
    // What is behind the cursor was delivered; deleting it is somebody's work later.
    const behind = Number(await postgres.sql(`select count(*) from tidegate_outbox o, tidegate_outbox_cursors c
      where pg_visible_in_snapshot(o.xid, c.read_to) or (pg_visible_in_snapshot(o.xid, c.reading_to) and o.id <= c.after_id)`));
    assert.equal(inbox.received.length, 300 - left + behind);
    assert.equal(await server.ended(), 0);
  });
});

describe("an outbox whose schema belongs to an administrator", () => {
  let postgres, server;
  before(async () => {
    postgres = await PostgresServer.start();
    await postgres.sql("create role tide login password 'a-role-password'; create role shop; create schema app");
    const url = postgres.url.replace(/\/\/[^@]+@/, "//tide:a-role-password@");
    const config = (config) => ({ ...config, bus: [{ postgres: { url, outbox: "app.events" } }] });
    server = await Server.start({ plugins: false, config });
  });
  after(async () => {
    await server?.stop();
    await postgres?.stop();
  });

  const tidegate = (...args) => promisify(execFile)(binary(), args);

  test("the server is not ready and names it; the log says which role lacks what, and the command that mends it", async () => {
    const ready = await server.get("/readyz");
    assert.deepEqual([ready.status, ready.body.error.details], [503, { away: ["postgres:app.events"] }]);
    const line = await server.printed("bus.away");
    assert.match(line, /the role `tide` may not create it: .*permission denied for schema app/);
    assert.match(line, /`tidegate schema outbox --table app.events --server tide` prints the SQL/);
    assert.ok(!line.includes("a-role-password"));
  });

  test("the SQL that the command prints makes it, and the server reads it without a restart", async () => {
    const read = server.printed("bus.back");
    const { stdout } = await tidegate("schema", "outbox", "--table", "app.events", "--server", "tide", "--application", "shop");
    await postgres.sql(stdout);
    await read;
    assert.equal((await server.get("/readyz")).status, 200);
    // It may be run again.
    await postgres.sql(stdout);
  });

  test("a right that is taken away is named with the statements that give it back", async () => {
    await postgres.sql("revoke select on app.events from tide");
    const line = await server.printed("permission denied for table events");
    const statements = /the owner runs `([^`]+)`/.exec(JSON.parse(line).why ?? JSON.parse(line).fields.why)[1];
    assert.match(line, /the role `tide` lacks a right/);
    await postgres.sql(statements);
    const socket = await server.connect({ token: token("u1") });
    await subscribe(socket, "e2e.room.r1");
    const inbox = collect(socket, "e2e.room.r1");
    await postgres.sql(`set role shop; select app.events_publish('sensor.heat', '{"room": "r1", "n": 1}')`);
    assert.deepEqual((await inbox.count(1)).map(({ n }) => n), [1]);
  });
});

async function assertSoon(holds) {
  const until = Date.now() + 20_000;
  while (!(await holds())) {
    assert.ok(Date.now() < until, "it does not come to hold");
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
