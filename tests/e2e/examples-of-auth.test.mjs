// The worked examples of gate 1 in config/README.md, as they stand there, with real servers behind them.

import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

import { Server, subscribe } from "@tidegate/kit/harness.mjs";
import { Issuer, Key, sqlite, WebApplication } from "@tidegate/kit/identity.mjs";
import { pluginCache, repository } from "@tidegate/kit/paths.mjs";
import { PostgresServer } from "@tidegate/kit/services.mjs";

const manual = readFileSync(join(repository, "config/README.md"), "utf8");

// An example as it is in the manual, but for the servers it names.
function example(name, places) {
  const found = new RegExp(`\`\`\`yaml\\n# example: ${name}\\n(.*?)\`\`\``, "s").exec(manual);
  assert.ok(found, `the manual has no example \`${name}\``);
  let text = found[1];
  for (const [place, own] of Object.entries(places)) {
    assert.ok(text.includes(place), `${name}: ${place}`);
    text = text.replaceAll(place, own);
  }
  return text;
}

async function serving(text, body, prepare, env = {}) {
  const rest = `listen: 127.0.0.1:0\nplugin_cache: ${JSON.stringify(pluginCache)}\n`;
  const files = (directory) => {
    writeFileSync(join(directory, "config/tidegate.yaml"), rest + text);
    prepare?.(directory);
  };
  const server = await Server.start({ env, files, plugins: false });
  try {
    await body(server);
  } finally {
    await server.stop();
  }
}

test("JWT with a key set", async () => {
  const issuer = await new Issuer().start();
  const key = new Key("ES256", "k");
  issuer.keys = [key];
  const text = example("jwks", { "https://id.example.com/.well-known/jwks.json": issuer.jwks });
  try {
    await serving(text, async (server) => {
      const claims = { iss: "https://id.example.com/", aud: "tidegate", realm_access: { roles: ["editor"] } };
      const socket = await server.connect({ token: key.token("u1", claims) });
      await subscribe(socket, "e2e.editors");
      await subscribe(socket, "e2e.inbox.u1");
      assert.equal(await server.refused({ token: key.token("u1", { ...claims, aud: "other" }) }), "unauthenticated");
      assert.equal(await server.refused({}), "unauthenticated");
    });
  } finally {
    await issuer.stop();
  }
});

test("a Directus-like `/users/me`", async () => {
  const application = await new WebApplication("directus_session_token").start();
  application.users.set("s1", { id: "u1", role: "editor" });
  const text = example("introspect", { "https://cms.example.com": application.url });
  try {
    await serving(text, async (server) => {
      const extraHeaders = { Cookie: "directus_session_token=s1", Origin: "https://app.example.com" };
      const socket = await server.connect({ extraHeaders });
      await subscribe(socket, "e2e.editors");
      await subscribe(socket, "e2e.inbox.u1");
      await server.connect({ token: "s1" });
      assert.equal(await server.refused({ token: "s2" }), "unauthenticated");
    });
  } finally {
    await application.stop();
  }
});

async function whoIsLoggedIn(server) {
  const cookie = (id) => ({ extraHeaders: { Cookie: `sid=${id}`, Origin: "https://app.example.com" } });
  const socket = await server.connect(cookie("s1"));
  await subscribe(socket, "e2e.editors");
  await subscribe(socket, "e2e.inbox.u1");
  assert.equal(await server.refused(cookie("out")), "unauthenticated");
  assert.equal(await server.refused(cookie("old")), "token_expired");
  assert.equal(await server.refused({}), "unauthenticated");
}

test("cookie sessions in the store", async () => {
  const company = (directory) => sqlite(join(directory, "company.db"), `
    create table users (id text primary key, roles text not null);
    create table sessions (token text primary key, user_id text not null, created_at integer not null, logged_out_at integer);
    insert into users values ('u1', 'editor');
    insert into sessions values ('s1', 'u1', unixepoch(), null), ('old', 'u1', unixepoch() - 50000, null), ('out', 'u1', unixepoch(), 1);`);
  await serving(example("sessions", {}), whoIsLoggedIn, company);
});

test("cookie sessions in PostgreSQL", async () => {
  const postgres = await PostgresServer.start();
  try {
    await postgres.sql(`
      create table users (id text primary key, roles text[] not null);
      create table sessions (token text primary key, user_id text not null, created_at timestamptz not null, logged_out_at timestamptz);
      insert into users values ('u1', '{editor}');
      insert into sessions values ('s1', 'u1', now(), null), ('old', 'u1', now() - interval '13 hours', null), ('out', 'u1', now(), now());`);
    // The role has the name of the server's own schema, where a table `sessions` is, too.
    const { password, port } = new URL(postgres.url);
    const text = example("sessions-postgres", { "db.example.com/app": `127.0.0.1:${port}/tidegate` });
    await serving(text, whoIsLoggedIn, undefined, { TIDEGATE_DB_PASSWORD: password });
  } finally {
    await postgres.stop();
  }
});
