// Two nodes behind the nginx and the HAProxy of config/deploy, with stock clients of many addresses.

import assert from "node:assert/strict";
import { request } from "node:https";
import { after, before, describe, test } from "node:test";

import { Haproxy, Nginx } from "@tidegate/kit/balancers.mjs";
import { Cluster, KEPT, Load } from "@tidegate/kit/cluster.mjs";
import { ask, KEYS, next, token, within } from "@tidegate/kit/harness.mjs";

// So many that not all of them come to one node, whatever the ports are.
const CLIENTS = 24;
const FAILED_CONNECTS = 5;

const addressOf = (number) => `127.0.${number + 1}.1`;
const kept = "kept.room.balanced";

// The body limit of the files is that of the shipped configuration.
const config = (one) => ({
  ...one,
  dashboard: "on",
  auth: { ...one.auth, trusted_proxies: ["127.0.0.1"] },
  limits: { ...one.limits, failed_connects: FAILED_CONNECTS },
  api_keys: [...one.api_keys, { name: "reader", key: KEYS.backend.replace("backend", "reader"), may: ["read"] }],
});

// The next event of a stream, read up to its end: an empty line.
async function nextEvent(stream) {
  const reads = (async () => {
    let text = "";
    for await (const chunk of stream.iterator({ destroyOnReturn: false })) {
      text += chunk;
      if (text.endsWith("\n\n")) return text;
    }
    throw new Error(`the stream ended: ${text}`);
  })();
  return await within("an event of the stream", reads);
}

