// Stock clients that recover by themselves: `auth: { recover: true }`. Whatever cuts their transport, they have their
// session again with everything that they missed, once and in order, or they are told why not.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";

import { ask, next, Server, subscribe, token, TRANSPORTS, until, within } from "@tidegate/kit/harness.mjs";
import { Line } from "@tidegate/kit/line.mjs";
import { RedisServer } from "@tidegate/kit/services.mjs";

const channels = {
  "recovery.yaml": `
feature: recovery
channels:
  feed.{id}:
    scope: authenticated
    payload: {}
    history: { messages: 1000 }
    inbound: { relay: others }
  short.{id}: { scope: authenticated, payload: {}, history: { messages: 3 } }
  brief.{id}: { scope: authenticated, payload: {}, history: { messages: 9, ttl: 300ms } }
  editors.{id}: { scope: { role: editor }, payload: {}, history: { messages: 9 } }
  plain.{id}: { scope: authenticated, payload: {} }
`,
};
const READER = "e2e-reader-key-0123456789abcdef";
const config = (transport, limits = {}) => (config) => {
  config.api_keys.push({ name: "reader", key: READER, may: ["read", "revoke"] });
  return { ...config, transport, limits: { ...config.limits, ...limits } };
};

// A page that follows topics and never subscribes again by itself: what it has, in the order in which it came.
class Page {
  seen = [];
  told = [];
  connects = [];
  offsets = [];

  constructor(socket, ...topics) {
    this.socket = socket;
    socket.onAny((event, ...args) => {
      this.offsets.push(args.at(-1));
      if (event === "tidegate") this.told.push(args[0]);
      else if (topics.includes(event)) this.seen.push(args[0]);
    });
    socket.on("connect", () => this.connects.push({ id: socket.id, recovered: socket.recovered }));
  }

  async has(...payloads) {
    await until(`${payloads}`, () => this.seen.length >= payloads.length).catch((error) => {
      throw new Error(`${error.message}; it has ${this.seen}, and was told ${JSON.stringify(this.told)}`);
    });
    assert.deepEqual(this.seen, payloads);
  }

  async back(times) {
    await until(`connect ${times}`, () => this.connects.length >= times);
    return this.connects.at(-1);
  }

  async hears(type) {
    return await until(type, () => this.told.find((one) => one.type === type));
  }
}

const publish = async (server, topic, ...payloads) => {
  for (const payload of payloads) assert.equal((await server.publish(topic, JSON.stringify(payload))).status, 202);
};

