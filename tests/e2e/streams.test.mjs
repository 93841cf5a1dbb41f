// Topics as streams of server-sent events: for curl, for languages without a Socket.IO client, and for pages behind proxies
// that break websockets.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { after, before, describe, test } from "node:test";

import { Haproxy, Nginx } from "@tidegate/kit/balancers.mjs";
import { openBrowser } from "@tidegate/kit/browser.mjs";
import { Cluster } from "@tidegate/kit/cluster.mjs";
import { collect, KEYS, now, Server, subscribe, token, until } from "@tidegate/kit/harness.mjs";
import { Line } from "@tidegate/kit/line.mjs";
import { Page, path, Stream } from "@tidegate/kit/streams.mjs";

const READER = "e2e-reader-key-0123456789abcdef";
const channels = {
  "streams.yaml": `
feature: streams
channels:
  devices.{id}:
    scope: authenticated
    payload: {}
    delivery: { mode: latest, key: /d }
    snapshot: { retain: latest }
  hall.{id}: { scope: authenticated, payload: {}, presence: { debounce: 100ms } }
  feed.{id}: { scope: authenticated, payload: {}, history: { messages: 1000, bytes: 64MiB } }
  # It keeps whatever is published while a client waits for its retry.
  busy.{id}: { scope: authenticated, payload: {}, history: { messages: 10000, bytes: 64MiB } }
`,
};
const mayRead = (config) => ({ ...config, api_keys: [...config.api_keys, { name: "reader", key: READER, may: ["read", "operate", "revoke"] }] });
const start = (change = (config) => config) => Server.start({ config: (config) => change(mayRead(config)), plugins: false, channels });

const publish = async (server, topic, ...numbers) => {
  for (const n of numbers) assert.equal((await server.publish(topic, { n })).status, 202);
};
const range = (count) => Array.from({ length: count }, (_, n) => n);

