// What a plugin in any language must do when the real binary serves it, in all kinds at once. A language's test says how
// its guest is built; `plugins/sdk/<language>/test/` holds the guest, which does what the messages below ask.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createServer } from "node:http";
import { mkdirSync, readFileSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { after, before, describe, test } from "node:test";

import { ask, collect, next, Server, subscribe, token } from "./harness.mjs";
import { target } from "./paths.mjs";
import { rawClient } from "./raw.mjs";

// Longer than a toolchain takes to arrive and to build from nothing on a small machine.
const BUILD_PATIENCE_MS = 600_000;

// Two bytes, four bytes, an escape of JSON's and one of C's: what a layer that counts characters gets wrong.
const TEXT = 'grüß dich 🦊 "quoted" \\ % \n';

const MANIFEST = {
  component: "guest.wasm",
  config: { greeting: TEXT, members: { v1: ["alice"] } },
  kinds: ["handler", "authorizer", "snapshot", "transform", "connection"],
  grants: { emit: ["desk.{city}.{desk}", "places", "lobby"], publish: ["ping.seen", "connection.*"] },
};
// What it may import by grant; the HTTP origin is known once there is a server.
const GRANTED = {
  secrets: ["GUEST_TOKEN"],
  kv: ["guest"],
  queries: { sum: "select $1 + $2 as sum, $3 as text" },
};

const SECRET = "s3cret 🦊";

// Numbers that not every language can hold.
const NUMBERS = ["9007199254740991", "9007199254740993", "12345678901234567890", "123456789012345678901234567890", "1e400"];

// More time than it needs: what these tests are about is not how busy the machine is.
const LIMITS = { cpu: "300ms", wall: "5s", kv_time: "5s", query_time: "5s" };

const CHANNELS = {
  feature: "guest",
  channels: {
    "desk.{city}.{desk}": {
      scope: "public",
      payload: { type: "object", required: ["pong"] },
      inbound: { payload: { type: "object" }, handler: "guest", rate: "600/m" },
    },
    places: {
      scope: "public",
      payload: { type: "object", required: ["pong"] },
      delivery: { key: "/pong" },
      snapshot: { retain: "latest" },
      inbound: { payload: { type: "object" }, handler: "guest" },
    },
    "vault.{vaultId}": {
      scope: "authenticated",
      authorizer: "guest",
      payload: {},
      inbound: { relay: "all" },
    },
    "state.{what}": { scope: "public", snapshot: { plugin: "guest" }, payload: { type: "object", required: ["n"] } },
    orders: { scope: "public", payload: { type: "object", required: ["cents"] } },
    lobby: { scope: "public", payload: { type: "object", required: ["phase"] } },
    comings: { scope: "public", payload: { type: "object", required: ["phase"] } },
  },
};

const BRIDGE = {
  rules: [
    {
      on: "ping.seen",
      to: "e2e.inbox.{userId}",
      params: { userId: "event.subject" },
      payload: '{"text": "seen " + string(event.data.n)}',
    },
    { on: "connection.*", to: "comings" },
    { on: "order.*", to: "orders", payload: "event.data.cents", transform: "guest" },
  ],
};

// An origin that says what it was asked.
async function site() {
  const server = createServer((request, response) => {
    request.setEncoding("utf8");
    const parts = [];
    request.on("data", (part) => parts.push(part));
    request.on("end", () => {
      response.writeHead(request.url === "/none" ? 404 : 200, { "x-answered": request.headers["x-asked"] });
      response.end(`${request.method} ${request.url} ${parts.join("")}`);
    });
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { origin: `http://127.0.0.1:${server.address().port}`, close: () => server.close() };
}

/** Builds a crate of a guest in Rust and returns its component. */
export function cargoBuild(crate, name) {
  // Where the tests of the host build guests, too.
  const built = join(target, "tmp/guests");
  execFileSync(process.env.CARGO ?? "cargo", ["build", "--release", "--locked", "--target", "wasm32-wasip2", "--quiet"], {
    cwd: crate,
    env: { ...process.env, CARGO_TARGET_DIR: built },
    stdio: ["ignore", "inherit", "inherit"],
  });
  return join(built, "wasm32-wasip2/release", `${name}.wasm`);
}

// `build(component)` makes the guest of `source`. `unwritable` is what the log says of a reply without JSON, `crash` the text of
// the line that the mistake is in. `also({ seated, mistake })` adds tests of the language's own.
export function contract({ language, build, source, unwritable, crash, limits, also, compilePatienceMs = 60_000 }) {
  // The line of the author's file that a fault has to name.
  const place = `${basename(source)}:${readFileSync(source, "utf8").split("\n").findIndex((line) => line.includes(crash)) + 1}`;
  describe(`a plugin in ${language}`, () => {
    let server;
    let scratch;
    let web;
    before(async () => {
      web = await site();
      scratch = mkdtempSync(join(tmpdir(), "tidegate-guest-"));
      mkdirSync(join(scratch, "guest"));
      // JSON is YAML.
      writeFileSync(join(scratch, "guest/plugin.yaml"), JSON.stringify({
        ...MANIFEST, grants: { ...MANIFEST.grants, ...GRANTED, http: [web.origin] }, limits: { ...LIMITS, ...limits },
      }));
      build(join(scratch, "guest/guest.wasm"));
      server = await Server.start({
        plugins: false,
        env: { GUEST_TOKEN: SECRET },
        config: (config) => {
          config.auth.providers[0].jwt.tenant = "tenant";
          config.private_origins = [web.origin];
          config.store = "sqlite:../guest.db";
          config.limits.plugin_compile_time = `${compilePatienceMs}ms`;
        },
      });
      // In one step, so that no reload sees half a plugin.
      const place = () => renameSync(join(scratch, "guest"), join(server.directory, "plugins/guest"));
      await server.reload(place, "reload.applied", compilePatienceMs);
      await server.reload(() => server.write("channels/guest.yaml", JSON.stringify(CHANNELS)));
      await server.reload(() => server.write("config/bridge.yaml", JSON.stringify(BRIDGE)));
    }, { timeout: BUILD_PATIENCE_MS + compilePatienceMs });
    after(async () => {
      await server?.stop();
      web?.close();
      rmSync(scratch, { recursive: true, force: true });
    });

    let desks = 0;
    // A user at a desk of their own.
    async function seated(options = { token: token("alice") }) {
      const socket = await server.connect(options);
      const topic = `desk.oslo.d${(desks += 1)}`;
      await subscribe(socket, topic);
      return { socket, topic, send: (message) => ask(socket, topic, message) };
    }

    test("it replies, emits to every subscriber and publishes on the bus", async () => {
      const { socket, topic, send } = await seated();
      await subscribe(socket, "e2e.inbox.alice");
      const [emitted, bridged] = [next(socket, topic), next(socket, "e2e.inbox.alice")];
      assert.deepEqual(await send({ n: 7 }), { ok: true, reply: { pong: 7 } });
      assert.deepEqual((await emitted)[0], { pong: 7 });
      assert.deepEqual((await bridged)[0], { text: "seen 7" });
    });

    test("an emit to others leaves the sender out", async () => {
      const { socket, topic, send } = await seated();
      const other = await server.connect({ token: token("bob") });
      await subscribe(other, topic);
      const [mine, theirs] = [collect(socket, topic), next(other, topic)];
      assert.deepEqual(await send({ others: 1 }), { ok: true });
      assert.deepEqual((await theirs)[0], { pong: 1 });
      // Whatever the first message had brought to its sender would have come before this.
      await send({ n: 2 });
      assert.deepEqual((await mine.count(1))[0], { pong: 2 });
    });

    test("it takes a retained value away, and all of them", async () => {
      const socket = await server.connect({ token: token("alice") });
      await subscribe(socket, "places");
      const events = collect(socket, "tidegate");
      const send = async (message) => assert.equal((await ask(socket, "places", message)).ok, true);
      const kept = async () => {
        const late = await server.connect({ token: token("bob") });
        return (await subscribe(late, "places")).snapshot.map(({ key }) => key);
      };
      for (const n of [1, 2, 3]) await send({ n });
      assert.deepEqual(await kept(), [1, 2, 3]);
      await send({ gone: 2 });
      assert.deepEqual(await kept(), [1, 3]);
      await send({ cleared: true });
      assert.deepEqual(await kept(), []);
      const removed = (await events.count(3)).map(({ type, channel, key }) => [type, channel, key]);
      assert.deepEqual(removed.toSorted(), [1, 2, 3].map((key) => ["removed", "places", key]));
      assert.deepEqual(removed[0], ["removed", "places", 2]);
    });

    test("it sees every field of the context", async () => {
      const claims = { roles: ["editor", "rédactrice 🦊"], tenant: "acme" };
      const { socket, topic, send } = await seated({ token: token("alice", claims) });
      const before = Date.now();
      const { reply } = await send({ context: true });
      const { received_at_ms, deadline_ms, connection_id, ...rest } = reply;
      assert.deepEqual(rest, {
        topic,
        channel: "desk.{city}.{desk}",
        params: [["city", "oslo"], ["desk", topic.split(".").at(-1)]],
        user: { id: "alice", roles: claims.roles, tenant: "acme" },
        attributes: [],
      });
      assert.ok(received_at_ms >= before - 1 && received_at_ms <= Date.now() + 1, `received at ${received_at_ms}`);
      assert.ok(deadline_ms > 0, `deadline ${deadline_ms}`);
      assert.ok(connection_id.length > 0);
      const again = await send({ context: true });
      assert.equal(again.reply.connection_id, connection_id, "the same connection");
      socket.close();
    });

    test("an anonymous connection has no user, and a credential without a tenant none", async () => {
      const anonymous = await seated({});
      assert.equal((await anonymous.send({ context: true })).reply.user, null);
      const alice = await seated();
      assert.deepEqual((await alice.send({ context: true })).reply.user, { id: "alice", roles: [], tenant: null });
    });

    for (const [value, what] of [
      [TEXT, "text beyond the basic plane"],
      [{ a: [1, -2.5, true, null, { "": "é" }], "🦊": [] }, "nested values"],
      ["x".repeat(8000), "long text"],
    ]) {
      test(`${what} comes back as it went`, async () => {
        const { send } = await seated();
        assert.deepEqual((await send({ echo: value })).reply, value);
      });
    }

    test("it reads its config, and finds no key that is not there", async () => {
      const { send } = await seated();
      assert.equal((await send({ config: "greeting" })).reply, TEXT);
      assert.deepEqual((await send({ config: "members" })).reply, { v1: ["alice"] });
      assert.equal((await send({ config: "missing" })).reply, null);
    });

    test("what it logs is in the server's log, with its fields", async () => {
      const { send } = await seated();
      assert.equal((await send({ log: "a line of the guest" })).ok, true);
      const line = await server.printed("a line of the guest");
      assert.match(line, /WARN/);
      assert.match(line, /colour/);
      assert.match(line, /blue/);
    });

    test("it has the time and randomness", async () => {
      const { send } = await seated();
      const [first, second] = [(await send({ host: true })).reply, (await send({ host: true })).reply];
      assert.ok(Math.abs(first.now_ms - Date.now()) < 60_000, `now is ${first.now_ms}`);
      assert.ok(first.later_us >= first.sooner_us);
      assert.match(first.bytes, /^[0-9a-f]{32}$/);
      assert.notEqual(first.bytes, second.bytes);
      assert.notEqual(first.number, second.number);
    });

    test("what its own language draws is another in every instance, and its clock is right", async () => {
      const { send } = await seated();
      const drawn = [];
      for (let n = 0; n < 3; n += 1) {
        // It costs the instance; its successor begins from the same component.
        await send({ crash: true });
        const { reply } = await send({ own: true });
        assert.ok(Math.abs(reply.now_ms - Date.now()) < 60_000, `now is ${reply.now_ms}`);
        drawn.push(reply.random);
      }
      assert.equal(new Set(drawn).size, 3, `drawn: ${drawn}`);
    });

    test("a name of an object is its own, and no other's that only looks like it", async () => {
      const { send } = await seated();
      assert.equal((await send({ field: { Name: "first", name: "own", NAME: "last" } })).reply, "own");
      assert.equal((await send({ field: { NAME: "other" } })).reply, null);
    });

    test("a name that stands twice is refused before it hears of it", async () => {
      const raw = await rawClient(server, "desk.oslo.raw");
      const { error } = JSON.parse(await raw.ask('{"field":{"name":"one","name":"two"}}'));
      assert.equal(error.code, "invalid_payload");
      assert.match(JSON.stringify(error), /names a key twice/);
      raw.close();
    });

    test("a number comes back as it went, or is refused: it is never another one", async () => {
      const raw = await rawClient(server, "desk.oslo.raw");
      for (const number of NUMBERS) {
        for (const value of [number, `{"of":[${number},"${number}"]}`]) {
          const said = await raw.ask(`{"value":${value}}`);
          if (said === `{"ok":true,"reply":${value}}`) continue;
          assert.equal(JSON.parse(said).error?.code, "invalid_payload", said);
          assert.match(said, number === "1e400" ? /number out of range/ : new RegExp(`${number} is larger than .* exactly`));
          assert.notEqual(number, NUMBERS[0], "what every language can hold is taken");
        }
      }
      raw.close();
    });

    test("it has the secrets it was granted, and no other", async () => {
      const { send } = await seated();
      assert.deepEqual((await send({ secret: "GUEST_TOKEN" })).reply, { secret: SECRET });
      assert.deepEqual((await send({ secret: "PATH" })).reply, { error: "denied" });
    });

    test("it keeps keys, with revisions and conditions", async () => {
      const { send } = await seated();
      const kv = async (op, key, more = {}) => (await send({ kv: { op, bucket: "guest", key, ...more } })).reply;
      assert.deepEqual(await kv("get", "a"), { entry: null });
      const { revision: first } = await kv("put", "a", { text: "one" });
      assert.ok(first > 0, `revision ${first}`);
      assert.deepEqual(await kv("put", "a", { text: "two", if_revision: 0 }), { error: "conflict", revision: first });
      const { revision: second } = await kv("put", "a", { text: TEXT, if_revision: first });
      assert.deepEqual(await kv("get", "a"), { entry: { text: TEXT, revision: second } });
      assert.deepEqual(await kv("increment", "n", { delta: 5 }), { sum: 5 });
      assert.deepEqual(await kv("increment", "n", { delta: -7 }), { sum: -2 });
      assert.deepEqual(await kv("increment", "a", { delta: 1 }), { error: "not-an-integer" });
      await kv("put", "ä", { text: "" });
      assert.deepEqual((await kv("get", "ä")).entry.text, "");
      assert.deepEqual(await kv("keys", "", { limit: 10 }), { keys: ["a", "n", "ä"] });
      assert.deepEqual(await kv("keys", "", { limit: 1, after: "a" }), { keys: ["n"] });
      assert.deepEqual(await kv("delete", "a", { if_revision: first }), { error: "conflict", revision: second });
      assert.deepEqual(await kv("delete", "a"), { existed: true });
      assert.deepEqual(await kv("delete", "a"), { existed: false });
      assert.deepEqual(await kv("get", "a", { bucket: "other" }), { error: "denied" });
    });

    test("a key that it keeps for a time is gone afterwards", async () => {
      const { send } = await seated();
      const kv = async (op, more = {}) => (await send({ kv: { op, bucket: "guest", key: "short", ...more } })).reply;
      await kv("put", { text: "soon gone", ttl_ms: 1 });
      while ((await kv("get")).entry) await new Promise((resolve) => setTimeout(resolve, 1));
      await kv("put", { text: "stays", ttl_ms: 3_600_000 });
      assert.equal((await kv("get")).entry.text, "stays");
    });

    test("it asks the queries it was granted, and no other", async () => {
      const { send } = await seated();
      const ask = async (name, ...params) => (await send({ query: { name, params } })).reply;
      assert.deepEqual(await ask("sum", 1, 2, TEXT), { rows: [{ sum: 3, text: TEXT }] });
      assert.deepEqual(await ask("sum", 1), { error: "invalid" });
      assert.deepEqual(await ask("other"), { error: "denied" });
    });

    test("it sends HTTP requests to the origin it was granted, and to no other", async () => {
      const { send } = await seated();
      const fetch = async (method, path, more = {}) =>
        (await send({ fetch: { method, url: web.origin + path, asked: "yes", ...more } })).reply;
      assert.deepEqual(await fetch("POST", "/echo?a=b", { body: TEXT }), {
        status: 200, answered: "yes", body: `POST /echo?a=b ${TEXT}`,
      });
      assert.deepEqual(await fetch("GET", "/none"), { status: 404, answered: "yes", body: "GET /none " });
      assert.deepEqual(await fetch("GET", "/", { url: "https://example.com/" }), { error: "denied" });
    });

    for (const code of ["invalid_payload", "forbidden", "unavailable", "failed"]) {
      test(`the refusal \`${code}\` reaches the client, and nothing it had asked for happens`, async () => {
        const { socket, topic, send } = await seated();
        const publications = collect(socket, topic);
        const { ok, error } = await send({ refuse: code });
        assert.equal(ok, false);
        assert.equal(error.code, code === "failed" ? "handler_failed" : code);
        if (code === "invalid_payload") assert.match(JSON.stringify(error), /no 🦊 today/);
        await send({ n: 1 });
        assert.deepEqual((await publications.count(1))[0], { pong: 1 });
      });
    }

    test("it hears of connections that come and go", async () => {
      const watcher = await server.connect();
      // Others come and go meanwhile.
      const carols = ({ user }) => user === "carol";
      const [emitted, published] = ["lobby", "comings"].map((topic) => collect(watcher, topic, carols));
      for (const topic of ["lobby", "comings"]) await subscribe(watcher, topic);
      const carol = await server.connect({ token: token("carol") });
      await emitted.count(1);
      carol.close();
      for (const told of [emitted, published]) {
        const [came, went] = await told.count(2);
        assert.deepEqual(came, { phase: "connected", user: "carol", connection: came.connection });
        assert.deepEqual(went, { ...came, phase: "disconnected" });
      }
      await server.connect({ token: token("broken") });
      await server.printed("not at home to `broken`");
    });

    test("a reply that has no JSON is a refusal that says so", async () => {
      const { send } = await seated();
      assert.equal((await send({ unwritable: true })).error.code, "handler_failed");
      await server.printed(unwritable);
    });

    // Asks for a mistake, and then for a ping, which must not notice. It is a fault of one of these kinds; returns it.
    async function mistake(message, kinds, code = "handler_failed") {
      const { send } = await seated();
      const logged = server.logged("plugin.fault");
      assert.equal((await send(message)).error.code, code);
      const fault = await logged;
      assert.ok(kinds.includes(fault.kind), `the fault is \`${fault.kind}\``);
      assert.deepEqual((await send({ n: 1 })).reply, { pong: 1 });
      return fault;
    }

    test("its own mistake costs one message, and is a fault that names the line of the author's file", async () => {
      const { detail, plugin, version } = await mistake({ crash: true }, ["trap"]);
      assert.ok(new RegExp(`, at (.*/)?${place}\\b`).test(detail), `the place is ${place}: ${detail}`);
      assert.equal(plugin, "guest");
      assert.match(version, /^[0-9a-f]{12}$/);
      assert.match(await server.printed(detail), /ERROR/);
    });
    test("endless recursion costs one message", () => mistake({ recurse: true }, ["trap", "memory"]));
    test("a memory hog is cut", () => mistake({ hog: true }, ["memory"]));
    test("an endless loop is cut", () => mistake({ spin: true }, ["cpu"], "handler_timeout"));

    test("its authorizer lets members in, turns others away, denies when it fails, and says when it cannot tell", async () => {
      const alice = await server.connect({ token: token("alice") });
      const bob = await server.connect({ token: token("bob") });
      assert.equal((await ask(alice, "subscribe", { channel: "vault.v1" })).ok, true);
      assert.equal((await ask(alice, "vault.v1", "hello")).ok, true);
      assert.equal((await ask(bob, "subscribe", { channel: "vault.v1" })).error.code, "forbidden");
      assert.equal((await ask(alice, "subscribe", { channel: "vault.v2" })).error.code, "forbidden");
      const fault = server.logged("plugin.fault");
      assert.equal((await ask(alice, "vault.v1", { crash: true })).error.code, "forbidden");
      assert.equal((await fault).kind, "trap");
      assert.equal((await ask(alice, "subscribe", { channel: "vault.broken" })).ok, false);
      await server.printed("the vault is broken");
      const away = await ask(alice, "subscribe", { channel: "vault.away" });
      assert.deepEqual([away.error.code, away.error.retry], ["unavailable", true]);
      await server.printed("the vault is away");
    });

    // The ack of a subscription to the state.
    async function state(what, user = "alice") {
      const socket = await server.connect({ token: token(user) });
      return await ask(socket, "subscribe", { channel: `state.${what}` });
    }

    test("its snapshot is in the ack of who subscribes", async () => {
      const to = (to) => [0, 1, 2].map((n) => ({ n, to }));
      assert.deepEqual((await state("3")).snapshot, to("alice"));
      assert.deepEqual((await state("3", "bob")).snapshot, to("bob"));
      assert.deepEqual((await state("0")).snapshot, []);
    });

    test("a state that is not to be had refuses the subscription, and the log says why", async () => {
      assert.equal((await state("broken")).error.code, "handler_failed");
      await server.printed("no state of `broken`");
      assert.equal((await state("crash")).error.code, "handler_failed");
      assert.equal((await state("1")).ok, true, "the next one has it");
    });

    let orders = 0;
    // Puts an order on the bus and returns its event.
    async function order(cents, more = {}) {
      const id = `o${(orders += 1)}`;
      const event = { specversion: "1.0", id, source: "/shop", type: "order.paid", data: { cents, note: TEXT }, ...more };
      assert.equal((await server.post("/v1/events", event)).status, 202);
      return event;
    }

    test("its transform makes the payloads of a bridge rule, and keeps events from crossing", async () => {
      const socket = await server.connect();
      await subscribe(socket, "orders");
      const arrivals = collect(socket, "orders");
      const first = await order(990, { subject: "küche", time: "2026-11-21T12:00:00Z" });
      await order(0);
      const second = await order(1);
      const made = ({ id, type, source, subject = null, time = null, data }) =>
        ({ cents: data.cents, id, type, source, subject, time, data, topic: "orders" });
      assert.deepEqual(await arrivals.count(2), [made(first), made(second)]);
    });

    test("an event that its transform fails on becomes a dead letter", async () => {
      for (const [cents, reason] of [[-5, /a refund of 5 is no order/], ["crash", /./]]) {
        const buried = server.logged("bridge.dead_letter");
        await order(cents);
        assert.match((await buried).reason, reason);
      }
    });

    also?.({ seated, mistake });

    test("hundreds of messages later it still answers", async () => {
      const { send } = await seated();
      const elapsed = process.hrtime.bigint();
      // Long enough that a guest with a garbage collector runs it, many times.
      const text = "x".repeat(8000);
      for (let n = 0; n < 500; n += 1) assert.deepEqual((await send({ echo: { n, text } })).reply, { n, text });
      if (process.env.TIDEGATE_E2E_LOG) console.error(`${Number(process.hrtime.bigint() - elapsed) / 500e3} µs a message`);
    });
  });
}
