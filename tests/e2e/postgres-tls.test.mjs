// The way to PostgreSQL by TLS, of the store and of an outbox: who is let in to what, and what is told where it fails.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { until } from "@tidegate/kit/cluster.mjs";
import { collect, Server, subscribe, token } from "@tidegate/kit/harness.mjs";
import { PostgresServer } from "@tidegate/kit/services.mjs";

const NAMED = "localhost";
const PASSWORD = "a-postgres-password";

describe("a PostgreSQL that speaks nothing but TLS", () => {
  let postgres, plain;
  before(async () => {
    [postgres, plain] = await Promise.all([PostgresServer.start({ tls: true }), PostgresServer.start()]);
  });
  after(() => Promise.all([postgres?.stop(), plain?.stop()]));

  const url = (parameters, { host = NAMED, of = postgres } = {}) => `${of.url.replace("127.0.0.1", host)}?${parameters}`;
  const trusting = `sslmode=verify-full&sslrootcert=${PostgresServer.certificate}`;
  // Rows are heard of at once only by `LISTEN`.
  const outbox = (url) => [{ postgres: { url, poll: "30s" } }];
  const serve = (changes) => Server.start({ plugins: false, config: (config) => ({ ...config, ...changes }) });

  for (const [what, parameters, host] of [
    ["checked to the name (`verify-full`)", trusting, NAMED],
    ["checked for who signed it (`verify-ca`)", trusting.replace("full", "ca"), "127.0.0.1"],
    ["not checked (`require`)", "sslmode=require", "127.0.0.1"],
  ]) {
    test(`the store and an outbox are used by it, its certificate ${what}`, async () => {
      const address = url(parameters, { host });
      const server = await serve({ store: address, bus: outbox(address) });
      try {
        await server.printed("bus.back");
        assert.equal((await server.get("/readyz")).status, 200);
        const socket = await server.connect({ token: token("reader") });
        await subscribe(socket, "e2e.room.tls");
        const inbox = collect(socket, "e2e.room.tls");
        // The reader has its cursor; where nothing listens yet, only the next look in half a minute would find a row.
        const listens = "select count(*) from pg_stat_activity where query ilike 'listen%tidegate_outbox%'";
        await until("somebody listens", async () => (await postgres.sql(listens)) !== "0");
        await postgres.sql(`select tidegate_publish('sensor.tls', '{"room": "tls", "n": 1}')`);
        assert.deepEqual(await inbox.count(1), [{ room: "tls", n: 1 }]);
        const connections = `select bool_and(ssl), count(*) > 2 from pg_stat_ssl join pg_stat_activity using (pid)
          where backend_type = 'client backend' and pid <> pg_backend_pid()`;
        assert.equal(await postgres.sql(connections), "t|t");
      } finally {
        await server.stop();
      }
    });
  }

  const wrong = [
    ["a certificate that nobody trusts", () => url("sslmode=verify-full"), /UnknownIssuer; hint: .*`sslrootcert=/],
    ["a name that the certificate is not for", () => url(trusting, { host: "127.0.0.1" }), /not valid for name.*; hint: .*`sslmode=verify-ca`/],
    ["an authority that is not there", () => url("sslmode=verify-full&sslrootcert=/nowhere/ca.crt"), /No such file.*; hint: .*`sslrootcert`/],
    ["no TLS at all", () => url("sslmode=disable"), /no encryption/],
    ["a server that does not speak it", () => url("sslmode=require", { of: plain }), /does not support TLS; hint: .*`ssl = on`/],
  ];
  for (const [what, address, told] of wrong) {
    test(`${what}: the store and the outbox say so, with a way out and without the password`, async () => {
      await assert.rejects(serve({ store: address() }), (error) => {
        assert.match(error.message, /ended with 69[^]*error: failed to open the store `postgres:\/\/tidegate@/);
        assert.match(error.message, told);
        assert.ok(!error.message.includes(PASSWORD));
        return true;
      });
      const server = await serve({ bus: outbox(address()) });
      try {
        const { fields, ...line } = JSON.parse(await server.printed("bus.away"));
        const { why } = fields ?? line;
        assert.match(why, told);
        assert.ok(!why.includes(PASSWORD));
      } finally {
        await server.stop();
      }
    });
  }
});
