// Gate 1 against everything that a stranger can bring, with the stock client: tokens of an issuer with a key set, the
// sessions of a web application, pages of other origins, and addresses behind proxies.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { after, before, beforeEach, describe, test } from "node:test";

import { ask, collect, next, now, Server, subscribe, TRANSPORTS, token } from "@tidegate/kit/harness.mjs";
import { Issuer, Key, rows, sqlite, WebApplication } from "@tidegate/kit/identity.mjs";

const SECURITY_KEY = "e2e-security-key-0123456789abcdef";

const withAuth = (auth) => (config) => ({ ...config, auth: { ...config.auth, ...auth }, limits: { ...config.limits, failed_connects: 0 } });

// Looks until it is so; the test's own time ends it.
async function until(holds) {
  while (!holds()) await pause(20);
}

describe("tokens of an issuer that publishes its keys", () => {
  const [first, second, stranger] = [new Key("RS256", "first"), new Key("ES256", "second"), new Key("RS256", "first")];
  let issuer;
  let server;
  before(async () => {
    issuer = await new Issuer().start();
    issuer.keys = [first];
    const jwt = { algorithm: ["RS256", "ES256"], jwks: issuer.jwks, iss: "https://id.example.com", aud: "tidegate", roles: "/realm/roles", refresh: "1s" };
    server = await Server.start({ config: withAuth({ providers: [{ jwt }] }), plugins: false });
  });
  after(async () => {
    await server?.stop();
    await issuer?.stop();
  });

  const claims = { iss: "https://id.example.com", aud: ["tidegate"], realm: { roles: ["editor"] } };

  for (const transport of TRANSPORTS) {
    test(`a token of the issuer is taken and its roles count, over ${transport}`, async () => {
      const socket = await server.connect({ transport, token: first.token("u1", claims) });
      await subscribe(socket, "e2e.inbox.u1");
      await subscribe(socket, "e2e.editors");
    });

    const attacks = {
      "signed by a stranger with a key of the same name": () => stranger.token("u1", claims),
      "the public key as a shared secret": () => first.confused("u1"),
      "without a signature": () => token("u1", claims, { alg: "none" }),
      "with the stranger's key in its header": () => stranger.token("u1", claims, { jwk: stranger.jwk }),
      "with the stranger's keys linked from its header": () => stranger.token("u1", claims, { jku: "https://evil.example/keys" }),
      "with a path for a key name": () => stranger.token("u1", claims, { kid: "../../etc/passwd" }),
      "with a critical extension": () => first.token("u1", claims, { crit: ["exp"] }),
      "for another audience": () => first.token("u1", { ...claims, aud: "other" }),
      "for no audience": () => first.token("u1", { ...claims, aud: undefined }),
      "of another issuer": () => first.token("u1", { ...claims, iss: "https://evil.example" }),
      "not valid yet": () => first.token("u1", { ...claims, nbf: 9_999_999_999 }),
      "stripped of its signature": () => first.token("u1", claims).replace(/[^.]+$/, ""),
      "huge": () => first.token("u1", { ...claims, pad: "x".repeat(10_000) }),
    };
    for (const [what, attack] of Object.entries(attacks)) {
      test(`a token ${what} is refused, over ${transport}`, async () => {
        assert.equal(await server.refused({ transport, token: attack() }), "unauthenticated");
      });
    }
  }

  test("a key that is published is found, one that is withdrawn is not, and while the issuer is away the last ones count", async () => {
    let read = server.logged("auth.keys");
    issuer.keys = [first, second];
    await read;
    await server.connect({ token: second.token("u2", claims) });
    read = server.logged("auth.keys");
    issuer.keys = [second];
    await read;
    assert.equal(await server.refused({ token: first.token("u1", claims) }), "unauthenticated");
    const away = server.logged("auth.away");
    await issuer.stop();
    assert.equal((await away).provider, "jwt");
    await server.connect({ token: second.token("u2", claims) });
  });

  test("a token of a key that was published a moment ago is let in, whoever invents names meanwhile", async () => {
    const [old, fresh, stranger] = [new Key("ES256", "old"), new Key("Ed25519", "fresh"), new Key("ES256", "stranger")];
    const rotating = await new Issuer().start();
    rotating.keys = [old];
    const jwt = { algorithm: ["ES256", "Ed25519"], jwks: rotating.jwks, refresh: "3s" };
    const server = await Server.start({ config: withAuth({ providers: [{ jwt }] }), plugins: false });
    try {
      await server.connect({ token: old.token("u1") });
      const read = rotating.requests.length;
      const invented = Array.from({ length: 10 }, (_, n) => server.refused({ token: stranger.token("u2", {}, { kid: `invented ${n}` }) }));
      rotating.keys = [old, fresh];
      const socket = server.client({ token: fresh.token("u2") });
      const refusals = [];
      socket.on("connect_error", ({ message }) => refusals.push(message));
      await next(socket, "connect");
      await subscribe(socket, "e2e.inbox.u2");
      assert.ok(!refusals.includes("unauthenticated"), refusals.join());
      assert.deepEqual(new Set(await Promise.all(invented)), new Set(["unauthenticated"]));
      assert.ok(rotating.requests.length <= read + 2, "it is asked as often as configured, and not by strangers");
    } finally {
      await server.stop();
      await rotating.stop();
    }
  });

  test("a server that starts while the issuer is away lets its clients in as soon as it is there", async () => {
    const away = await new Issuer().start();
    away.keys = [first];
    const { jwks } = away;
    await away.stop();
    const config = withAuth({ providers: [{ jwt: { algorithm: "RS256", jwks } }] });
    const late = await Server.start({ config, plugins: false });
    try {
      await late.printed("auth.away");
      const { text } = await late.get("/metrics");
      assert.match(text, /tidegate_auth_up\{[^}]*provider="jwt"[^}]*\} 0/);
      const { status, body } = await late.get("/readyz");
      assert.deepEqual([status, body.error.details], [503, { away: ["keys"] }]);
      const socket = late.client({ token: first.token("u1") });
      const connected = next(socket, "connect");
      await late.logged("realtime.auth_failed");
      await away.start();
      await connected;
      await subscribe(socket, "e2e.inbox.u1");
      assert.equal((await late.get("/readyz")).status, 200);
      await away.stop();
      assert.equal((await late.get("/readyz")).status, 200, "keys that were read once stay good");
    } finally {
      await late.stop();
      await away.stop();
    }
  });
});

