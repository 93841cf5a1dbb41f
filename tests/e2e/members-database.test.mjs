// An authorizer that asks a PostgreSQL, with limits as they are when nobody sets any: a database that is slow, locked or gone
// turns no member away for good and throws nobody out.

import assert from "node:assert/strict";
import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { cargoBuild } from "@tidegate/kit/guest.mjs";
import { ask, collect, next, Server, token } from "@tidegate/kit/harness.mjs";
import { repository } from "@tidegate/kit/paths.mjs";
import { PostgresServer } from "@tidegate/kit/services.mjs";

const MEMBERS = 150;
const TOPIC = "vault.member";
const LATE_MS = 100;

const CHANNELS = `
feature: vaults
channels:
  vault.{query}:
    scope: authenticated
    authorizer: members
    payload: {}
    inbound: { relay: all }
`;

// As a platform team grants it; the guest gives the user's id.
const MANIFEST = `
component: asks.wasm
grants:
  queries:
    member: select person from slow_members($1)
`;

function lay(directory) {
  const into = join(directory, "plugins/members");
  mkdirSync(into, { recursive: true });
  writeFileSync(join(into, "plugin.yaml"), MANIFEST);
  copyFileSync(cargoBuild(join(repository, "tests/plugins/guests/asks"), "asks"), join(into, "asks.wasm"));
}

const name = (number) => `u${number}`;

describe("members in a PostgreSQL", () => {
  let postgres, server, sockets;
  const told = new Map();
  // Every code that a member's subscribe was answered with on its way to a yes.
  const codes = new Map();

  before(async () => {
    postgres = await PostgresServer.start();
    await postgres.sql(`
      create table members (person text primary key);
      insert into members select 'u' || n from generate_series(1, ${MEMBERS}) as n;
      create function slow_members(text) returns setof members language plpgsql stable as
        'begin perform pg_sleep(${LATE_MS / 1000}); return query select * from members where members.person = $1; end';
    `);
    const config = (config) => ({ ...config, store: postgres.url, auth: { ...config.auth, recheck: "2s" } });
    server = await Server.start({ plugins: false, config, channels: { "vaults.yaml": CHANNELS }, files: lay });
    sockets = await Promise.all(Array.from({ length: MEMBERS }, (_, n) => server.connect({ token: token(name(n + 1)) })));
    sockets.forEach((socket, n) => told.set(n, collect(socket, "tidegate")));
  });
  after(async () => {
    await server?.stop();
    await postgres?.stop();
  });

  // As a client does: what may be tried again is tried again.
  async function joins(socket) {
    for (;;) {
      const ack = await ask(socket, "subscribe", { channel: TOPIC });
      if (ack.ok) return;
      codes.set(ack.error.code, (codes.get(ack.error.code) ?? 0) + 1);
      assert.equal(ack.error.retry, true, ack.error.code);
      await sleep(100);
    }
  }

  // Waits until somebody could not be told about so many more times.
  async function doubted(times) {
    const asked = () => server.lines("plugin.cannot_tell").length;
    const enough = asked() + times;
    while (asked() < enough) await server.logged("plugin.cannot_tell");
  }

  const events = () => [...told.values()].flatMap(({ received }) => received);

  test("who comes at once with all the others gets in, and is refused nothing for good meanwhile", async () => {
    await Promise.all(sockets.map(joins));
    // A query of 100 ms, four at a time: the last ones could not be asked in time.
    assert.deepEqual([...codes.keys()], ["unavailable"]);
    const stranger = await server.connect({ token: token("stranger") });
    const ack = await ask(stranger, "subscribe", { channel: TOPIC });
    assert.deepEqual([ack.error.code, ack.error.retry], ["forbidden", false]);
  });

  test("while the table is locked for longer than every recheck nobody is thrown out, and who comes may come again", async () => {
    const locked = postgres.sql("begin; lock table members in access exclusive mode; select pg_sleep(8); commit");
    await server.printed("`queries` answered `timeout`");
    const late = await server.connect({ token: token(name(1)) });
    const ack = await ask(late, "subscribe", { channel: TOPIC });
    assert.deepEqual([ack.error.code, ack.error.retry], ["unavailable", true]);
    await locked;
    assert.deepEqual(events(), []);
    const [payload] = [next(sockets[1], TOPIC), ask(sockets[0], TOPIC, { n: 1 })];
    assert.deepEqual((await payload)[0], { n: 1 });
    const { text } = await server.get("/metrics");
    assert.match(text, /tidegate_plugin_cannot_tell_total\{plugin="members",action="subscribe",channel="vault.\{query\}"\} [1-9]/);
    assert.match(text, /tidegate_reauthorized_total\{channel="vault.\{query\}",outcome="doubted"\} [1-9]/);
    assert.doesNotMatch(text, /tidegate_reauthorized_total\{[^}]*outcome="lost"/);
    assert.doesNotMatch(text, /tidegate_plugin_breaker_total\{plugin="members"/);
  });

  test("a member that was deleted is out at the next recheck all the same", async () => {
    const gone = next(sockets[2], "tidegate");
    await postgres.sql("delete from members where person = 'u3'");
    assert.deepEqual(await gone, [{ type: "revoked", channel: TOPIC, reason: "forbidden" }]);
    assert.equal(events().length, 1);
  });

  test("a database that is gone throws nobody out, and is asked again when it is back", async () => {
    await postgres.kill();
    await doubted(MEMBERS);
    assert.equal(events().length, 1);
    await postgres.restart();
    await joins(await server.connect({ token: token(name(4)) }));
    const gone = next(sockets[4], "tidegate");
    await postgres.sql("delete from members where person = 'u5'");
    assert.deepEqual(await gone, [{ type: "revoked", channel: TOPIC, reason: "forbidden" }]);
    assert.equal(events().length, 2);
  });
});