describe("a stream", { concurrency: true }, () => {
  let server;
  before(async () => {
    server = await start();
  });
  after(() => server?.stop());

  test("is what curl prints", async () => {
    const curl = spawn("curl", ["-sN", "-H", "Accept: text/event-stream", `${server.url}${path("e2e.open")}`]);
    try {
      const lines = [];
      createInterface({ input: curl.stdout }).on("line", (line) => lines.push(line));
      await until("the beginning", () => lines.some((line) => line.includes("subscribed")));
      await publish(server, "e2e.open", 1);
      await until("the publication", () => lines.includes('data: {"payload":{"n":1},"meta":{}}'));
      assert.ok(lines[0].startsWith(":"));
      assert.equal(lines.some((line) => line.startsWith("id")), false, "no id without history");
    } finally {
      curl.kill();
    }
  });

  test("carries each publication with its position, and counts while it is open", async () => {
    const stream = await Stream.open(server, "feed.one", { token: token("u1") });
    await stream.hears("subscribed");
    await publish(server, "feed.one", 1, 2);
    await stream.has(2);
    const [first] = stream.events.filter(({ event }) => event === "feed.one");
    assert.equal(first.id, `${first.data.meta.epoch}:${first.data.meta.offset}`);
    assert.deepEqual(stream.numbers, [1, 2]);
    assert.ok((await server.metric("tidegate_streams ")) >= 1);
    stream.close();
  });

  test("of a backend needs a key that may read, and no user", async () => {
    const stream = await Stream.open(server, "feed.backend", { token: READER });
    await stream.hears("subscribed");
    await publish(server, "feed.backend", 1);
    await stream.has(1);
    stream.close();
    for (const [credential, status] of [[KEYS.backend, 403], ["forged", 401], [undefined, 401]]) {
      const refused = await Stream.open(server, "feed.backend", { token: credential });
      assert.equal(refused.status, status);
      refused.close();
    }
  });

  test("makes its user present, and hears who comes and goes", async () => {
    const stream = await Stream.open(server, "hall.a", { token: token("streaming") });
    const { data } = await stream.hears("subscribed");
    assert.deepEqual(data.presence, { count: 1, members: [{ user: "streaming" }] });
    const socket = await server.connect({ token: token("socket") });
    const { presence } = await subscribe(socket, "hall.a");
    assert.deepEqual(presence.members.map(({ user }) => user).sort(), ["socket", "streaming"]);
    await until("who came", () => stream.events.some(({ data }) => data.joined?.some(({ user }) => user === "socket")));
    const told = collect(socket, "tidegate", ({ left }) => left?.some(({ user }) => user === "streaming"));
    stream.close();
    await told.count(1);
    socket.close();
  });

  test("is for HTTP/1.0, too: it lasts as long as its connection", async () => {
    const curl = spawn("curl", ["-sN", "--http1.0", "-H", "Accept: text/event-stream", `${server.url}${path("e2e.open")}`]);
    let text = "";
    curl.stdout.on("data", (data) => (text += data));
    await until("the beginning", () => text.includes("subscribed"));
    await publish(server, "e2e.open", 10);
    await until("the publication", () => text.includes('"n":10'));
    curl.kill();
  });

  test("that is lost again and again goes on where it was, while others publish without a pause", async () => {
    const line = await Line.start(server.address);
    const page = new Page(line.url, "busy.a", token("u1"));
    try {
      await page.hears("subscribed");
      let isOver = false;
      let published = 0;
      const publishing = (async () => {
        while (!isOver) await publish(server, "busy.a", published++);
      })();
      for (const lost of [1, 2]) {
        await until("some publications", () => page.numbers.length > lost * 50);
        line.cut();
        await until("that it is back", () => page.opened === lost + 1);
      }
      isOver = true;
      await publishing;
      await page.has(published);
      assert.deepEqual(page.numbers, range(published));
      assert.equal(page.told.some(({ type }) => type === "recovered"), false);
    } finally {
      page.close();
      line.stop();
    }
  });

  test("in plain Python goes on where it was", async () => {
    await publish(server, "feed.python", 1);
    const script = `
import json, sys, urllib.request
def stream(last):
    headers = {"Accept": "text/event-stream", "Authorization": "Bearer " + sys.argv[2], **({"Last-Event-ID": last} if last else {})}
    event = {}
    for line in urllib.request.urlopen(urllib.request.Request(sys.argv[1], headers=headers)):
        field, _, value = line.decode().rstrip("\\n").partition(": ")
        if field:
            event[field] = value
        elif "data" in event:
            yield event.get("id"), json.loads(event["data"])
            event = {}
        else:
            event = {}
last = None
for time in range(2):
    for last, data in stream(last):
        print(json.dumps(data), flush=True)
        if data.get("payload"):
            break
`;
    const python = spawn("python3", ["-c", script, `${server.url}${path("feed.python")}`, token("u1")]);
    const seen = [];
    createInterface({ input: python.stdout }).on("line", (line) => seen.push(JSON.parse(line)));
    await until("the beginning", () => seen.some(({ type }) => type === "subscribed"));
    await publish(server, "feed.python", 2, 3);
    await until("both publications", () => seen.filter(({ payload }) => payload).length === 2);
    assert.deepEqual(seen.flatMap(({ payload }) => payload ?? []), [{ n: 2 }, { n: 3 }]);
  });

  test("ends for a page that reads it in a browser, and goes on when it is back", async () => {
    const browser = await openBrowser();
    const line = await Line.start(server.address);
    try {
      const page = await browser.newPage();
      await page.goto(`${line.url}/healthz`);
      await page.evaluate((path) => {
        window.seen = [];
        window.source = new EventSource(path);
        window.source.addEventListener("e2e.open", ({ data }) => window.seen.push(JSON.parse(data).payload.b));
        window.source.addEventListener("tidegate", ({ data }) => window.seen.push(JSON.parse(data).type));
      }, path("e2e.open"));
      const seen = (what) => until(`${what} in the browser`, async () => (await page.evaluate(() => window.seen)).includes(what));
      await seen("subscribed");
      assert.equal((await server.publish("e2e.open", { b: "first" })).status, 202);
      await seen("first");
      await page.evaluate(() => (window.seen = []));
      line.cut();
      await seen("subscribed");
      assert.equal((await server.publish("e2e.open", { b: "second" })).status, 202);
      await seen("second");
    } finally {
      await browser.close();
      line.stop();
    }
  });
});

