// A version of a plugin that fails under load is taken back while clients talk.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { promisify } from "node:util";

import { ask, KEYS, Server, subscribe, token } from "@tidegate/kit/harness.mjs";
import { binary, components } from "@tidegate/kit/paths.mjs";

const states = async (server) => {
  const { body } = await server.get("/v1/plugins", { key: KEYS.operator });
  return body.plugins.filter((plugin) => plugin.name === "ping").map((plugin) => plugin.state);
};

describe("rollback", () => {
  let server;
  before(async () => {
    server = await Server.start({
      // As fast as they get answers.
      files(directory) {
        const manifest = join(directory, "channels/realtime-ping.yaml");
        writeFileSync(manifest, readFileSync(manifest, "utf8").replace(/rate: .*/, "rate: 10000/s"));
      },
    });
  });
  after(() => server?.stop());

  test("a faulting version is taken back under load, and pings succeed as before", async () => {
    const users = Array.from({ length: 10 }, (_, index) => `u${index}`);
    const sockets = await Promise.all(users.map((user) => server.connect({ token: token(user) })));
    const disconnects = [];
    for (const socket of sockets) {
      await subscribe(socket, "realtime-ping");
      socket.on("disconnect", (reason) => disconnects.push(reason));
    }
    let pinging = true;
    let healed = false;
    const answers = { ok: 0, failed: 0, okAfter: 0 };
    const pings = sockets.map(async (socket) => {
      for (let n = 1; pinging; n++) {
        const began = healed;
        const ack = await ask(socket, "realtime-ping", { n: n * 2 });
        if (ack.ok) assert.equal(ack.reply.pong, n * 2);
        else assert.ok(["handler_failed", "unavailable"].includes(ack.error.code), JSON.stringify(ack.error));
        if (began) assert.ok(ack.ok, `after the rollback: ${JSON.stringify(ack)}`);
        answers[began ? "okAfter" : ack.ok ? "ok" : "failed"] += 1;
        await pause(5);
      }
    });
    const back = server.logged("plugin.rolled_back");
    await server.reload(() => server.plugin("ping", components.faulty));
    assert.equal((await back).plugin, "ping");
    healed = true;
    while (answers.okAfter < 200) await pause(10);
    pinging = false;
    await Promise.all(pings);
    assert.ok(answers.ok > 0 && answers.failed >= 10, JSON.stringify(answers));
    assert.deepEqual(disconnects, []);
    assert.deepEqual(await states(server), ["active", "quarantined"]);
    const metrics = (await server.get("/metrics")).text;
    assert.match(metrics, /tidegate_plugin_rollbacks_total\{plugin="ping",outcome="rolled_back"\} 1/);
    assert.match(metrics, /tidegate_plugin_state\{plugin="ping",state="quarantined"\} 1/);
    for (const socket of sockets) socket.close();
  });

  test("the same file saved again is kept out, and what changes beside it is taken up", async () => {
    const kept = server.logged("plugin.kept_out");
    await server.reload(() => {
      server.plugin("ping", components.faulty);
      writeFileSync(join(server.directory, "channels/news.yaml"), "feature: news\nchannels: { news: { scope: public, payload: {} } }\n");
    });
    assert.match((await kept).reason, /^rolled back: \d+ of \d+ calls/);
    const socket = await server.connect({ token: token("u1") });
    await subscribe(socket, "news");
    await subscribe(socket, "realtime-ping");
    assert.equal((await ask(socket, "realtime-ping", { n: 2 })).reply.pong, 2, "the version before serves");
    socket.close();
    assert.deepEqual(await states(server), ["active", "quarantined"]);
  });

  test("a start with it alone serves everything else and says what is missing", async () => {
    const { directory } = server;
    await server.stop({ keep: true });
    server = await Server.start({ directory });
    assert.match(await server.printed("plugin.kept_out"), /ERROR/);
    assert.deepEqual(await states(server), ["quarantined"]);
    const socket = await server.connect({ token: token("u1") });
    await subscribe(socket, "news");
    await subscribe(socket, "realtime-ping");
    assert.equal((await ask(socket, "realtime-ping", { n: 2 })).error.code, "unavailable");
    const checked = await promisify(execFile)(binary(), ["check", "--config", join(directory, "config/tidegate.yaml")]);
    assert.match(checked.stderr, /note: plugin `ping` is quarantined: rolled back: /);
    await server.reload(() => server.plugin("ping"));
    assert.equal((await ask(socket, "realtime-ping", { n: 2 })).reply.pong, 2, "the good file serves at once");
    socket.close();
    assert.deepEqual(await states(server), ["active", "quarantined"]);
  });

  test("whoever clears it lets it in", async () => {
    await server.reload(() => server.plugin("ping", components.faulty));
    const clear = async () => {
      const key = ["--url", server.url, "--key", KEYS.operator];
      return (await promisify(execFile)(binary(), ["plugin", "clear", "ping", ...key])).stdout;
    };
    const applied = server.logged("reload.applied");
    assert.match(await clear(), /^cleared ping [0-9a-f]{12}, by the server at /);
    await applied;
    assert.deepEqual(await states(server), ["active", "standby"]);
    const socket = await server.connect({ token: token("u1") });
    await subscribe(socket, "realtime-ping");
    assert.equal((await ask(socket, "realtime-ping", { n: 2 })).error.code, "handler_failed", "the faulting one serves");
    assert.equal((await ask(socket, "realtime-ping", { n: 3 })).reply.pong, 3);
    await assert.rejects(clear(), /has no quarantined version of `ping`/);
  });
});
