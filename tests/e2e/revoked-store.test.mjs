// Nodes that share a PostgreSQL and nothing else: what one revokes the others find there, within a second.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { KEYS, next, now, Server, subscribe, token } from "@tidegate/kit/harness.mjs";
import { PostgresServer } from "@tidegate/kit/services.mjs";

const ONE_SECOND_MS = 1000;
KEYS.security = "e2e-security-key-0123456789abcdef";

const revoke = (node, body) => node.post("/v1/revoke", body, { key: KEYS.security });

describe("two nodes on a PostgreSQL", () => {
  let postgres, config, a, b;
  before(async () => {
    postgres = await PostgresServer.start();
    config = (config) => ({
      ...config,
      store: postgres.url,
      api_keys: [...config.api_keys, { name: "security", key: KEYS.security, may: ["revoke"] }],
    });
    [a, b] = await Promise.all([1, 2].map(() => Server.start({ plugins: false, config })));
  });
  after(async () => {
    await Promise.all([a?.stop(), b?.stop()]);
    await postgres?.stop();
  });

  test("a revoked user's sessions end on both within a second, and no node lets the credential in", async () => {
    const old = token("u1", { iat: now() - 10 });
    const sockets = await Promise.all([a, b].map((node) => node.connect({ token: old })));
    const ends = sockets.map((socket) => Promise.all([next(socket, "tidegate"), next(socket, "disconnect")]));
    const began = Date.now();
    assert.equal((await revoke(a, { user: "u1" })).status, 202);
    for (const end of ends) {
      const [[told], [reason]] = await end;
      assert.deepEqual([told, reason], [{ type: "revoked", reason: "token_revoked" }, "io server disconnect"]);
    }
    const took = Date.now() - began;
    assert.ok(took < ONE_SECOND_MS, `${took} ms`);
    for (const node of [a, b]) assert.equal(await node.refused({ token: old }), "token_revoked");
  });

  test("a revoked subscription is left on both", async () => {
    const sockets = await Promise.all([a, b].map((node) => node.connect({ token: token("u2") })));
    for (const socket of sockets) await subscribe(socket, "e2e.room.left");
    const told = sockets.map((socket) => next(socket, "tidegate"));
    await revoke(b, { user: "u2", topic: "e2e.room.left" });
    for (const event of told) {
      assert.deepEqual(await event, [{ type: "revoked", channel: "e2e.room.left", reason: "forbidden" }]);
    }
  });

  test("a node that starts later knows", async () => {
    assert.equal((await revoke(a, { token: "lost" })).status, 202);
    const late = await Server.start({ plugins: false, config });
    assert.equal(await late.refused({ token: token("u3", { jti: "lost" }) }), "token_revoked");
    await late.connect({ token: token("u3", { jti: "kept" }) });
    await late.stop();
  });
});
