// The server stops, and another takes its place.

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { ask, next, Server, subscribe, TRANSPORTS, token } from "@tidegate/kit/harness.mjs";

describe("shutdown", () => {
  for (const transport of TRANSPORTS) {
    test(`SIGTERM tells the clients, closes, ends with 0, and they come back to the next process, over ${transport}`, async () => {
      const first = await Server.start();
      const socket = await first.connect({ token: token("u1"), transport });
      await subscribe(socket, "realtime-ping");
      const [told, gone, back] = [next(socket, "tidegate"), next(socket, "disconnect"), next(socket, "connect")];
      first.signal("SIGTERM");
      const [{ type, retry_in: retryIn }] = await told;
      assert.equal(type, "draining");
      assert.ok(retryIn >= 0 && retryIn < 10, String(retryIn));
      assert.match((await gone)[0], /^transport/);
      assert.equal(await first.ended(), 0);

      const second = await Server.start({ directory: first.directory, listen: first.address });
      await back;
      assert.equal((await ask(socket, "subscribe", { channel: "realtime-ping" })).ok, true);
      socket.close();
      await first.stop({ keep: true });
      await second.stop();
    });
  }

  test("a client that does not read does not hold the end up", async () => {
    const server = await Server.start({ plugins: false });
    const [stuck, witness] = await Promise.all(["stuck", "witness"].map((user) => server.connect({ token: token(user) })));
    await subscribe(stuck, "e2e.open");
    stuck.io.engine.transport.ws._socket.pause();
    for (let n = 0; n < 200; n++) await server.publish("e2e.open", { n, filling: "x".repeat(60_000) });
    assert.ok(witness.connected);
    server.signal("SIGTERM");
    assert.equal(await server.ended(), 0);
    await server.stop();
  });

  test("a client that was refused and polls on does not hold the end up", async (t) => {
    const config = (config) => ({ ...config, limits: { ...config.limits, drain_timeout: "60s" } });
    const server = await Server.start({ config, plugins: false });
    t.after(() => server.stop());
    const session = (sid = "") => `${server.url}/socket.io/?EIO=4&transport=polling${sid}`;
    const { sid } = JSON.parse((await (await fetch(session())).text()).slice(1));
    const sent = await fetch(session(`&sid=${sid}`), { method: "POST", body: '40{"token":"forged"}' });
    assert.equal(await sent.text(), "ok");
    assert.match(await (await fetch(session(`&sid=${sid}`))).text(), /^44/);
    const poll = fetch(session(`&sid=${sid}`)).then((response) => response.text());
    await server.get("/healthz");
    server.signal("SIGTERM");
    assert.equal(await server.ended(), 0);
    assert.ok(await poll);
  });
});
