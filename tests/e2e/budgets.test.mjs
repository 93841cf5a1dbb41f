// Budgets by team, with stock clients: beyond its share a team hears `over_budget`, and another team hears nothing of it.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { ask, KEYS, Server, subscribe, token, TRANSPORTS, until } from "@tidegate/kit/harness.mjs";

const teams = {
  growth: { features: ["e2e"], publications: "3/h", subscriptions: 2 },
  platform: { features: ["realtime-ping"] },
};

for (const transport of TRANSPORTS) {
  describe(`budgets by team, over ${transport}`, () => {
    let server;
    before(async () => {
      server = await Server.start({ config: (config) => ({ ...config, teams }) });
    });
    after(() => server?.stop());

    test("refuse what is beyond them, to be tried again, and leave other teams alone", async () => {
      const [one, other] = [await server.connect({ transport, token: token("u1") }), await server.connect({ transport })];
      await subscribe(one, "e2e.open");
      await subscribe(one, "e2e.room.1");
      const { error } = await ask(other, "subscribe", { channel: "e2e.open" });
      assert.deepEqual([error.code, error.retry, "details" in error], ["over_budget", true, false]);
      await subscribe(one, "realtime-ping");

      for (const n of [1, 2, 3]) assert.equal((await ask(one, "e2e.room.1", { n })).ok, true);
      const refused = await ask(one, "e2e.room.1", { n: 4 });
      assert.deepEqual([refused.error.code, refused.error.retry], ["over_budget", true]);
      const answer = await server.publish("e2e.open", {});
      assert.equal(answer.status, 429);
      assert.deepEqual((await ask(one, "realtime-ping", { n: 5 })).reply, { pong: 5 });

      assert.equal((await ask(one, "unsubscribe", { channel: "e2e.open" })).ok, true);
      await subscribe(other, "e2e.open");

      const labels = (budget) => `{team="growth",budget="${budget}"}`;
      for (const [budget, times] of [["subscriptions", 1], ["publications", 2]]) {
        await until(`${budget} in the metrics`, async () => (await server.metric("tidegate_team_refused_total", labels(budget))) === times);
      }
      await until("subscriptions used", async () => (await server.metric("tidegate_team_used", labels("subscriptions"))) === 2);
      assert.equal(await server.metric("tidegate_team_budget", labels("subscriptions")), 2);
      const events = server.lines('"team.over_budget"').map((line) => JSON.parse(line));
      assert.deepEqual(events.map(({ team, budget }) => [team, budget]), [["growth", "subscriptions"], ["growth", "publications"]]);
    });

    test("are told by explain", async () => {
      const asked = { action: "send", topic: "e2e.room.1", user: { id: "u1" } };
      const { body: explained } = await server.post("/v1/explain", asked, { key: KEYS.operator });
      const told = explained.steps.filter(({ check }) => check === "budget").map(({ detail }) => detail);
      assert.equal(told.length, 1, JSON.stringify(explained));
      assert.match(told[0], /^team `growth` holds 2 of 2 subscriptions$/);
    });
  });
}