describe("recovery by the stock client", () => {
  let server;
  const lines = [];
  before(async () => {
    server = await Server.start({ plugins: false, channels, config: config({ ping_interval: "300ms", ping_timeout: "60s" }) });
  });
  after(async () => {
    lines.forEach((line) => line.stop());
    await server?.stop();
  });

  // A client behind a line of its own.
  const open = async (options = {}, ...topics) => {
    const line = await Line.start(server.address);
    lines.push(line);
    const { auth, ...rest } = options;
    const socket = server.client({ ...rest, url: line.url, auth: { token: token("u1"), recover: true, ...auth } });
    const page = new Page(socket, ...topics);
    await page.back(1);
    for (const topic of topics) await subscribe(socket, topic);
    return { line, page, socket };
  };
  // Its transport is lost; meanwhile something happens; then it comes back.
  const away = async ({ line, page, socket }, meanwhile) => {
    const times = page.connects.length;
    const gone = next(socket, "disconnect");
    line.isDown = true;
    line.cut();
    await gone;
    await meanwhile?.();
    line.isDown = false;
    return await page.back(times + 1);
  };

  test("only a client that says so has a pid, and only its events end with an offset", async () => {
    const plain = new Page(await server.connect({ token: token("u1") }), "feed.pid");
    await subscribe(plain.socket, "feed.pid");
    const { page, socket } = await open({}, "feed.pid");
    assert.equal(plain.socket._pid, undefined);
    assert.equal(typeof socket._pid, "string");
    assert.notEqual(socket._pid, socket.id);
    await publish(server, "feed.pid", "text");
    socket.emit("feed.pid/none", 1);
    await page.hears("error");
    await plain.has("text");
    assert.equal(typeof plain.offsets.at(-1), "object");
    assert.deepEqual(page.offsets.map((offset) => typeof offset), ["string", "string"]);
  });

  for (const transport of TRANSPORTS) {
    test(`over ${transport} it has its session again, what it missed, and what follows, again and again`, async () => {
      const topic = `feed.again-${transport}`;
      const client = await open({ transport }, topic);
      const { page, socket } = client;
      const { id, _pid: pid } = socket;
      await publish(server, topic, 1, 2);
      await page.has(1, 2);
      let n = 2;
      for (let time = 0; time < 4; time++) {
        const missed = time === 1 ? [] : [++n, ++n];
        assert.deepEqual(await away(client, () => publish(server, topic, ...missed)), { id, recovered: true });
        await page.has(...Array.from({ length: n }, (_, at) => at + 1));
        if (time % 2 === 0) await publish(server, topic, ++n);
        await page.has(...Array.from({ length: n }, (_, at) => at + 1));
      }
      assert.equal(socket._pid, pid);
      assert.deepEqual(page.told, []);
    });

    test(`over ${transport} a page that never had an event has what it missed`, async () => {
      const topic = `feed.first-${transport}`;
      const client = await open({ transport }, topic);
      assert.equal(client.socket._lastOffset, undefined);
      // Pings say that it is there, and nothing of events.
      await pause(1000);
      assert.equal((await away(client, () => publish(server, topic, 1, 2))).recovered, true);
      await client.page.has(1, 2);
    });
  }

  test("a client that goes over from polling to a websocket recovers on the way and later", async () => {
    const client = await open({ transports: ["polling", "websocket"] }, "feed.up");
    assert.equal((await away(client, () => publish(server, "feed.up", 1))).recovered, true);
    await until("the websocket", () => client.socket.io.engine.transport.name === "websocket");
    assert.equal((await away(client, () => publish(server, "feed.up", 2))).recovered, true);
    await client.page.has(1, 2);
  });

  test("events of topics without history, and messages about the session, do not hide what was missed", async () => {
    const client = await open({}, "feed.mixed", "plain.mixed");
    await publish(server, "feed.mixed", 1);
    await publish(server, "plain.mixed", "a");
    await client.page.has(1, "a");
    assert.equal((await away(client, () => publish(server, "feed.mixed", 2))).recovered, true);
    await client.page.has(1, "a", 2);
    assert.deepEqual(client.page.told, [{ type: "gap", channel: "plain.mixed" }]);
    await publish(server, "plain.mixed", "b");
    await client.page.has(1, "a", 2, "b");
  });

  test("what a client sends while it is away arrives once, and not at itself", async () => {
    const client = await open({}, "feed.sends");
    const other = new Page(await server.connect({ token: token("u2") }), "feed.sends");
    await subscribe(other.socket, "feed.sends");
    client.socket.emit("feed.sends", "before");
    await other.has("before");
    await away(client, () => {
      client.socket.emit("feed.sends", "buffered");
      client.socket.volatile.emit("feed.sends", "volatile");
      return publish(server, "feed.sends", 1);
    });
    await until("it", () => other.seen.includes("buffered"));
    await client.page.has(1);
  });

  test("an old connection that is half open ends, and its later end changes nothing", async () => {
    const client = await open({}, "feed.half");
    await publish(server, "feed.half", 1);
    await client.page.has(1);
    const before = await server.metric("tidegate_connections ");
    client.line.goDead();
    assert.equal((await client.page.back(2)).recovered, true);
    await publish(server, "feed.half", 2);
    await client.page.has(1, 2);
    assert.equal(await server.metric("tidegate_connections "), before);
    for (const [, socket] of client.line.dead) socket.destroy();
    await publish(server, "feed.half", 3);
    await client.page.has(1, 2, 3);
    assert.equal((await away(client, () => publish(server, "feed.half", 4))).recovered, true);
    await client.page.has(1, 2, 3, 4);
  });

  test("a topic that gate 2 refuses now is revoked, and the others are restored", async () => {
    const client = await open({ auth: { token: token("u1", { roles: ["editor"] }) } }, "editors.a", "feed.editors");
    await away(client, async () => {
      client.socket.auth.token = token("u1");
      await publish(server, "editors.a", "secret");
      await publish(server, "feed.editors", 1);
    });
    await client.page.has(1);
    assert.equal(client.socket.recovered, true);
    assert.deepEqual(client.page.told, [{ type: "revoked", channel: "editors.a", reason: "forbidden" }]);
    await publish(server, "editors.a", "secret");
    await publish(server, "feed.editors", 2);
    await client.page.has(1, 2);
  });

  test("where a history no longer has what was missed nothing is restored, and the client is told what it held", async () => {
    for (const [topic, reason, meanwhile] of [
      ["short.a", "too_many", () => publish(server, "short.a", 1, 2, 3, 4)],
      ["brief.a", "expired", async () => {
        const { body } = await server.publish("brief.a", 1);
        const since = `since=${body.position.epoch}:0`;
        const path = `/v1/channels/brief.a/history?${since}`;
        await until("its end", async () => (await server.get(path, { key: READER })).body.reason === "expired");
      }],
    ]) {
      const client = await open({}, topic, "feed.kept");
      const { id, _pid: pid } = client.socket;
      const back = await away(client, meanwhile);
      assert.equal(back.recovered, false, topic);
      assert.notEqual(back.id, id);
      assert.notEqual(client.socket._pid, pid);
      const { channels, ...told } = await client.page.hears("recovered");
      assert.deepEqual(told, { type: "recovered", recovered: false, reason });
      assert.deepEqual(channels.sort(), [topic, "feed.kept"].sort());
      // It begins anew, though it still brings the offset of the session before.
      await subscribe(client.socket, topic);
      await away(client, () => publish(server, topic, "next"));
      await client.page.has("next");
      assert.equal(client.socket.recovered, true);
    }
  });

  test("a session is its user's: who brings another credential has a new one", async () => {
    const client = await open({}, "feed.owner");
    const { _pid: pid } = client.socket;
    client.line.isDown = true;
    client.line.cut();
    await publish(server, "feed.owner", "secret");
    const thief = new Page(server.client({ auth: { token: token("u2"), recover: true, pid, offset: "0.0" } }), "feed.owner");
    assert.equal((await thief.back(1)).recovered, false);
    assert.deepEqual(await thief.hears("recovered"), { type: "recovered", recovered: false, reason: "other_user" });
    assert.notEqual(thief.socket._pid, pid);
    client.line.isDown = false;
    assert.equal((await client.page.back(2)).recovered, true);
    await client.page.has("secret");
    assert.deepEqual(thief.seen, []);
  });

  test("a session that either side ended by a packet is forgotten", async () => {
    const client = await open({}, "feed.left");
    client.socket.disconnect();
    await publish(server, "feed.left", 1);
    client.socket.connect();
    assert.equal((await client.page.back(2)).recovered, false);
    assert.equal((await client.page.hears("recovered")).reason, "unknown_session");
    assert.deepEqual(client.page.seen, []);
  });

  test("a banned user gets nothing", async () => {
    const banned = token("banned", { iat: Math.floor(Date.now() / 1000) - 60 });
    const client = await open({ auth: { token: banned } }, "feed.banned");
    const refused = next(client.socket, "connect_error");
    client.line.isDown = true;
    client.line.cut();
    await publish(server, "feed.banned", "secret");
    const body = { user: "banned", reason: "test" };
    const answer = await server.post("/v1/revoke", body, { key: READER });
    assert.ok([200, 202].includes(answer.status), JSON.stringify(answer));
    await refused;
    client.line.isDown = false;
    const [error] = await within("the refusal", (async () => {
      for (;;) {
        const [error] = await next(client.socket, "connect_error");
        if (error.data) return [error];
      }
    })());
    assert.equal(error.data.code, "token_revoked");
    // With a new credential it is let in again, but the session of the old one is over.
    client.socket.auth.token = token("banned", { iat: Math.floor(Date.now() / 1000) + 5 });
    client.socket.connect();
    assert.equal((await client.page.back(2)).recovered, false);
    assert.equal((await client.page.hears("recovered")).reason, "unknown_session");
    assert.deepEqual(client.page.seen, []);
  });

  test("a topic that is revoked while its subscriber is away stays revoked", async () => {
    const client = await open({}, "feed.revoked", "feed.other");
    await away(client, async () => {
      const body = { user: "u1", topic: "feed.revoked" };
      assert.ok((await server.post("/v1/revoke", body, { key: READER })).status < 300);
      await publish(server, "feed.revoked", "secret");
      await publish(server, "feed.other", 1);
    });
    await client.page.has(1);
    assert.deepEqual(client.page.told, [{ type: "revoked", channel: "feed.revoked", reason: "forbidden" }]);
  });

  test("it is counted how sessions were recovered, and why not", async () => {
    const counted = (labels) => server.metric("tidegate_recoveries_total", labels);
    assert.ok((await counted('way="pid",outcome="recovered"')) > 5);
    for (const reason of ["unknown_session", "other_user", "too_many", "expired"]) {
      assert.ok((await counted(`way="pid",outcome="not_recovered",reason="${reason}"`)) > 0, reason);
    }
  });

  test("five hundred clients that are cut at once while others publish have everything, once and in order", async () => {
    const line = await Line.start(server.address);
    lines.push(line);
    const auth = { token: token("storm"), recover: true };
    const pages = await Promise.all(
      Array.from({ length: 500 }, async () => {
        const page = new Page(server.client({ url: line.url, auth }), "feed.storm");
        await page.back(1);
        await subscribe(page.socket, "feed.storm");
        return page;
      }),
    );
    let n = 0;
    let isOver = false;
    const publishing = (async () => {
      while (!isOver) await publish(server, "feed.storm", ++n);
    })();
    for (let time = 1; time <= 3; time++) {
      await until("some", () => pages.every(({ seen }) => seen.length >= time * 10));
      line.cut();
      await until("all", () => pages.every(({ connects }) => connects.length > time), 60_000);
    }
    isOver = true;
    await publishing;
    const all = Array.from({ length: n }, (_, at) => at + 1);
    await until("the last one", () => pages.every(({ seen }) => seen.at(-1) === n), 60_000);
    for (const { seen, connects, told } of pages) {
      assert.deepEqual(seen, all);
      assert.ok(connects.slice(1).every(({ recovered }) => recovered));
      assert.deepEqual(told, []);
    }
  });
});

