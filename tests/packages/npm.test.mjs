// The npm packages: installed from their files, with nothing to download, and called as `npx tidegate`.

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";

import { within } from "@tidegate/kit/harness.mjs";
import { Place, packageFile } from "./made.mjs";
import { dev, isServed, isUsed } from "./used.mjs";

const LAUNCHER = () => packageFile(/^tidegate-\d[^-]*\.tgz$/);
const PROGRAM = () => packageFile(/^tidegate-server-linux-.*\.tgz$/);
// From a cache that is empty: whatever had to be downloaded would fail.
const INSTALL = ["npm", "install", "--offline", "--no-audit", "--no-fund"];

const installed = async (t, ...files) => {
  const place = new Place(t);
  await place.done([...INSTALL, ...files]);
  return place;
};

test("`npx tidegate` is used where both packages are installed", async (t) => {
  const place = await installed(t, LAUNCHER(), PROGRAM());
  await isUsed(place, [place.path("node_modules/.bin/tidegate")]);

  // As a terminal does at Ctrl-C: to npx, the shell that it starts, the launcher and the program at once.
  const { running, exited, ready, file } = await dev(place, ["npx", "--offline", "tidegate"], { detached: true });
  t.after(() => existsSync(`/proc/${ready.pid}`) && process.kill(ready.pid, "SIGKILL"));
  await isServed(ready.url);
  process.kill(-running.pid, "SIGINT");
  await within("the end of npx", exited, 60_000);
  assert.ok(!existsSync(file), "the server took its file away: it ended well");
});

test("who sends a signal to the launcher sends it to the program, and reads of its end", async (t) => {
  const place = await installed(t, LAUNCHER(), PROGRAM());
  await place.done(["npx", "--offline", "tidegate", "init", "app"]);
  for (const signal of ["SIGTERM", "SIGINT"]) {
    const { running, exited } = await dev(place, [place.path("node_modules/.bin/tidegate")]);
    running.kill(signal);
    assert.deepEqual(await within("the end", exited, 60_000), [0, null], signal);
  }
  const { exited, ready } = await dev(place, [place.path("node_modules/.bin/tidegate")]);
  process.kill(ready.pid, "SIGKILL");
  assert.deepEqual(await within("the end", exited, 60_000), [null, "SIGKILL"], "as if the program itself had been called");
});

test("each package says for which machines it is, and runs nothing at the installation", async (t) => {
  const place = await installed(t, LAUNCHER(), PROGRAM());
  const described = (name) => JSON.parse(readFileSync(place.path("node_modules", name, "package.json"), "utf8"));
  const launcher = described("tidegate");
  const names = Object.keys(launcher.optionalDependencies);
  assert.equal(names.length, 1);
  const program = described(names[0]);
  assert.deepEqual([program.os, program.cpu, program.libc], [["linux"], [process.arch], ["glibc"]]);
  assert.equal(launcher.optionalDependencies[names[0]], program.version);
  for (const { scripts, dependencies } of [launcher, program]) assert.deepEqual([scripts, dependencies], [undefined, undefined]);
});

test("without the package of the machine the launcher says what is missing", async (t) => {
  const place = await installed(t, "--omit=optional", LAUNCHER());
  const { code, stderr } = await place.run(["npx", "--offline", "tidegate", "--version"]);
  assert.equal(code, 69);
  assert.match(stderr, /^error: the package `@tidegate\/server-linux-\w+` with the program is not installed\n {2}caused by: .*\nhint: /);
});
