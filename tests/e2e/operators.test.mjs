// An operator signs in, follows the dashboard's live data with the stock client, and is apart from the application.

import assert from "node:assert/strict";
import { createHmac, randomUUID } from "node:crypto";
import { after, before, describe, test } from "node:test";

import { ask, collect, KEYS, next, now, Server, subscribe, token, TRANSPORTS, until, within } from "@tidegate/kit/harness.mjs";

const READER = "e2e-reading-operator-key-0123456789";
const PATH = "/dashboard/live/";
const SESSION = "/v1/operator/session";

const withDashboard = (config) => ({
  ...config,
  dashboard: "on",
  api_keys: [...config.api_keys, { name: "reader", key: READER, may: ["operate", "read", "revoke"] }],
});

/** The cookie of a session, as a browser sends it back. */
async function signIn(server, key = KEYS.operator) {
  const response = await fetch(server.url + SESSION, { method: "POST", body: JSON.stringify({ key }) });
  assert.equal(response.status, 200);
  return response.headers.get("set-cookie").split(";")[0];
}

/** The same, made by somebody who has the key, and over at a time of choice. */
function cookieUntil(endsAt, key = KEYS.operator) {
  const said = `${endsAt}.${randomUUID()}`;
  const mac = createHmac("sha256", key).update(`tidegate operator session 1\n${said}`).digest("base64url");
  return `tidegate_operator=${said}.${mac}`;
}

const page = (cookie, options) => ({ path: PATH, extraHeaders: { cookie }, ...options });
const asked = (server, path, cookie, method = "GET", body) =>
  fetch(server.url + path, { method, body: body && JSON.stringify(body), headers: { cookie, "x-tidegate-operator": "1" } });
const metric = async (server, line) => (await (await fetch(`${server.url}/metrics`)).text()).split("\n").find((found) => found.startsWith(line));

