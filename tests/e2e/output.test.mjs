// Whoever reads the server's output, or does not: the server serves.

import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";

import { ask, KEYS, next, now, Server, subscribe, token, until, within } from "@tidegate/kit/harness.mjs";

const DROPPED = "tidegate_log_lines_dropped_total";
const REVOKER = "e2e-revoker-key-0123456789abcdef";
// Waits for the test's word, then takes all there is and all that comes.
const READS_LATER = "until [ -e go ]; do sleep 0.02; done; cat >out";

const queueOf = (lines) => (config) => ({
  ...config,
  limits: { ...config.limits, log_queue: lines },
  api_keys: [...config.api_keys, { name: "revoker", key: REVOKER, may: ["revoke"] }],
});

const start = (reader, lines, command = "serve") =>
  Server.start({ plugins: false, reader, command, config: queueOf(lines), env: { RUST_LOG: "trace" } });

// The reason a client was disconnected for, and what it was told before.
async function ended(socket) {
  const told = [];
  socket.on("tidegate", (event) => told.push(event));
  const [reason] = await next(socket, "disconnect");
  return { reason, told };
}

const CLOSED = "head -n 1 >out";
const FULL = "exec sleep 600";
const SLOW = "while read -r line; do sleep 0.02; done";

for (const [command, how, reader] of [
  ["serve", "whose output nobody reads after the first line", CLOSED],
  ["serve", "whose output stands in a full pipe", FULL],
  ["serve", "whose output is read slowly", SLOW],
  ["dev", "whose output nobody reads after the first line", CLOSED],
  ["dev", "whose output stands in a full pipe", FULL],
]) {
  describe(`\`tidegate ${command}\` ${how}`, () => {
    let server;
    before(async () => {
      server = await start(reader, 16, command);
      // From here on every line meets an output that does not take it.
      await until("a line that is dropped", async () => {
        (await server.connect({ token: token("filling") })).close();
        return (await server.metric(DROPPED)) > 0;
      });
    });
    after(() => server?.stop());

    test("ends revoked and expired sessions, and refuses a bad token", async () => {
      const revoked = await server.connect({ token: token("u1", { iat: now() - 100 }) });
      await subscribe(revoked, "e2e.inbox.u1");
      const isRevoked = ended(revoked);
      assert.equal((await server.post("/v1/revoke", { user: "u1" }, { key: REVOKER })).status, 202);
      assert.deepEqual(await isRevoked, {
        reason: "io server disconnect", told: [{ type: "revoked", reason: "token_revoked" }],
      });

      const expires = await server.connect({ token: token("u2", { iat: now() - 100, exp: now() + 2 }) });
      const { reason, told } = await ended(expires);
      assert.deepEqual([reason, told.at(-1)], ["io server disconnect", { type: "expired" }]);

      assert.equal(await server.refused({ token: token("u3", {}, { secret: "x".repeat(80) }) }), "unauthenticated");
    });

    test("keeps what it has through a bad reload, and takes up a good one", async () => {
      server.write("channels/more.yaml", "feature: more\nchannels: { more: { scope: nobody } }\n");
      await until("a rejected reload", () => server.metric("tidegate_reloads_total", "rejected"));
      const socket = await server.connect({ token: token("u4") });
      await subscribe(socket, "e2e.open");
      const [heard] = await Promise.all([next(socket, "e2e.open"), server.publish("e2e.open", { n: 1 })]);
      assert.deepEqual(heard[0], { n: 1 });

      server.write("channels/more.yaml", "feature: more\nchannels: { more: { scope: public, payload: {} } }\n");
      await until("the new channel", async () => (await ask(socket, "subscribe", { channel: "more" })).ok);
    });

    test("drains, and ends with 0", async () => {
      const socket = await server.connect({ token: token("u5") });
      const told = next(socket, "tidegate");
      const dropped = await server.metric(DROPPED);
      assert.ok(dropped > 0, "it was told of all of this to nobody");
      server.signal("SIGTERM");
      const [{ type, retry_in: retryIn }] = await told;
      assert.equal(type, "draining");
      assert.ok(retryIn >= 0 && retryIn < 10, String(retryIn));
      assert.equal(await server.ended(), 0);
    });
  });
}

describe("a reader that pauses", () => {
  const PIPE_BYTES = 64 * 1024;

  test("gets every line up to the last of an orderly end, when it reads on in time", async (t) => {
    const server = await start(READS_LATER, 100_000);
    t.after(() => server.stop());
    for (let n = 0; n < 60; n++) (await server.connect({ token: token(`u${n}`) })).close();
    assert.equal(await server.metric(DROPPED), 0);
    server.signal("SIGTERM");
    writeFileSync(join(server.directory, "go"), "");
    assert.equal(await server.ended(), 0);
    await within("the reader's end", server.exited);
    const log = readFileSync(join(server.directory, "out"), "utf8");
    assert.ok(log.length > PIPE_BYTES, `more than the pipe holds waited in the queue: ${log.length} bytes`);
    // At the level of this test libraries may have a word to say behind it.
    const lines = log.trimEnd().split("\n").map((line) => JSON.parse(line));
    const stopped = lines.findIndex(({ event }) => event === "server.stopped");
    assert.ok(stopped >= 0, `the last line: ${JSON.stringify(lines.at(-1))}`);
    assert.ok(lines.slice(stopped + 1).every(({ level }) => level === "TRACE"));
  });

  test("is told in the log how many lines are missing", async (t) => {
    const server = await start(READS_LATER, 16);
    t.after(() => server.stop());
    await until("a line that is dropped", async () => {
      (await server.connect()).close();
      return (await server.metric(DROPPED)) > 0;
    });
    writeFileSync(join(server.directory, "go"), "");
    await until("the word of it", () => {
      const log = join(server.directory, "out");
      const lines = existsSync(log) ? readFileSync(log, "utf8").split("\n").slice(0, -1) : [];
      const told = lines.filter((line) => line.includes(`"event":"log.lines_dropped"`)).map((line) => JSON.parse(line));
      return told.length > 0 && told.every(({ level, lines }) => level === "WARN" && lines > 0);
    });
  });
});