for (const Balancer of [Nginx, Haproxy]) {
  describe(`two nodes behind ${Balancer.name} as config/deploy has it`, () => {
    let cluster;
    let balancer;
    before(async () => {
      cluster = await Cluster.start({ channels: KEPT, config });
      balancer = await Balancer.start(...cluster.nodes.map(({ address }) => address));
    });
    after(async () => {
      await balancer?.stop();
      await cluster?.stop();
    });

    // How the client of this number comes in: every other one only polls, the others begin so and go over to a websocket.
    const way = (number) => ({
      url: balancer.url,
      agent: balancer.from(addressOf(number)),
      transports: number % 2 ? ["polling"] : ["polling", "websocket"],
    });
    const connections = () => Promise.all(cluster.nodes.map((node) => node.metric("tidegate_connections ")));

    test("serve clients that poll and clients that go over to a websocket, on both nodes", async () => {
      const sockets = Array.from({ length: CLIENTS }, (_, number) => cluster.nodes[0].client({ token: token(`u${number}`), ...way(number) }));
      const upgraded = sockets.filter((_, number) => number % 2 === 0).map(({ io }) => next(io.engine, "upgrade"));
      await Promise.all([...sockets.map((socket) => next(socket, "connect")), ...upgraded]);
      const [first, second] = await connections();
      assert.equal(first + second, CLIENTS);
      assert.ok(first > 0 && second > 0, `${first} and ${second} connections`);
      for (const socket of sockets) socket.close();
    });

    for (const transport of ["polling", "websocket"]) {
      test(`give a client whose ${transport} was cut what it missed`, async () => {
        const socket = cluster.nodes[0].client({ token: token("u1"), ...way(0), transports: [transport] });
        await next(socket, "connect");
        const { position } = await ask(socket, "subscribe", { channel: kept });
        // As far as a client goes without a word to the server.
        const back = next(socket, "connect");
        socket.io.engine.close();
        assert.equal((await cluster.nodes[1].publish(kept, { n: 1 })).status, 202);
        await back;
        const { recovered, publications } = await ask(socket, "subscribe", { channel: kept, since: position });
        assert.equal(recovered, true);
        assert.deepEqual(publications.map(({ payload }) => payload), [{ n: 1 }]);
        socket.close();
      });
    }

    test("lose nothing when one of them drains while clients receive and others publish", async () => {
      const load = await Load.start(cluster, { subscribers: CLIENTS / 2, kept: true, way });
      const [, there] = await connections();
      await cluster.restartNode(1, { signal: "SIGTERM" });
      const { violations, owed, received } = await load.end();
      assert.deepEqual(violations, []);
      assert.ok(owed > 0);
      assert.equal(received, owed, "each client has everything: what it missed, too");
      const moved = load.subscribers.filter(({ connections }) => connections > 1);
      assert.ok(moved.length >= there && there > 0, `${moved.length} clients came back, and ${there} were there`);
    });

    test("pass a stream on event by event", async () => {
      const path = "/v1/channels/kept.room.streamed/history";
      const headers = { authorization: `Bearer ${KEYS.backend.replace("backend", "reader")}`, accept: "text/event-stream" };
      const asked = request(`${balancer.url}${path}`, { agent: balancer.from(addressOf(0)), headers }).end();
      const stream = await new Promise((resolve, reject) => asked.once("response", resolve).once("error", reject));
      stream.setEncoding("utf8");
      let event = await nextEvent(stream);
      while (!event.includes("subscribed")) event = await nextEvent(stream);
      for (const n of [1, 2]) {
        assert.equal((await cluster.nodes[n - 1].publish("kept.room.streamed", { n })).status, 202);
        assert.match(await nextEvent(stream), new RegExp(`"payload":\\{"n":${n}\\}`));
      }
      asked.destroy();
    });

    test("know whose login failed, whatever address the client claims", async () => {
      const code = async (number, claimed) => {
        const extraHeaders = claimed ? { "x-forwarded-for": claimed, "x-forwarded-host": "evil.example.com", forwarded: `for=${claimed}` } : {};
        const socket = cluster.nodes[0].client({ ...way(number), transports: ["websocket"], reconnection: false, extraHeaders, token: "nonsense" });
        const [error] = await next(socket, "connect_error");
        socket.close();
        return error.data?.code ?? "refused before gate 1";
      };
      // The node that refuses an address leaves it to another one, which counts for itself, unless that is known to be away.
      const codes = [];
      while (codes.at(-1) !== "refused before gate 1" && codes.length <= 2 * FAILED_CONNECTS) codes.push(await code(1, `192.0.2.${codes.length}`));
      assert.equal(codes.pop(), "refused before gate 1");
      assert.deepEqual(new Set(codes), new Set(["unauthenticated"]));
      assert.ok(codes.length >= FAILED_CONNECTS, `${codes.length} failed logins`);
      // Another client is judged by its own address.
      assert.equal(await code(2), "unauthenticated");
    });

    test("sign an operator in by TLS, for the dashboard of each node", async () => {
      const headers = { origin: balancer.url, "content-type": "application/json" };
      const body = JSON.stringify({ key: KEYS.operator });
      const { status, cookie } = await balancer.ask("/v1/operator/session", { method: "POST", headers, body, from: addressOf(4) });
      assert.equal(status, 200);
      assert.match(cookie, /^tidegate_operator=.*; HttpOnly; SameSite=Strict;.*; Secure$/);
      const cookies = { cookie: cookie.split(";")[0] };
      for (const node of cluster.nodes) assert.equal((await fetch(`${node.url}/v1/operator/session`, { headers: cookies })).status, 200);
    });

    test("bound a body before it comes to a node, and keep the metrics inside", async () => {
      const headers = { authorization: `Bearer ${KEYS.backend}`, "content-type": "application/json" };
      const publish = (bytes) => balancer.ask("/v1/publish", { method: "POST", headers, body: "x".repeat(bytes), from: addressOf(3) });
      assert.equal((await publish(4 << 20)).status, 400, "as long as `limits.batch` allows: judged by the node");
      assert.equal((await publish((4 << 20) + 1)).status, 413);
      assert.equal((await balancer.ask("/metrics", { from: addressOf(3) })).status, 404);
      assert.equal((await balancer.ask("/readyz", { from: addressOf(3) })).status, 200);
    });
  });
}