describe("the sessions of a web application that says who is logged in", () => {
  let application;
  let server;
  before(async () => {
    application = await new WebApplication().start();
    application.users.set("s1", { id: "u1", role: "editor" });
    application.users.set("static-token", { id: "u2", role: null });
    const introspect = {
      url: application.me, cookies: ["app_session"], user: "/data/id", roles: "/data/role", cache: "0s", timeout: "1s",
    };
    server = await Server.start({ config: withAuth({ providers: [{ introspect }] }), plugins: false });
  });
  beforeEach(() => {
    application.status = 200;
    application.requests.length = 0;
  });
  after(async () => {
    await server?.stop();
    await application?.stop();
  });
  const cookie = (text) => ({ extraHeaders: { Cookie: text } });

  for (const transport of TRANSPORTS) {
    test(`the cookie says who it is, and nothing but it is sent on, over ${transport}`, async () => {
      const socket = await server.connect({ transport, ...cookie("theme=dark; app_session=s1; other=secret") });
      await subscribe(socket, "e2e.inbox.u1");
      await subscribe(socket, "e2e.editors");
      const { headers } = application.requests[0];
      assert.equal(headers.cookie, "app_session=s1");
      assert.equal(headers.authorization, undefined);
    });

    test(`a token says who it is, over ${transport}`, async () => {
      const socket = await server.connect({ transport, token: "static-token" });
      await subscribe(socket, "e2e.inbox.u2");
      assert.equal((await ask(socket, "subscribe", { channel: "e2e.editors" })).error.code, "forbidden");
    });

    test(`what the application does not know is refused, over ${transport}`, async () => {
      assert.equal(await server.refused({ transport, ...cookie("app_session=nobody") }), "unauthenticated");
      assert.equal(await server.refused({ transport, token: "nobody" }), "unauthenticated");
      const ten = Array.from({ length: 9 }, (_, n) => `app_session=s${n + 2}`).join("; ");
      application.requests.length = 0;
      assert.equal(await server.refused({ transport, ...cookie(`app_session=s1; ${ten}`) }), "unauthenticated");
      assert.equal(application.requests.length, 0, "which of ten is meant is asked of nobody");
    });

    test(`a page of another origin gets nowhere with the cookie, over ${transport}`, async () => {
      for (const Origin of ["https://evil.example", "null"]) {
        const options = { transport, extraHeaders: { Cookie: "app_session=s1", Origin } };
        assert.equal(await server.refused(options), "forbidden");
      }
      assert.equal(application.requests.length, 0);
      await server.connect({ transport, extraHeaders: { Cookie: "app_session=s1", Origin: "https://app.example.com" } });
    });
  }

  test("an application that is down refuses newcomers for now and harms nobody connected", async () => {
    const inside = await server.connect(cookie("app_session=s1"));
    application.status = 503;
    const outside = server.client(cookie("app_session=s1"));
    const { code } = await server.logged("realtime.auth_failed");
    assert.equal(code, "unavailable");
    await subscribe(inside, "e2e.inbox.u1");
    const connected = next(outside, "connect");
    application.status = 200;
    await connected;
    assert.ok(inside.connected);
  });

  test("an answer about one user that makes no sense refuses that user, says why, and is nobody else's matter", async () => {
    application.users.set("odd", { id: "u9", role: { admin: true } });
    const odd = server.logged("auth.odd");
    assert.equal(await server.refused(cookie("app_session=odd")), "unauthenticated");
    assert.match((await odd).why, /roles/);
    const { text } = await server.get("/metrics");
    assert.match(text, /tidegate_auth_up\{[^}]*provider="introspect"[^}]*\} 1/);
    await server.connect(cookie("app_session=s1"));
  });

  for (const transport of TRANSPORTS) {
    test(`who may be let in later does not come back each second, over ${transport}`, async () => {
      application.status = 503;
      const refused = server.logged("realtime.auth_failed");
      server.client({ transport, ...cookie("app_session=s1") });
      await refused;
      const began = performance.now();
      assert.equal((await server.logged("realtime.auth_failed", 15_000)).code, "unavailable");
      assert.ok(performance.now() - began > 2000, "the transport is held for so long");
      application.status = 200;
    });
  }

  test("a client that polls and may be let in later is answered 503 with the code", async () => {
    application.status = 503;
    const headers = { Cookie: "app_session=s1" };
    const polls = `${server.url}/socket.io/?EIO=4&transport=polling`;
    const { sid } = JSON.parse((await (await fetch(polls, { headers })).text()).slice(1));
    const path = `${polls}&sid=${sid}`;
    await fetch(path, { method: "POST", body: "40", headers });
    let answer;
    // The heartbeat comes first.
    do answer = await fetch(path, { headers }); while (answer.ok && (await answer.text()) === "2");
    const { error } = await answer.json();
    assert.deepEqual([answer.status, error.code, error.retry], [503, "unavailable", true]);
    application.status = 200;
  });

  test("a session that began with polling stays whose it was, whatever its upgrade brings", async () => {
    const transportOptions = {
      polling: { extraHeaders: { Cookie: "app_session=s1" } },
      websocket: { extraHeaders: { Authorization: "Bearer static-token", Cookie: "app_session=other" } },
    };
    const { socket, upgraded } = await server.connectUpgrading({ transportOptions });
    await upgraded;
    await subscribe(socket, "e2e.inbox.u1");
    assert.equal((await ask(socket, "subscribe", { channel: "e2e.inbox.u2" })).error.code, "forbidden");
  });

  test("a session's id is of no use to a page of another origin: polls, posts and the upgrade are refused", async () => {
    const socket = await server.connect({ transport: "polling", ...cookie("app_session=s1") });
    const path = `${server.url}/socket.io/?EIO=4&transport=polling&sid=${socket.io.engine.id}`;
    const Origin = "https://evil.example";
    assert.equal((await fetch(path, { headers: { Origin } })).status, 403);
    const post = { method: "POST", headers: { Origin, "content-type": "text/plain" }, body: "40" };
    assert.equal((await fetch(path, post)).status, 403);
    assert.equal((await fetch(path.replace("polling", "websocket"), { headers: { Origin } })).status, 403);
    await subscribe(socket, "e2e.inbox.u1");
  });
});

