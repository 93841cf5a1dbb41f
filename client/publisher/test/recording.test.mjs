// The recording publisher: no server runs here. The last test asks a real one the same questions.

import assert from "node:assert/strict";
import { cpSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";

import { publisher, topic } from "@tidegate/publisher";
import { recordingPublisher } from "@tidegate/publisher/recording";
import { KEYS, Server } from "@tidegate/kit/harness.mjs";

const channels = fileURLToPath(new URL("channels", import.meta.url));

// Judged by the double and by the server.
const QUESTIONS = [
  ["feed.sports", { id: "7" }],
  ["feed.sports", { id: "7", title: "A title that is too long for it" }],
  ["feed.sports", { id: 7, words: ["a", 1] }],
  ["feed.sports", { id: "7", author: { name: "Ünal" }, published_at: "2026-11-30T12:00:00Z" }],
  ["feed.sports", { id: "7", author: { name: "ünal" } }],
  ["feed.sports", { id: "7", published_at: "yesterday" }],
  ["feed.sports", { id: "7", published_at: new Date(0), title: undefined }],
  ["feed.sports", {}],
  ["feed.all", "A headline"],
  ["feed.all", { id: "7" }],
  ["feed.sports.today", { id: "7" }],
  ["feed.two words", { id: "7" }],
  ["feed.{section}", { id: "7" }],
  ["feed.", { id: "7" }],
  [`feed.${"x".repeat(251)}`, { id: "7" }],
  ["notifications.user.u1", { kind: "reply", text: "Hello" }],
  ["notifications.user.u1", { kind: "poke", text: "Hello", more: true }],
  ["tidegate.own", {}],
];

const answerOf = (publish) => publish.then(() => "taken", ({ code, status, violations }) => ({ code, status, paths: violations.map(({ path }) => path).sort() }));

describe("the recording publisher", () => {
  test("keeps what was published, as JSON has it, with its topic and its channel", async () => {
    const tidegate = recordingPublisher({ channels });
    await tidegate.publish(topic("feed.{section}", { section: "sports" }), { id: "7", published_at: new Date(0), title: undefined }, { idempotencyKey: 'the "7"' });
    await tidegate.batch([{ topic: "feed.all", payload: "One", idempotencyKey: "8" }]);
    assert.deepEqual(tidegate.publications, [
      { topic: "feed.sports", channel: "feed.{section}", payload: { id: "7", published_at: "1970-01-01T00:00:00.000Z" }, idempotencyKey: 'the "7"' },
      { topic: "feed.all", channel: "feed.all", payload: "One", idempotencyKey: "8" },
    ]);
  });

  test("fails for a topic that no channel declares, and for a payload that its channel does not take", async () => {
    const tidegate = recordingPublisher({ channels });
    await assert.rejects(tidegate.publish("feed.sports.today", { id: "7" }), { code: "unknown_channel", message: /feed\.sports\.today/ });
    await assert.rejects(tidegate.publish("feed.sports", { id: 7 }), { code: "invalid_payload", message: /feed\.\{section\}.*\/id: must be string/ });
    const [good, bad] = await tidegate.batch([{ topic: "feed.all", payload: "One" }, { topic: "feed.all", payload: 1 }]);
    assert.equal(good.ok, true);
    assert.equal(bad.error.code, "invalid_payload");
    assert.equal(tidegate.publications.length, 1);
  });

  test("publishes a key once", async () => {
    const tidegate = recordingPublisher({ channels });
    for (let time = 0; time < 2; time += 1) await tidegate.publish("feed.all", "One", { idempotencyKey: "k" });
    await assert.rejects(tidegate.publish("feed.all", "Two", { idempotencyKey: "k" }), { code: "idempotency_conflict" });
    assert.equal(tidegate.publications.length, 1);
  });

  test("keeps events and revocations, and refuses what the server would", async () => {
    const tidegate = recordingPublisher({ channels, source: "/newsroom" });
    await tidegate.events({ type: "article.published", data: { id: "7" } });
    await tidegate.revoke({ user: "u1", issuedBefore: 1 });
    const [{ type, source, specversion, data }] = tidegate.busEvents;
    assert.deepEqual([type, source, specversion, data], ["article.published", "/newsroom", "1.0", { id: "7" }]);
    assert.deepEqual(tidegate.revocations, [{ user: "u1", issued_before: 1 }]);
    await assert.rejects(tidegate.events({ type: "tidegate.own" }), { code: "invalid_payload", status: 400 });
    await assert.rejects(tidegate.revoke({ topic: "no.such" }), { code: "unknown_channel" });
  });

  test("fails as often as a test says, and is tried again as often as it may be", async () => {
    const tidegate = recordingPublisher({ channels });
    tidegate.fail("unavailable");
    await assert.rejects(tidegate.publish("feed.all", "One"), { code: "unavailable", retry: true, status: 503 });
    await tidegate.publish("feed.all", "One");
    const patient = recordingPublisher({ channels, attempts: 3 });
    patient.fail("unreachable", 2);
    await patient.publish("feed.all", "One");
    assert.equal(patient.publications.length, 1);
    assert.throws(() => patient.fail("no_such_code"), /no code/);
  });

  test("says where the manifests are missing or wrong", () => {
    assert.throws(() => recordingPublisher({ channels: "nowhere" }), /no channel manifests in `nowhere`/);
  });

  test("judges as the server does", async (t) => {
    const files = (directory) => cpSync(channels, join(directory, "channels"), { recursive: true });
    const server = await Server.start({ plugins: false, files });
    t.after(() => server.stop());
    const [double, real] = [recordingPublisher({ channels }), publisher({ url: server.url, key: KEYS.backend })];
    for (const [topic, payload] of QUESTIONS) {
      assert.deepEqual(await answerOf(double.publish(topic, payload)), await answerOf(real.publish(topic, payload)), `${topic} ${JSON.stringify(payload)}`);
    }
  });
});
