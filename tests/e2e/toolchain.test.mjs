// Toolchains in the user's cache: whole or not there, and fetched once, whatever becomes of the builds that want them.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";

import { within } from "@tidegate/kit/harness.mjs";
import { repository } from "@tidegate/kit/paths.mjs";

// Begins to fill the toolchain and says so, ends it when it is told to, and says what another build would find.
const BUILD = `
import { readFileSync, writeFileSync } from "node:fs";
import { toolchain } from ${JSON.stringify(join(repository, "plugins/sdk/componentize/toolchain.mjs"))};
const installed = toolchain("tool-1", (into) => {
  writeFileSync(into + "/first", "1");
  console.log("begun");
  readFileSync(0);
  writeFileSync(into + "/second", "2");
});
console.log("found " + readFileSync(installed + "/first") + readFileSync(installed + "/second"));
`;

let cache;
beforeEach(() => {
  cache = mkdtempSync(join(tmpdir(), "tidegate-cache-"));
});
afterEach(() => rmSync(cache, { recursive: true }));

function build() {
  const child = spawn(process.execPath, ["--input-type=module", "-e", BUILD], {
    env: { ...process.env, XDG_CACHE_HOME: cache }, stdio: ["pipe", "pipe", "inherit"],
  });
  let said = "";
  child.stdout.on("data", (data) => { said += data; child.emit("said"); });
  const says = async (text) => { while (!said.includes(text)) await once(child, "said"); };
  const exited = once(child, "exit");
  return {
    says: (text) => within(`"${text}" of a build`, says(text)),
    said: () => said,
    goOn: () => child.stdin.end(),
    kill: async () => { child.kill("SIGKILL"); await exited; },
  };
}
const cached = () => readdirSync(join(cache, "tidegate/toolchains"));

test("a build that is killed leaves no half of a toolchain, and the next one makes it whole", async () => {
  const killed = build();
  await killed.says("begun");
  await killed.kill();
  assert.ok(!cached().includes("tool-1"));
  const next = build();
  await next.says("begun");
  next.goOn();
  await next.says("found 12");
  assert.deepEqual(cached(), ["tool-1"]);
});

test("builds that want a toolchain at once fetch it once", async () => {
  const builds = [build(), build(), build()];
  await Promise.race(builds.map((each) => each.says("begun")));
  builds.forEach((each) => each.goOn());
  await Promise.all(builds.map((each) => each.says("found 12")));
  assert.equal(builds.filter((each) => each.said().includes("begun")).length, 1);
});