describe("pages behind a proxy that asks the server under another name", () => {
  const page = { Origin: "https://app.example.org", "X-Forwarded-For": "192.0.2.1", "X-Forwarded-Host": "app.example.org" };
  const behind = (trusted_proxies) => Server.start({ config: withAuth({ trusted_proxies }), plugins: false });

  test("a page of the host that a trusted proxy was asked for is of the same site, and another's is not", async () => {
    const server = await behind(["127.0.0.0/8"]);
    try {
      for (const transport of TRANSPORTS) {
        await subscribe(await server.connect({ transport, extraHeaders: page }), "e2e.open");
        const evil = { ...page, Origin: "https://evil.example" };
        assert.equal(await server.refused({ transport, extraHeaders: evil }), "forbidden");
      }
      const { socket, upgraded } = await server.connectUpgrading({ extraHeaders: page });
      await upgraded;
      await subscribe(socket, "e2e.open");
    } finally {
      await server.stop();
    }
  });

  test("what a proxy says that nobody listed makes no page one of the same site", async () => {
    const server = await behind([]);
    try {
      for (const transport of TRANSPORTS) assert.equal(await server.refused({ transport, extraHeaders: page }), "forbidden");
    } finally {
      await server.stop();
    }
  });
});

describe("failed attempts are counted by address", () => {
  const limit = (auth) => (config) => ({
    ...config, auth: { ...config.auth, ...auth }, limits: { ...config.limits, failed_connects: 2 },
  });
  const from = (address) => ({ extraHeaders: { "X-Forwarded-For": address }, reconnection: false });
  const guess = (server, address) => server.refused({ token: "guess", ...from(address) });

  test("behind a trusted proxy who guesses is shut out, and nobody else is", async () => {
    const server = await Server.start({ config: limit({ trusted_proxies: ["127.0.0.0/8"] }), plugins: false });
    try {
      assert.equal(await guess(server, "192.0.2.1"), "unauthenticated");
      // What the client wrote itself stands before what the proxy added.
      assert.equal(await guess(server, "198.51.100.9, 192.0.2.1"), "unauthenticated");
      assert.equal(await guess(server, "198.51.100.10, 192.0.2.1"), "websocket error");
      await server.connect({ token: token("u1"), ...from("192.0.2.2") });
    } finally {
      await server.stop();
    }
  });

  test("behind a proxy that nobody listed nobody is shut out for another's guesses", async () => {
    const server = await Server.start({ config: limit({}), plugins: false });
    try {
      for (let n = 0; n < 4; n++) assert.equal(await guess(server, "192.0.2.1"), "unauthenticated");
      await server.connect({ token: token("u1"), ...from("192.0.2.2") });
    } finally {
      await server.stop();
    }
  });
});