describe("a stream ends", { concurrency: true }, () => {
  let server;
  before(async () => {
    server = await start();
  });
  after(() => server?.stop());

  test("when its user is revoked, and the page stays away", async () => {
    const page = new Page(server.url, "feed.a", token("banned"));
    const other = new Page(server.url, "feed.a", token("other"));
    await Promise.all([page.hears("subscribed"), other.hears("subscribed")]);
    assert.equal((await server.post("/v1/revoke", { user: "banned" }, { key: READER })).status, 202);
    await page.hears("revoked");
    await page.gaveUp();
    assert.equal(page.code, 401);
    await publish(server, "feed.a", 1);
    await other.has(1);
    assert.deepEqual(page.numbers, []);
    other.close();
  });

  test("when its credential expires, and the page stays away", async () => {
    const page = new Page(server.url, "feed.b", token("u1", { exp: now() + 3 }));
    await page.hears("subscribed");
    await page.hears("expired");
    await page.gaveUp();
    assert.equal(page.code, 401);
  });

  test("when its user is revoked from the topic, and a page that may subscribe again is back", async () => {
    const page = new Page(server.url, "feed.c", token("c"));
    const backend = await Stream.open(server, "feed.c", { token: READER });
    await Promise.all([page.hears("subscribed"), backend.hears("subscribed")]);
    assert.equal((await server.post("/v1/revoke", { topic: "feed.c" }, { key: READER })).status, 202);
    await page.hears("revoked");
    await page.hears("subscribed", 2);
    await publish(server, "feed.c", 1);
    await Promise.all([page.has(1), backend.has(1)]);
    page.close();
    backend.close();
  });
});

describe("a stream and the server", () => {
  test("a reload that removes the channel ends it, and the page stays away", async (t) => {
    const server = await start();
    t.after(() => server.stop());
    const page = new Page(server.url, "feed.a", token("u1"));
    const backend = await Stream.open(server, "feed.a", { token: READER });
    await Promise.all([page.hears("subscribed"), backend.hears("subscribed")]);
    await server.reload(() => server.remove("channels/streams.yaml"));
    await page.hears("revoked");
    assert.equal(page.told.find(({ type }) => type === "revoked").reason, "unknown_channel");
    await page.gaveUp();
    assert.equal(page.code, 404);
    assert.equal((await backend.hears("revoked")).data.reason, "unknown_channel");
    assert.equal(await backend.over(), "ended");
    assert.equal(await server.metric("tidegate_streams "), 0);
  });

  test("a drain tells when to be back and ends it in order, and the page is back at the next server", async () => {
    const first = await start();
    const page = new Page(first.url, "feed.a", token("u1"));
    const stream = await Stream.open(first, "feed.a", { token: token("u2") });
    await Promise.all([page.hears("subscribed"), stream.hears("subscribed")]);
    first.signal("SIGTERM");
    const { data, retry } = await stream.hears("draining");
    assert.ok(data.retry_in >= 0 && Number(retry) > 0 && Number(retry) < 2000, retry);
    assert.equal(await stream.over(), "ended");
    assert.equal(await first.ended(), 0);
    const second = await Server.start({ directory: first.directory, listen: first.address });
    await first.stop({ keep: true });
    await page.hears("recovered");
    const { recovered, reason } = page.told.find(({ type }) => type === "recovered");
    assert.deepEqual([recovered, reason], [false, "epoch_changed"], "the history was in the memory of the first");
    await publish(second, "feed.a", 1);
    await page.has(1);
    page.close();
    await second.stop();
  });

  test("one stream more than the limit is told when to come back, and gets in when there is room", async (t) => {
    const server = await start((config) => ({ ...config, limits: { ...config.limits, streams: 2 } }));
    t.after(() => server.stop());
    const streams = await Promise.all([1, 2].map((n) => Stream.open(server, "feed.a", { token: token(`u${n}`) })));
    await Promise.all(streams.map((stream) => stream.hears("subscribed")));
    const refused = await Stream.open(server, "feed.a", { token: token("u3") });
    assert.equal(refused.status, 200);
    const { data, retry } = await refused.hears("error");
    assert.deepEqual([data.error.code, data.error.retry, Number(retry) >= 2000], ["unavailable", true, true]);
    assert.equal(await refused.over(), "ended");
    const page = new Page(server.url, "feed.a", token("u4"));
    await page.hears("error");
    streams[0].close();
    await page.hears("subscribed");
    page.close();
    streams[1].close();
  });

  test("a reader that stops reading is cut and recovers, and the others receive everything", async (t) => {
    const server = await start((config) => ({ ...config, limits: { ...config.limits, outbound_bytes: 262144 } }));
    t.after(() => server.stop());
    const [slow, fast] = await Promise.all(["slow", "fast"].map((user) => Stream.open(server, "feed.a", { token: token(user) })));
    await Promise.all([slow.hears("subscribed"), fast.hears("subscribed")]);
    slow.response.pause();
    let published = 0;
    while ((await server.metric("tidegate_slow_consumers_total")) === 0) {
      assert.equal((await server.publish("feed.a", { n: published, filling: "x".repeat(60_000) })).status, 202);
      published += 1;
      assert.ok(published < 500, "nobody was cut");
    }
    await fast.has(published);
    assert.deepEqual(fast.numbers, range(published));
    slow.response.resume();
    assert.equal(await slow.over(), "cut");
    assert.ok(slow.numbers.length < published);
    const lastId = slow.events.findLast(({ id }) => id).id;
    const back = await Stream.open(server, "feed.a", { token: token("slow"), lastId });
    await back.has(published - slow.numbers.length);
    assert.deepEqual([...slow.numbers, ...back.numbers], range(published));
    back.close();
    fast.close();
  });
});

