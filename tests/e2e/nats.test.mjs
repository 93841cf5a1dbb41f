// Events from NATS: the manual's example beside a real NATS server, and two nodes, each event put there by NATS's own client.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect, headers } from "@nats-io/transport-node";
import { collect, KEYS, next, Server, subscribe } from "@tidegate/kit/harness.mjs";
import { repository } from "@tidegate/kit/paths.mjs";
import { NatsServer, RedisServer } from "@tidegate/kit/services.mjs";

const CHANNELS = {
  "orders.yaml": `
feature: orders
channels:
  orders.{customer}:
    scope: public
    payload: { type: object, required: [order] }
`,
};
const BRIDGE = `
rules:
  - on: order.*
    to: orders.{customer}
    params: { customer: event.data.customer }
    payload: '{"order": event.data.order}'
`;

async function client(nats) {
  const { username, password, host } = new URL(nats.url);
  return await connect({ servers: host, user: username, pass: password });
}

describe("the example of the manual", () => {
  let nats, server, example;
  before(async () => {
    const section = readFileSync(join(repository, "config/README.md"), "utf8").split("\n## Events from NATS\n")[1].split("\n## ")[0];
    const blocks = [...section.matchAll(/```(yaml|js)\n(?:# (\S+)\n)?(.*?)```/gs)].map(([, language, file, text]) => [file ?? language, text]);
    const files = Object.fromEntries(blocks.reverse());
    nats = await NatsServer.start();
    // Next to this file, where it finds the packages.
    example = join(dirname(fileURLToPath(import.meta.url)), `.nats-example-${process.pid}.mjs`);
    writeFileSync(example, files.js);
    server = await Server.start({
      plugins: false,
      env: { NATS_URL: nats.url },
      files: (directory) => {
        writeFileSync(join(directory, "config/bridge.yaml"), files["config/bridge.yaml"]);
        writeFileSync(join(directory, "channels/orders.yaml"), files["channels/orders.yaml"]);
        const file = join(directory, "config/tidegate.yaml");
        const lines = Object.entries(JSON.parse(readFileSync(file, "utf8"))).map(([key, value]) => `${key}: ${JSON.stringify(value)}`);
        writeFileSync(file, `${lines.join("\n")}\n${files["config/tidegate.yaml"]}`);
      },
    });
  });
  after(async () => {
    await server?.stop();
    await nats?.stop();
    if (example) rmSync(example, { force: true });
  });

  test("a stream that is not there is told with the way to create it, and what is published to it then arrives", async () => {
    const away = await server.printed("bus.away");
    assert.match(away, /there is no stream `ORDERS`: create it with `nats stream add ORDERS/);
    assert.equal((await server.get("/readyz")).status, 503);
    const read = server.printed("bus.back");
    // The first run creates the stream; a node reads what is published after it came.
    const run = () => promisify(execFile)("node", [example], { env: { ...process.env, NATS_URL: nats.url } });
    await run();
    await read;
    const socket = await server.connect();
    await subscribe(socket, "orders.c1");
    const arrival = next(socket, "orders.c1");
    await run();
    assert.deepEqual((await arrival)[0], { order: 7, state: "order.shipped" });
    const metrics = (await server.get("/metrics")).text;
    assert.match(metrics, /tidegate_bus_events_total\{source="nats:ORDERS",outcome="taken"\} 1/);
    assert.ok(!away.includes("a-nats-password"), "no password in the log");
  });

  test("what is no event is a dead letter with its reason", async () => {
    const nc = await client(nats);
    await jetstream(nc).publish("orders.c1", "hello");
    const letters = async () => (await server.get("/v1/dead-letters", { key: KEYS.operator })).body.dead_letters;
    while ((await letters()).length === 0) await new Promise((resolve) => setTimeout(resolve, 20));
    assert.match((await letters())[0].reason, /neither headers `ce-…` nor/);
    await nc.close();
  });
});

for (const mode of ["shared", "fan-out"]) {
  describe(`two nodes with mode: ${mode}`, () => {
    let nats, redis, nodes, nc;
    before(async () => {
      [nats, redis] = await Promise.all([NatsServer.start(), RedisServer.start()]);
      nc = await client(nats);
      await (await jetstreamManager(nc)).streams.add({ name: "ORDERS", subjects: ["orders.>"] });
      const source = { nats: { url: nats.url, stream: "ORDERS", subjects: ["orders.*"], mode, claim_after: "1s" } };
      // The broker carries what one node read to the other; with fan-out both read, and there is none.
      const broker = mode === "shared" ? { broker: redis.url } : {};
      nodes = await Promise.all(["a", "b"].map((node) => Server.start({
        plugins: false,
        channels: CHANNELS,
        files: (directory) => writeFileSync(join(directory, "config/bridge.yaml"), BRIDGE),
        config: (config) => ({ ...config, ...broker, node, bus: [source] }),
      })));
      await Promise.all(nodes.map((node) => node.printed("bus.back")));
    });
    after(async () => {
      await nc?.close();
      await Promise.all((nodes ?? []).map((node) => node.stop()));
      await Promise.all([nats?.stop(), redis?.stop()]);
    });

    test("an event that a public client puts into JetStream reaches each browser-side socket of both nodes once, in order", async () => {
      const sockets = await Promise.all(nodes.map((node) => node.connect()));
      await Promise.all(sockets.map((socket) => subscribe(socket, "orders.c1")));
      const inboxes = sockets.map((socket) => collect(socket, "orders.c1"));
      const js = jetstream(nc);
      for (let order = 1; order <= 20; order += 1) {
        const event = headers();
        const attributes = { specversion: "1.0", type: "order.made", source: "/shop", id: String(order), subject: "Z%C3%BCrich" };
        for (const [name, value] of Object.entries(attributes)) event.set(`ce-${name}`, value);
        await js.publish("orders.c1", JSON.stringify({ customer: "c1", order }), { headers: event });
      }
      const expected = Array.from({ length: 20 }, (_, index) => index + 1);
      const sorted = (orders) => (mode === "shared" ? orders.toSorted((a, b) => a - b) : orders);
      for (const inbox of inboxes) {
        const orders = (await inbox.count(20)).map(({ order }) => order);
        assert.deepEqual(sorted(orders), expected);
      }
      const taken = await Promise.all(nodes.map(async (node) => {
        const metrics = (await node.get("/metrics")).text;
        return Number(metrics.match(/tidegate_bus_events_total\{source="nats:ORDERS",outcome="taken"\} (\d+)/)?.[1] ?? 0);
      }));
      assert.deepEqual(mode === "shared" ? taken[0] + taken[1] : taken, mode === "shared" ? 20 : [20, 20]);
    });
  });
}

describe("a source that cannot be read says why, and what to do", () => {
  const wrong = {
    "a wrong password": [{}, (url) => ({ url: url.replace("a-nats-password", "another") }), /the user, password or token is wrong/],
    "a NATS without JetStream": [{ jetStream: false }, () => ({}), /JetStream is off: start the NATS server with `-js`/],
    "a subject of another stream": [{}, () => ({ subjects: ["bills.>"] }), /no subject that `bills\.>` matches; its subjects are orders\.>/],
    "a user that may not ask": [{ deny: ["$JS.API.CONSUMER.>"] }, () => ({ timeout: "1s" }), /no answer within 1s, but: .*Permissions Violation/],
  };
  for (const [what, [settings, more, why]] of Object.entries(wrong)) {
    test(what, async () => {
      const nats = await NatsServer.start(settings);
      if (settings.jetStream !== false) {
        const nc = await client(nats);
        await (await jetstreamManager(nc)).streams.add({ name: "ORDERS", subjects: ["orders.>"] });
        await nc.close();
      }
      const source = { nats: { url: nats.url, stream: "ORDERS", ...more(nats.url) } };
      const server = await Server.start({ plugins: false, config: (config) => ({ ...config, bus: [source] }) });
      try {
        const away = await server.printed("bus.away");
        assert.match(away, why);
        assert.ok(!away.includes("password@") && !away.includes("another"), away);
        assert.deepEqual((await server.get("/readyz")).body.error.details, { away: ["nats:ORDERS"] });
      } finally {
        await server.stop();
        await nats.stop();
      }
    });
  }
});