describe("the sessions of a web application, in the store", () => {
  let server;
  let database;
  const sql = (statements) => sqlite(database, statements);
  before(async () => {
    const session = { cookie: "sid", query: "select user_id, roles from sessions where token = $1", write_back: "100ms" };
    const config = (config) => ({
      ...withAuth({ providers: [{ session }] })(config),
      store: "sqlite:../company.db",
      api_keys: [...config.api_keys, { name: "security", key: SECURITY_KEY, may: ["revoke"] }],
    });
    const files = (directory) => {
      database = join(directory, "company.db");
      sql(`create table sessions (token text primary key, user_id text not null, roles text not null);
           insert into sessions values ('s1', 'u1', '["editor"]'), ('s2', 'u2', ''), ('s3', 'u3', '');`);
    };
    server = await Server.start({ config, files, plugins: false });
  });
  after(() => server?.stop());
  const cookie = (text) => ({ extraHeaders: { Cookie: text } });
  const hash = (session) => createHash("sha256").update(`sid\0${session}`).digest("hex");

  for (const transport of TRANSPORTS) {
    test(`the cookie's session says who it is, over ${transport}`, async () => {
      const socket = await server.connect({ transport, ...cookie("sid=s1") });
      await subscribe(socket, "e2e.inbox.u1");
      await subscribe(socket, "e2e.editors");
      assert.equal(await server.refused({ transport, ...cookie("sid=s9") }), "unauthenticated");
      assert.equal(await server.refused({ transport, ...cookie("sid=' or '1'='1") }), "unauthenticated");
    });

    test(`a session's id that a stranger plants is not taken, over ${transport}`, async () => {
      assert.equal(await server.refused({ transport, token: "s1" }), "unauthenticated");
      assert.equal(await server.refused({ transport, extraHeaders: { Authorization: "Bearer s1" } }), "unauthenticated");
      assert.equal(await server.refused({ transport, ...cookie("sid=s1; sid=s2") }), "unauthenticated");
      const anonymous = await server.connect({ transport, query: { sid_cookie: "s1", token: "s1" } });
      assert.equal((await ask(anonymous, "subscribe", { channel: "e2e.inbox.u1" })).error.code, "unauthenticated");
    });

    test(`a page of another origin gets nowhere with the session, over ${transport}`, async () => {
      const options = { transport, extraHeaders: { Cookie: "sid=s1", Origin: "https://evil.example" } };
      assert.equal(await server.refused(options), "forbidden");
    });
  }

  test("a session that is revoked ends at once, and comes back neither by websocket nor by polling", async () => {
    const socket = await server.connect(cookie("sid=s3"));
    const gone = next(socket, "disconnect");
    const { status } = await server.post("/v1/revoke", { token: hash("s3") }, { key: SECURITY_KEY });
    assert.equal(status, 202);
    assert.deepEqual((await gone)[0], "io server disconnect");
    for (const transport of TRANSPORTS) {
      assert.equal(await server.refused({ transport, ...cookie("sid=s3") }), "token_revoked");
    }
    await server.connect(cookie("sid=s1"));
  });

  test("a session that was logged out lets nobody in any more", async () => {
    await server.connect(cookie("sid=s2"));
    sql("delete from sessions where token = 's2';");
    assert.equal(await server.refused(cookie("sid=s2")), "unauthenticated");
  });

  test("what is written back says when a session was used and not which it is", async () => {
    await server.connect(cookie("sid=s1"));
    const dump = () => rows(database, "select key from tidegate_sessions");
    await until(() => dump().includes(hash("s1")));
    assert.doesNotMatch(dump(), /'s1'/);
  });
});