describe("an operator with a session", { concurrency: true }, () => {
  let server, cookie;
  before(async () => {
    server = await Server.start({ config: withDashboard });
    cookie = await signIn(server);
  });
  after(() => server?.stop());

  for (const transport of TRANSPORTS) {
    test(`sees the overview move, by ${transport}`, async () => {
      const socket = await server.connect(page(cookie, { transport }));
      const samples = collect(socket, "overview", ({ publications_per_s }) => publications_per_s > 0);
      const { position } = await subscribe(socket, "overview");
      const client = await server.connect({ token: token("alice") });
      await subscribe(client, "e2e.open");
      const relayed = collect(socket, "overview", ({ publications_per_s, gates }) => publications_per_s > 0 && gates.inbound.per_s > 0);
      const publishing = setInterval(() => {
        server.publish("e2e.open", {});
        client.emit("e2e.open", {});
      }, 50);
      try {
        const [sample] = await samples.count(1);
        assert.ok(sample.connections >= 1 && sample.topics >= 1 && sample.memory_bytes > 1_000_000, JSON.stringify(sample));
        assert.ok(sample.gates.broadcast.per_s > 0 && sample.gates.broadcast.p99_ms > 0, JSON.stringify(sample));
        await relayed.count(1);
        await until("deliveries", () => samples.received.some(({ deliveries_per_s }) => deliveries_per_s > 0));
      } finally {
        clearInterval(publishing);
      }
      const since = { epoch: position?.epoch ?? "", offset: 0 };
      const earlier = await ask(socket, "subscribe", { channel: "overview", since });
      assert.ok(!position || (earlier.recovered && earlier.publications.length > 0), JSON.stringify(earlier));
    });
  }

  test("has the last sample over http, too", async () => {
    const sample = await until("a sample", async () => {
      const response = await asked(server, "/v1/overview", cookie);
      return response.status === 200 && response.json();
    });
    assert.equal(typeof sample.connections, "number");
  });

  test("sees the rates of channels, plugins and bridge rules", async () => {
    const socket = await server.connect(page(cookie));
    const [channels, plugins, bridge] = ["channels", "plugins", "bridge"].map((topic) => collect(socket, topic));
    await Promise.all(["channels", "plugins", "bridge"].map((topic) => subscribe(socket, topic)));
    const [{ channels: rates }] = await channels.count(1);
    assert.deepEqual(Object.keys(rates["e2e.open"]).sort(), ["deliveries_per_s", "publications_per_s", "refused_per_s", "subscriptions"]);
    const ping = (await plugins.count(1))[0].plugins.find(({ name }) => name === "ping");
    assert.equal(ping.state, "active");
    assert.equal(ping.breaker, "closed");
    const [{ rules, dead_letters }] = await bridge.count(1);
    assert.ok(rules.some(({ on, to }) => on === "order.shipped" && to === "e2e.inbox.{userId}"), JSON.stringify(rules));
    assert.equal(typeof dead_letters, "number");
  });

  test("follows the publications of a topic, with payloads if the key may read", async () => {
    const reader = await signIn(server, READER);
    const refused = await asked(server, "/v1/tails", cookie, "POST", { topic: "e2e.open", payloads: true });
    assert.equal(refused.status, 403);
    const unknown = await asked(server, "/v1/tails", cookie, "POST", { channel: "no.such" });
    assert.equal(unknown.status, 404);
    const bodies = [
      [cookie, { channel: "e2e.room.{room}" }],
      [reader, { topic: "e2e.room.tailed", payloads: true }],
    ];
    const tails = await Promise.all(bodies.map(async ([as, body]) => {
      const begun = await asked(server, "/v1/tails", as, "POST", body);
      assert.equal(begun.status, 201);
      const { tail, topic, ends_at } = await begun.json();
      assert.ok(ends_at > now() + 590 && ends_at <= now() + 600);
      const socket = await server.connect(page(as));
      await subscribe(socket, topic);
      return { as, tail, seen: collect(socket, topic, (shown) => shown.topic === "e2e.room.tailed") };
    }));
    assert.equal((await server.publish("e2e.room.tailed", { n: 7 })).status, 202);
    const [[shown], [read]] = await Promise.all(tails.map(({ seen }) => seen.count(1)));
    assert.deepEqual([shown.topic, shown.channel, shown.bytes, shown.subscribers], ["e2e.room.tailed", "e2e.room.{room}", 7, 0]);
    assert.equal("payload" in shown, false);
    assert.deepEqual(read.payload, { n: 7 });
    for (const { as, tail } of tails) {
      assert.equal((await asked(server, `/v1/tails/${tail}`, as, "DELETE")).status, 204);
      assert.equal((await asked(server, `/v1/tails/${tail}`, as, "DELETE")).status, 404);
    }
  });

  test("loses its page when it signs out, and no other session does", async () => {
    const leaving = await signIn(server);
    const [one, other] = await Promise.all([server.connect(page(leaving)), server.connect(page(cookie))]);
    const [told, ended] = [next(one, "tidegate"), next(one, "disconnect")];
    assert.equal((await asked(server, SESSION, leaving, "DELETE")).status, 204);
    assert.equal((await told)[0].type, "revoked");
    assert.equal((await ended)[0], "io server disconnect");
    assert.equal(await server.refused(page(leaving)), "unauthenticated");
    assert.ok((await subscribe(other, "overview")).ok);
  });

  test("is told when the hour is over", async () => {
    const socket = await server.connect(page(cookieUntil(now() + 3)));
    const ends = new Promise((resolve) => socket.on("tidegate", ({ type }) => type === "expired" && resolve()));
    await within("the end of the session", ends);
  });
});

describe("the live data", { concurrency: true }, () => {
  let server, cookie;
  before(async () => {
    server = await Server.start({ config: withDashboard, plugins: false });
    cookie = await signIn(server);
  });
  after(() => server?.stop());

  test("are out of reach for the application's users, whoever they are", async () => {
    for (const transport of TRANSPORTS) {
      assert.equal(await server.refused({ path: PATH, transport }), "unauthenticated");
      const user = token("eve", { roles: ["operator", "editor"] });
      assert.equal(await server.refused({ path: PATH, transport, token: user }), "unauthenticated");
      assert.equal(await server.refused({ path: PATH, transport, extraHeaders: { cookie: `session=${user}` } }), "unauthenticated");
    }
    const client = await server.connect({ token: token("eve", { roles: ["operator"] }) });
    assert.equal((await ask(client, "subscribe", { channel: "overview" })).error.code, "unknown_channel");
  });

  test("are for the cookie alone, which is no credential of the application", async () => {
    const value = cookie.split("=")[1];
    assert.equal(await server.refused({ path: PATH, token: value }), "unauthenticated");
    assert.equal(await server.refused(page(cookieUntil(now() - 1))), "unauthenticated");
    assert.equal(await server.refused(page(cookieUntil(now() + 60, "another key, of the same length"))), "unauthenticated");
    assert.equal(await server.refused(page(cookieUntil(now() + 60, KEYS.backend))), "unauthenticated", "it may not operate");
    const client = await server.connect({ extraHeaders: { cookie } });
    assert.equal((await ask(client, "subscribe", { channel: "e2e.room.a" })).error.code, "unauthenticated");
    const operator = await server.connect(page(cookie));
    assert.equal((await ask(operator, "subscribe", { channel: "e2e.open" })).error.code, "unknown_channel");
    assert.equal((await ask(operator, "overview", {})).error.code, "not_subscribed");
  });

  test("are not given to a page of another origin", async () => {
    for (const origin of ["https://elsewhere.example", "https://app.example.com"]) {
      assert.equal(await server.refused(page(cookie, { extraHeaders: { cookie, origin } })), "forbidden", origin);
    }
    const own = await server.connect(page(cookie, { extraHeaders: { cookie, origin: server.url } }));
    assert.ok(own.connected);
  });
});