describe("a stream of the newest values", () => {
  let server;
  before(async () => {
    server = await start((config) => ({ ...config, limits: { ...config.limits, outbound_bytes: 262144 } }));
  });
  after(() => server?.stop());

  test("begins with what is retained, and hears what is taken away", async () => {
    for (const [d, n] of [[1, 1], [2, 2], [1, 3]]) assert.equal((await server.publish("devices.a", { d, n })).status, 202);
    const stream = await Stream.open(server, "devices.a", { token: token("u1") });
    await stream.hears("subscribed");
    assert.deepEqual(stream.numbers.sort(), [2, 3]);
    assert.equal(stream.events.at(-1).data.type, "subscribed");
    assert.equal(stream.events.some(({ id }) => id), false, "a client that loses it begins again");
    const headers = { authorization: `Bearer ${KEYS.backend}` };
    await fetch(`${server.url}/v1/channels/devices.a/retained?key=1`, { method: "DELETE", headers });
    assert.deepEqual((await stream.hears("removed")).data, { type: "removed", channel: "devices.a", key: 1 });
    stream.close();
  });

  test("loses old values while its client does not read, never the newest of a key, and is not cut", async () => {
    const stream = await Stream.open(server, "devices.b", { token: token("u1") });
    await stream.hears("subscribed");
    stream.response.pause();
    const filling = "x".repeat(40_000);
    for (let n = 0; n < 200; n++) assert.equal((await server.publish("devices.b", { d: n % 3, n, filling })).status, 202);
    stream.response.resume();
    await until("the newest", () => [197, 198, 199].every((n) => stream.numbers.includes(n)));
    assert.ok(stream.numbers.length < 150, `${stream.numbers.length} of 200`);
    assert.deepEqual(stream.numbers.toSorted((a, b) => a - b).filter((n) => n % 3 === 0), stream.numbers.filter((n) => n % 3 === 0));
    assert.equal(stream.isOver, false);
    stream.close();
  });
});

describe("a stream of several nodes", () => {
  test("goes on at another node when its own was killed, with what was published anywhere", async () => {
    const cluster = await Cluster.start({ channels });
    const [first, second] = cluster.nodes;
    const line = await Line.start(first.address);
    const page = new Page(line.url, "feed.a", token("u1"));
    try {
      await page.hears("subscribed");
      await publish(second, "feed.a", 0, 1);
      await publish(first, "feed.a", 2);
      await page.has(3);
      first.signal("SIGKILL");
      await first.ended();
      line.leads(second.address);
      await publish(second, "feed.a", 3, 4);
      await page.hears("subscribed", 2);
      await publish(second, "feed.a", 5);
      await page.has(6);
      assert.deepEqual(page.numbers, range(6));
      assert.equal(page.told.some(({ type }) => type === "recovered"), false);
    } finally {
      page.close();
      line.stop();
      await cluster.stop();
    }
  });
});

describe("a stream behind a proxy", { concurrency: true }, () => {
  let server;
  before(async () => {
    server = await start();
  });
  after(() => server?.stop());

  for (const [name, begin, url] of [
    ["nginx", () => Nginx.start(server.address), "live"],
    ["nginx as it comes, with HTTP/1.0", () => Nginx.start(server.address), "old"],
    ["HAProxy", () => Haproxy.start(server.address), "live"],
    ["HAProxy that compresses", () => Haproxy.start(server.address), "gzip"],
  ]) {
    test(`is live through ${name}, event by event`, async () => {
      const proxy = await begin();
      try {
        const topic = `feed.${name.replaceAll(/[^a-z]/gi, "-")}`;
        const headers = { "accept-encoding": "gzip" };
        const stream = await Stream.open(server, topic, { token: token("u1"), url: `http://127.0.0.1:${proxy.port}/${url}`, headers });
        await stream.hears("subscribed");
        for (const n of [1, 2, 3]) {
          await publish(server, topic, n);
          await stream.has(n);
        }
        assert.equal(stream.response.headers["content-encoding"], undefined);
        stream.close();
      } finally {
        await proxy.stop();
      }
    });
  }
});