describe("recovery where the histories are in the broker", () => {
  let redis, server;
  before(async () => {
    redis = await RedisServer.start();
    const broker = { broker: redis.url };
    server = await Server.start({ plugins: false, channels, config: (one) => ({ ...config({ ping_interval: "300ms" })(one), ...broker }) });
  });
  after(async () => {
    await server?.stop();
    await redis?.stop();
  });

  test("a client that subscribed before the first publication has nothing twice, however often it comes back", async () => {
    const page = new Page(await server.connect({ auth: { token: token("u1"), recover: true } }), "feed.first");
    await subscribe(page.socket, "feed.first");
    const all = [];
    for (let time = 1; time <= 4; time += 1) {
      const gone = next(page.socket, "disconnect");
      page.socket.io.engine.close();
      await gone;
      all.push(2 * time - 1, 2 * time);
      await publish(server, "feed.first", ...all.slice(-2));
      assert.equal((await page.back(time)).recovered, true);
      await page.has(...all);
    }
  });
});

describe("a session that waits for its client", () => {
  let server;
  before(async () => {
    server = await Server.start({ plugins: false, channels, config: config({ recovery: "1s" }, { parked_sessions: 2 }) });
  });
  after(() => server?.stop());

  const open = async (auth = {}) => {
    const page = new Page(server.client({ auth: { token: token("u1"), recover: true, ...auth }, reconnection: false }));
    await page.back(1);
    return page;
  };
  const lose = async ({ socket }) => {
    const gone = next(socket, "disconnect");
    socket.io.engine.close();
    await gone;
  };
  const parked = (count) => until(`${count} parked`, async () => (await server.metric("tidegate_parked_sessions")) === count);

  test("is given up after its time", async () => {
    const page = await open();
    await lose(page);
    await parked(1);
    await parked(0);
    page.socket.connect();
    assert.equal((await page.back(2)).recovered, false);
    assert.equal((await page.hears("recovered")).reason, "unknown_session");
  });

  test("is given up for younger ones beyond the limit", async () => {
    const pages = [await open(), await open(), await open()];
    for (const [at, page] of pages.entries()) {
      await lose(page);
      if (at < 2) await parked(at + 1);
    }
    await until("one given up", async () => (await server.metric("tidegate_parked_sessions_displaced_total")) === 1);
    const back = await Promise.all(pages.map((page) => page.socket.connect() && page.back(2)));
    assert.deepEqual(back.map(({ recovered }) => recovered), [false, true, true]);
  });

  test("is unknown to a server that was started anew, and the client is told", async () => {
    const page = new Page(server.client({ auth: { token: token("u1"), recover: true } }), "feed.a");
    await page.back(1);
    await subscribe(page.socket, "feed.a");
    const first = server;
    first.signal("SIGTERM");
    assert.equal(await first.ended(), 0);
    server = await Server.start({ directory: first.directory, listen: first.address });
    assert.equal((await page.back(2)).recovered, false);
    assert.equal((await page.hears("recovered")).reason, "unknown_session");
    await first.stop({ keep: true });
  });

  test("there is none where `recovery` is 0s", async () => {
    const off = await Server.start({ plugins: false, channels, config: config({ recovery: "0s" }) });
    const page = new Page(off.client({ auth: { token: token("u1"), recover: true } }), "plain.a");
    await page.back(1);
    await subscribe(page.socket, "plain.a");
    await publish(off, "plain.a", 1);
    await page.has(1);
    assert.equal(page.socket._pid, undefined);
    assert.equal(typeof page.offsets[0], "object");
    await off.stop();
  });
});