describe("a session of a web application whose user falls silent", () => {
  let server;
  before(async () => {
    const session = { cookie: "sid", query: "select user_id from sessions where token = $1", idle: "4s" };
    const config = (config) => ({ ...withAuth({ providers: [{ session }], expiring_ahead: "1s" })(config), store: "sqlite:../company.db" });
    const files = (directory) => sqlite(join(directory, "company.db"), `create table sessions (token text, user_id text); insert into sessions values ('s1', 'u1');`);
    server = await Server.start({ config, files, plugins: false });
  });
  after(() => server?.stop());

  test("it is told ahead of its end, goes on with anything its page sends, and ends when that sends nothing", async () => {
    const socket = await server.connect({ extraHeaders: { Cookie: "sid=s1" } });
    const told = [];
    const ended = new Promise((resolve) => {
      socket.on("tidegate", (event) => {
        told.push(event);
        if (event.type === "expired") socket.once("disconnect", resolve);
        else if (told.length === 1) ask(socket, "subscribe", { channel: "e2e.open" });
      });
    });
    assert.equal(await ended, "io server disconnect");
    assert.deepEqual(told.map(({ type, expires_in }) => [type, expires_in]), [["expiring", 1], ["expiring", 1], ["expired", undefined]]);
    assert.ok(told[1].expires_at >= told[0].expires_at + 3, JSON.stringify(told));
    assert.equal(socket.active, false);
    assert.equal(await server.refused({ extraHeaders: { Cookie: "sid=s1" } }), "token_expired");
  });
});

