// Two nodes and their Redis: what may have been lost between them is told, and asked for on the same connection.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { until } from "@tidegate/kit/harness.mjs";
import { RedisServer } from "@tidegate/kit/services.mjs";

import { Clients, publish, Seen, startServer, state } from "./seen.mjs";

let redis, here, there;
const clients = new Clients();
before(async () => {
  redis = await RedisServer.start();
  const node = (name) => startServer((config) => ({ ...config, node: name, broker: redis.url, }));
  [here, there] = await Promise.all(["n1", "n2"].map(node));
});
after(async () => {
  clients.close();
  await Promise.all([here?.stop(), there?.stop()]);
  await redis?.stop();
});

test("whose Redis starts anew tell a gap; the page asks again on the same connection and goes on", async () => {
  const client = clients.open(here.url, "n1");
  await state(client, "live");
  const key = ({ device }) => device;
  const [feed, plain, fleet] = [new Seen(client, "feed.nodes"), new Seen(client, "plain.nodes"), new Seen(client, "fleet.nodes", { key })];
  for (const seen of [feed, plain, fleet]) await seen.ready();
  await publish(there, "feed.nodes", 1);
  await publish(there, "fleet.nodes", { device: "a", at: 1 });
  await feed.has(1);
  await until("the value", () => fleet.subscription.values.get("a")?.at === 1);

  await redis.restart();
  assert.equal(await plain.hears("gap"), "no_history");
  assert.equal(await feed.hears("gap"), "epoch_changed");
  await fleet.hears("snapshot", 2);
  assert.deepEqual([fleet.of("gap"), fleet.subscription.values.size], [["no_history"], 0], "Redis holds nothing any more");
  await until("the other node", async () => (await there.publish("feed.nodes", 2)).status === 202);
  await publish(there, "plain.nodes", "next");
  await feed.has(1, 2);
  await plain.has("next");
  assert.deepEqual([feed.of("gap").length, plain.of("gap").length, client.states], [1, 1, ["live"]]);
});
