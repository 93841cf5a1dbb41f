// A reader that stops reading costs its own session only.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { ask, collect, next, Server, subscribe, token } from "@tidegate/kit/harness.mjs";

describe("a client that stops reading", () => {
  let server;
  before(async () => {
    const config = (config) => ({ ...config, limits: { ...config.limits, outbound_bytes: 65536 } });
    server = await Server.start({ config, plugins: false });
  });
  after(() => server?.stop());

  const connectUpgraded = async (options) => {
    const { socket, upgraded } = await server.connectUpgrading(options);
    await upgraded;
    return socket;
  };

  for (const [how, connect] of [
    ["a websocket", (options) => server.connect(options)],
    ["a websocket after polling", connectUpgraded],
  ]) {
    test(`is cut and comes back, and the others receive everything, over ${how}`, async () => {
      const fast = await server.connect({ token: token("fast") });
      const slow = await connect({ token: token("slow") });
      await subscribe(fast, "e2e.open");
      await subscribe(slow, "e2e.open");
      const inbox = collect(fast, "e2e.open");
      const wire = slow.io.engine.transport.ws._socket;
      wire.pause();

      let isCut = false;
      const cut = server.logged("realtime.disconnect").then((event) => {
        isCut = true;
        return event;
      });
      let published = 0;
      while (!isCut) {
        assert.equal((await server.publish("e2e.open", { n: published, filling: "x".repeat(60_000) })).status, 202);
        published += 1;
      }
      assert.equal((await cut).user, "slow");
      const numbers = (await inbox.count(published)).map(({ n }) => n);
      assert.deepEqual(numbers, Array.from({ length: published }, (_, n) => n));
      assert.ok(fast.connected);

      const [gone, back] = [next(slow, "disconnect"), next(slow, "connect")];
      wire.resume();
      assert.match((await gone)[0], /^transport/);
      await back;
      await subscribe(slow, "e2e.open");
      assert.equal((await ask(slow, "e2e.open", "back")).ok, true);
      for (const socket of [fast, slow]) socket.close();
    });
  }
});
