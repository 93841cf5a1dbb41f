// A system that does not tell the server of changed files: the server starts, says why, and reloads all the same.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { describe, test } from "node:test";

import { ask, Server } from "@tidegate/kit/harness.mjs";

const CHANNEL = (name) => `feature: more\nchannels: { ${name}: { scope: public, payload: {} } }\n`;

// A user namespace has limits of its own, so nobody else is short of what is taken here.
const bounded = (limit, most) =>
  ["unshare", "--user", "--map-root-user", "sh", "-c", `echo ${most} >/proc/sys/user/${limit} && exec "$@"`, "sh"];
const isPossible = spawnSync(bounded("max_inotify_instances", 0)[0], [...bounded("max_inotify_instances", 0).slice(1), "true"]).status === 0;

for (const [what, limit, most, named] of [
  ["no instance of inotify", "max_inotify_instances", 0, "fs.inotify.max_user_instances"],
  ["one watch of inotify", "max_inotify_watches", 1, "fs.inotify.max_user_watches"],
]) {
  describe(`a server that gets ${what}`, { skip: isPossible ? false : "user namespaces are not allowed here" }, () => {
    test("serves, names the limit, finds changes by itself, and at once when it is asked", async (t) => {
      const server = await Server.start({ plugins: false, under: bounded(limit, most) });
      t.after(() => server.stop());
      const told = JSON.parse(await server.printed("reload.unwatched"));
      assert.deepEqual([told.level, told.limit], ["WARN", named]);
      assert.equal(await server.metric("tidegate_files_watched"), 0);

      const socket = await server.connect();
      await server.reload(() => server.write("channels/more.yaml", CHANNEL("found")));
      assert.equal((await ask(socket, "subscribe", { channel: "found" })).ok, true);

      await server.reload(() => {
        server.write("channels/more.yaml", CHANNEL("asked"));
        server.signal("SIGHUP");
      });
      assert.equal((await ask(socket, "subscribe", { channel: "asked" })).ok, true);
      assert.equal(server.lines("reload.unwatched").length, 1, "it is told once");
    });
  });
}