describe("a session of a web application whose row changes while a page is connected", () => {
  let server;
  const database = () => join(server.directory, "company.db");
  const row = (change) => sqlite(database(), change);
  before(async () => {
    const query = "select user_id, expires as expires_at from sessions where token = $1";
    const session = { cookie: "sid", query, idle: "0s", absolute: "0s" };
    const config = (config) => ({
      ...withAuth({ providers: [{ session }], expiring_ahead: "2s", recheck: "2s" })(config), store: "sqlite:../company.db",
    });
    const files = (directory) => sqlite(join(directory, "company.db"), "create table sessions (token text, user_id text, expires integer);");
    server = await Server.start({ config, files, plugins: false });
  });
  after(() => server?.stop());

  async function connected(id, seconds) {
    row(`insert into sessions values ('${id}', 'u-${id}', unixepoch() + ${seconds});`);
    const socket = await server.connect({ extraHeaders: { Cookie: `sid=${id}` } });
    return { socket, told: collect(socket, "tidegate") };
  }

  test("one that is extended goes on, and nothing is told but its real end", async () => {
    const { socket, told } = await connected("rolls", 9);
    const ends = Number(/\d+/.exec(rows(database(), "select expires from sessions where token = 'rolls'"))[0]);
    row("update sessions set expires = expires + 3 where token = 'rolls';");
    const [reason] = await next(socket, "disconnect");
    assert.equal(reason, "io server disconnect");
    assert.deepEqual(told.received.map(({ type, expires_at }) => [type, expires_at]), [["expiring", ends + 3], ["expired", undefined]]);
    assert.ok(now() >= ends + 3);
  });

  test("one that is deleted ends soon, with what gate 1 would say", async () => {
    const { socket, told } = await connected("leaves", 600);
    const gone = next(socket, "disconnect");
    row("delete from sessions where token = 'leaves';");
    assert.equal((await gone)[0], "io server disconnect");
    assert.deepEqual(told.received, [{ type: "revoked", reason: "unauthenticated" }]);
    assert.equal(await server.refused({ extraHeaders: { Cookie: "sid=leaves" } }), "unauthenticated");
  });

  test("without a token the page renews by the cookie it came with", async () => {
    const { socket } = await connected("renews", 600);
    row("update sessions set expires = expires + 1000 where token = 'renews';");
    const ack = await ask(socket, "authenticate", {});
    assert.ok(ack.ok && ack.expires_at > now() + 1000, JSON.stringify(ack));
    const nobody = await server.connect({});
    assert.equal((await ask(nobody, "authenticate", {})).error.code, "unauthenticated");
  });
});
