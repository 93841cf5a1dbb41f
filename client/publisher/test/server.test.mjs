// The publisher against the real server, and with what goes wrong between them.

import assert from "node:assert/strict";
import { cpSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { after, before, beforeEach, describe, test } from "node:test";

import { publisher, TidegateError, topic } from "@tidegate/publisher";
import { KEYS, next, Server, subscribe, token } from "@tidegate/kit/harness.mjs";

import { Balancer, LOSE_ANSWER, REFUSE, SILENCE } from "./balancer.mjs";

const REVOKER = "publisher-revoke-key-0123456789abcdef";
const files = (directory) => cpSync(fileURLToPath(new URL("channels", import.meta.url)), join(directory, "channels"), { recursive: true });

const withKeys = (config) => {
  config.api_keys[0].may = ["publish", "events", "read"];
  config.api_keys.push({ name: "revoker", key: REVOKER, may: ["revoke"] });
  return config;
};

let server;
let balancer;
before(async () => {
  server = await Server.start({ plugins: false, config: withKeys, files });
  balancer = await Balancer.start(server);
});
after(async () => {
  balancer?.stop();
  await server?.stop();
});
beforeEach(() => {
  balancer.plan = [];
  balancer.requests = [];
});

const direct = (options) => publisher({ url: server.url, key: KEYS.backend, source: "/newsroom", ...options });
const behind = (options) => publisher({ url: balancer.url, key: KEYS.backend, source: "/newsroom", ...options });

// What the topic's history keeps: what was published, and how often.
async function kept(topic) {
  const { body } = await server.get(`/v1/channels/${encodeURIComponent(topic)}/history`, { key: KEYS.backend });
  return body.publications.map(({ payload }) => payload);
}

// A topic of its own for each test.
let count = 0;
const feed = () => topic("feed.{section}", { section: `s${(count += 1)}` });

const refusal = (code, more = {}) => (error) => {
  assert.ok(error instanceof TidegateError, String(error));
  assert.deepEqual({ code: error.code, ...Object.fromEntries(Object.keys(more).map((name) => [name, error[name]])) }, { code, ...more });
  return true;
};

describe("a publish", () => {
  test("reaches the topic's subscribers, and says its position", async () => {
    const socket = await server.connect();
    const section = feed();
    await subscribe(socket, section);
    const heard = next(socket, section);
    const { position } = await direct().publish(section, { id: "7", title: "Grüße" });
    assert.deepEqual(await heard, [{ id: "7", title: "Grüße" }, position]);
  });

  test("whose payload is wrong is refused with every place, and is sent once", async () => {
    const wrong = behind().publish(feed(), { id: 7, words: ["a", 1], titel: "x" });
    await assert.rejects(wrong, (error) => {
      refusal("invalid_payload", { retry: false, status: 422, attempts: 1 })(error);
      assert.deepEqual(error.violations.map(({ path }) => path).sort(), ["", "/id", "/words/1"]);
      assert.match(error.message, /\/words\/1: /);
      return true;
    });
    assert.equal(balancer.requests.length, 1);
  });

  test("on a topic that no channel declares, with a wrong key, and with a key that may not, says so and is sent once", async () => {
    await assert.rejects(behind().publish("no.such", {}), refusal("unknown_channel", { status: 404 }));
    await assert.rejects(behind({ key: "wrong" }).publish(feed(), {}), refusal("unauthenticated", { status: 401 }));
    await assert.rejects(behind({ key: REVOKER }).publish(feed(), {}), refusal("forbidden", { status: 403 }));
    assert.equal(balancer.requests.length, 3);
  });

  test("that is refused for now is sent again with its key, no sooner than it is told to", async () => {
    balancer.plan = [REFUSE(503, { "retry-after": "1" })];
    const section = feed();
    await behind().publish(section, { id: "1" });
    assert.deepEqual(await kept(section), [{ id: "1" }]);
    const [first, second] = balancer.requests;
    assert.equal(first.headers["idempotency-key"], second.headers["idempotency-key"]);
    assert.ok(second.at - first.at >= 1000, `${second.at - first.at} ms`);
  });

  test("whose answer is lost or late is published once, and has the first answer", async () => {
    balancer.plan = [LOSE_ANSWER, SILENCE];
    const section = feed();
    const { position } = await behind({ timeoutMs: 2000 }).publish(section, { id: "1" });
    assert.equal(position.offset, 1);
    assert.deepEqual(await kept(section), [{ id: "1" }]);
    assert.equal(balancer.requests.length, 3);
  });

  test("with a key of its own is published once, whoever sends it again, and refused with another payload", async () => {
    const section = feed();
    const key = { idempotencyKey: 'article "7", v2' };
    const first = await direct().publish(section, { id: "7" }, key);
    assert.deepEqual(await direct().publish(section, { id: "7" }, key), first);
    await assert.rejects(direct().publish(section, { id: "8" }, key), refusal("idempotency_conflict", { status: 422, retry: false }));
    assert.deepEqual(await kept(section), [{ id: "7" }]);
  });

  test("gives up after its attempts, and after its time, whatever comes first", async () => {
    const busy = REFUSE(503);
    balancer.plan = [busy, busy, busy, busy];
    await assert.rejects(behind({ attempts: 2 }).publish(feed(), {}), refusal("unexpected_answer", { status: 503, attempts: 2, retry: true }));
    assert.equal(balancer.requests.length, 2);
    balancer.plan = [REFUSE(503, { "retry-after": "60" })];
    await assert.rejects(behind().publish(feed(), {}), refusal("unexpected_answer", { attempts: 1, retryAfterMs: 60_000 }));
    balancer.plan = [SILENCE];
    await assert.rejects(behind({ timeoutMs: 200, attempts: 1 }).publish(feed(), {}), refusal("unreachable", { retry: true }));
  });

  test("ends when its caller says so", async () => {
    balancer.plan = [SILENCE];
    const controller = new AbortController();
    const waiting = behind().publish(feed(), {}, { signal: controller.signal });
    controller.abort(new Error("the request is over"));
    await assert.rejects(waiting, /the request is over/);
  });
});

test("a server that is away is waited for: what is published meanwhile arrives when it is back", async () => {
  const away = await Server.start({ plugins: false, config: withKeys, files });
  const front = await Balancer.start(away);
  const backend = publisher({ url: front.url, key: KEYS.backend, attempts: 20 });
  await away.stop({ keep: true });
  const published = backend.publish("feed.away", { id: "1" });
  await assert.rejects(publisher({ url: away.url, key: KEYS.backend, attempts: 2 }).publish("feed.away", { id: "0" }), refusal("unreachable", { attempts: 2 }));
  const back = await Server.start({ directory: away.directory, plugins: false, listen: away.address });
  assert.equal((await published).position.offset, 1);
  const { body } = await back.get("/v1/channels/feed.away/history", { key: KEYS.backend });
  assert.deepEqual(body.publications.map(({ payload }) => payload), [{ id: "1" }]);
  front.stop();
  await back.stop();
});

describe("a batch", () => {
  test("answers each publication for itself", async () => {
    const section = feed();
    const answers = await direct().batch([
      { topic: section, payload: { id: "1" } },
      { topic: section, payload: { id: 2 } },
      { topic: "no.such", payload: {} },
      { topic: section, payload: { id: "3" } },
    ]);
    assert.deepEqual(answers.map(({ ok, error }) => (ok ? "ok" : error.code)), ["ok", "invalid_payload", "unknown_channel", "ok"]);
    assert.deepEqual(answers[1].error.violations.map(({ path }) => path), ["/id"]);
    assert.deepEqual(await kept(section), [{ id: "1" }, { id: "3" }]);
  });

  test("whose answer is lost is published once", async () => {
    balancer.plan = [LOSE_ANSWER];
    const section = feed();
    const answers = await behind().batch([{ topic: section, payload: { id: "1" } }, { topic: section, payload: { id: "2" } }]);
    assert.deepEqual(answers.map(({ position }) => position.offset), [1, 2]);
    assert.deepEqual(await kept(section), [{ id: "1" }, { id: "2" }]);
  });

  test("sends again what of it was refused for now, and nothing else", async () => {
    const busy = { code: "unavailable", message: "temporarily unavailable", retry: true };
    balancer.plan = [(_, answer) => answer.end(JSON.stringify([{ ok: true }, { ok: false, error: busy }]))];
    const section = feed();
    const answers = await behind().batch([{ topic: section, payload: { id: "1" } }, { topic: section, payload: { id: "2" } }]);
    assert.deepEqual(answers.map(({ ok }) => ok), [true, true]);
    const [first, second] = balancer.requests.map(({ body }) => JSON.parse(body));
    assert.deepEqual(second, [first[1]]);
  });

  test("that is refused as a whole throws, and an empty one asks nothing", async () => {
    await assert.rejects(behind({ key: "wrong" }).batch([{ topic: feed(), payload: {} }]), refusal("unauthenticated"));
    const many = Array.from({ length: 1001 }, () => ({ topic: "feed.many", payload: {} }));
    await assert.rejects(behind().batch(many), refusal("payload_too_large", { status: 413 }));
    balancer.requests = [];
    assert.deepEqual(await behind().batch([]), []);
    assert.equal(balancer.requests.length, 0);
  });
});

test("an event crosses the bridge once, though its answer was lost", async () => {
  balancer.plan = [LOSE_ANSWER];
  const socket = await server.connect({ token: token("u1") });
  await subscribe(socket, "e2e.inbox.u1");
  const heard = [];
  socket.on("e2e.inbox.u1", (payload) => heard.push(payload.text));
  const order = (id) => ({ type: "order.shipped", data: { customer: "u1", order: id } });
  assert.deepEqual(await behind().events(order("7")), { accepted: 1 });
  const last = next(socket, "e2e.inbox.u1");
  assert.deepEqual(await behind().events([order("8"), { ...order("9"), source: "/other" }]), { accepted: 2 });
  await last;
  while (heard.length < 3) await next(socket, "e2e.inbox.u1");
  assert.deepEqual(heard, ["shipped 7", "shipped 8", "shipped 9"]);
  assert.equal(balancer.requests.length, 3);
});

test("events that are none are refused together, with the place of each", async () => {
  const wrong = direct().events([{ type: "order.shipped" }, { type: "tidegate.own" }]);
  await assert.rejects(wrong, (error) => refusal("invalid_payload", { status: 400 })(error) && error.details.events[0].index === 1);
  await assert.rejects(direct({ source: undefined }).events({ type: "order.shipped" }), /no `source`/);
});

test("a revocation ends the user's sessions and says how many", async () => {
  const socket = await server.connect({ token: token("mallory") });
  const told = next(socket, "tidegate");
  const { here } = await direct({ key: REVOKER }).revoke({ user: "mallory", reason: "stolen laptop" });
  assert.equal(here.sessions, 1);
  assert.equal((await told)[0].type, "revoked");
  await assert.rejects(direct({ key: REVOKER }).revoke({ topic: "no.such" }), refusal("unknown_channel"));
  await assert.rejects(direct().revoke({ user: "u1" }), refusal("forbidden"));
});

test("what cannot be an address, a key, a param or a payload is refused before anything is sent", async () => {
  assert.throws(() => publisher({ url: "server", key: "k" }), /`url` is the address/);
  assert.throws(() => publisher({ url: server.url }), /`key` is the API key/);
  assert.throws(() => direct({ deadlineMs: 600_000 }), /`deadlineMs`/);
  for (const section of ["", "a.b", "a b", "{a}", "\u200b", undefined]) assert.throws(() => topic("feed.{section}", { section }), /one segment/);
  await assert.rejects(direct().publish(feed(), undefined), TypeError);
  await assert.rejects(direct().publish(feed(), {}, { idempotencyKey: "ü" }), TypeError);
});