test("what operators do counts in no metric of the application", async () => {
  const server = await Server.start({ config: withDashboard, plugins: false });
  try {
    const cookie = await signIn(server);
    for (const transport of TRANSPORTS) {
      const socket = await server.connect(page(cookie, { transport }));
      await subscribe(socket, "overview");
      await collect(socket, "overview").count(2);
      assert.equal(await metric(server, "tidegate_subscriptions{channel=\"overview\"}"), undefined);
      assert.equal(await metric(server, "tidegate_deliveries_total{channel=\"overview\"}"), undefined);
      const gone = next(socket, "disconnect");
      socket.close();
      await gone;
    }
    await server.refused({ path: PATH });
    for (const name of ["connections ", "connections_opened_total ", "connections_refused_total", "connections_closed_total", "gate_decisions_total"]) {
      const line = await metric(server, `tidegate_${name}`);
      assert.ok(line === undefined || line.endsWith(" 0"), line);
    }
    assert.match(await metric(server, "tidegate_memory_bytes "), / \d{6,}$/);
  } finally {
    await server.stop();
  }
});

test("what is done with a key is in the log, with the name of the key", async () => {
  const server = await Server.start({ config: withDashboard, plugins: false });
  try {
    const post = (path, body) =>
      fetch(server.url + path, { method: "POST", headers: { authorization: `Bearer ${READER}` }, body: JSON.stringify(body) });
    const [revoke, taken] = [server.logged("operator.revoke"), server.logged("revocation.taken")];
    assert.equal((await post("/v1/revoke", { user: "gone" })).status, 202);
    assert.equal((await revoke).operator, "reader");
    assert.equal((await revoke).id, (await taken).id);
    const explain = server.logged("operator.explain");
    assert.equal((await post("/v1/explain", { token: token("alice"), action: "subscribe", topic: "e2e.open" })).status, 200);
    const { operator, about, topic } = await explain;
    assert.deepEqual({ operator, about, topic }, { operator: "reader", about: "token", topic: "e2e.open" });
  } finally {
    await server.stop();
  }
});

test("the page is carried by the program, and is not there where the dashboard is off", async () => {
  const server = await Server.start({ config: withDashboard, plugins: false });
  try {
    const response = await fetch(`${server.url}/dashboard`);
    assert.equal(response.url, `${server.url}/dashboard/`);
    assert.match(response.headers.get("content-type"), /^text\/html/);
    assert.match(response.headers.get("content-security-policy"), /^default-src 'none'; script-src 'self';/);
    assert.equal(response.headers.get("x-content-type-options"), "nosniff");
    assert.match(await response.text(), /<title>/);
    assert.equal((await fetch(`${server.url}/dashboard/no-such-file.js`)).status, 404);
  } finally {
    await server.stop();
  }
  const without = await Server.start({ plugins: false });
  try {
    for (const path of ["/dashboard", "/dashboard/", `${PATH}?EIO=4&transport=polling`]) {
      assert.equal((await fetch(without.url + path)).status, 404, path);
    }
    const signingIn = await fetch(without.url + SESSION, { method: "POST", body: JSON.stringify({ key: KEYS.operator }) });
    assert.equal(signingIn.status, 404);
  } finally {
    await without.stop();
  }
});
