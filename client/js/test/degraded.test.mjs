// Where no socket can be had, the histories are polled; whatever carries a publication, it comes once and in order.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { now, Server, token, until } from "@tidegate/kit/harness.mjs";
import { Line } from "@tidegate/kit/line.mjs";
import { RefusingProxy } from "@tidegate/kit/proxies.mjs";

import { Clients, numbers, publish, Seen, startServer, state } from "./seen.mjs";

describe("without a socket", () => {
  let server, proxy;
  const clients = new Clients();
  before(async () => {
    server = await startServer();
  });
  after(async () => {
    clients.close();
    proxy?.stop();
    await server?.stop();
  });
  const behindProxy = async (refused, user, options) => {
    proxy?.stop();
    proxy = await RefusingProxy.start(server.address);
    proxy.refuse(refused);
    return clients.open(proxy.url, user, { ...options, socket: { transports: ["polling", "websocket"], ...options?.socket } });
  };

  // Over a websocket: a stock client whose websocket is cut while it goes over to it notices at its next heartbeat.
  const settled = async (client) => {
    await state(client, "live");
    await until("the websocket", () => client.socket.io.engine.transport.name === "websocket");
  };

  test("a page polls, and has everything once and in order when the socket is back, again and again", async () => {
    const client = await behindProxy("nothing", "d1");
    const seen = await new Seen(client, "feed.d1").ready();
    let n = 0;
    for (const refused of ["socket.io", "socket.io", "websockets"]) {
      proxy.refuse("nothing");
      await settled(client);
      await publish(server, "feed.d1", ++n, ++n);
      proxy.refuse(refused);
      await publish(server, "feed.d1", ++n, ++n);
      await seen.has(...numbers(1, n));
      await state(client, refused === "websockets" ? "live" : "degraded");
      await publish(server, "feed.d1", ++n);
      await seen.has(...numbers(1, n));
    }
    proxy.refuse("nothing");
    await publish(server, "feed.d1", ++n);
    await state(client, "live");
    await publish(server, "feed.d1", ++n);
    await seen.has(...numbers(1, n));
    assert.deepEqual(seen.of("gap"), []);
  });

  test("nothing is lost or doubled while it goes to and fro under a stream of publications", async () => {
    const client = await behindProxy("nothing", "d2", { degradeAfterMs: 20, pollMs: [10, 20], socket: { transports: ["websocket"] } });
    const seen = await new Seen(client, "feed.d2").ready();
    await state(client, "live");
    let changes = 0;
    client.onState((now) => {
      if (++changes < 12 && now === "live") proxy.refuse("socket.io");
      if (now === "degraded") proxy.refuse("nothing");
    });
    proxy.refuse("socket.io");
    let n = 0;
    while (changes < 12) await publish(server, "feed.d2", ++n);
    await state(client, "live");
    await publish(server, "feed.d2", ++n);
    await seen.has(...numbers(1, n));
    assert.ok(client.states.includes("degraded"));
    assert.deepEqual(seen.of("gap"), []);
  });

  test("a page that begins so follows its topics from then on, and tells apart what it may not read", async () => {
    await publish(server, "feed.d3", 1);
    const client = await behindProxy("socket.io", "d3");
    const [seen, editors] = [await new Seen(client, "feed.d3").ready(), new Seen(client, "editors")];
    assert.equal((await editors.subscription.ready).error.code, "forbidden");
    assert.equal(client.state, "degraded");
    await publish(server, "feed.d3", 2);
    await seen.has(2);
    proxy.refuse("nothing");
    await state(client, "live");
    await publish(server, "feed.d3", 3);
    await seen.has(2, 3);
  });

  test("more than one answer holds comes whole; what the history no longer holds is a gap", async () => {
    const client = await behindProxy("nothing", "d4");
    const [feed, short] = [await new Seen(client, "feed.d4").ready(), await new Seen(client, "short.d4").ready()];
    await settled(client);
    proxy.refuse("socket.io");
    // Not to be polled in between.
    await until("the cut", () => client.state === "connecting");
    await publish(server, "short.d4", 1, 2, 3);
    await publish(server, "feed.d4", ...numbers(1, 30));
    await feed.has(...numbers(1, 30));
    assert.equal(await short.hears("gap"), "too_many");
    await publish(server, "short.d4", 4);
    await short.has(4);
  });

  test("a topic without history is silent, and told its gap; its last values are there again", async () => {
    const client = await behindProxy("nothing", "d5");
    const seen = await new Seen(client, "fleet.d5", { key: ({ device }) => device }).ready();
    const other = await new Seen(client, "feed.d5").ready();
    await settled(client);
    proxy.refuse("socket.io");
    await state(client, "degraded");
    await publish(server, "fleet.d5", { device: "a", at: 1 });
    await publish(server, "feed.d5", 1);
    await other.has(1);
    assert.deepEqual(seen.publications, []);
    proxy.refuse("nothing");
    assert.equal(await seen.hears("gap"), "no_history");
    await until("the value", () => seen.subscription.values.get("a")?.at === 1);
  });

  test("a page polls, too, where connections are begun and cut again and again", async (t) => {
    const line = await Line.start(server.address);
    t.after(() => line.stop());
    const client = clients.open(line.url, "d9", { degradeAfterMs: 400 });
    const cut = () => line.cut();
    client.socket.io.on("open", cut);
    const seen = await new Seen(client, "feed.d9").ready();
    await state(client, "degraded");
    await publish(server, "feed.d9", 1);
    await seen.has(1);
    client.socket.io.off("open", cut);
    await state(client, "live");
  });

  test("a message says that there is no connection", async () => {
    const client = await behindProxy("socket.io", "d6");
    client.subscribe("feed.d6");
    await state(client, "degraded");
    const { error } = await client.send("feed.d6", 1, { timeoutMs: 50 });
    assert.deepEqual([error.code, error.retry], ["not_connected", true]);
  });

  test("and without an answer to a poll the page is offline, until the server is back", async (t) => {
    let own = await startServer();
    t.after(() => own.stop());
    const client = clients.open(own.url, "d7");
    const seen = await new Seen(client, "feed.d7").ready();
    await own.stop({ keep: true });
    await state(client, "offline");
    assert.equal(client.error, undefined);
    own = await Server.start({ directory: own.directory, listen: own.address });
    await state(client, "live");
    assert.equal(await seen.hears("gap"), "epoch_changed");
    await publish(own, "feed.d7", 1);
    await seen.has(1);
  });

  test("a poll that the credential no longer opens asks for another one", async () => {
    const asked = [];
    const auth = (why) => {
      asked.push(why);
      return { token: token("d8", { exp: now() + (asked.length === 1 ? 1 : 3600) }) };
    };
    const client = await behindProxy("socket.io", undefined, { auth });
    const seen = await new Seen(client, "feed.d8").ready();
    await until("the second question", () => asked.length > 1);
    await publish(server, "feed.d8", 1);
    await seen.has(1);
    assert.equal(client.state, "degraded");
  });
});
