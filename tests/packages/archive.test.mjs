// The archive: unpacked, it is used; made again of the same input, it has the same bytes.

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { test } from "node:test";

import { binary, repository } from "@tidegate/kit/paths.mjs";
import { Place, packageFile } from "./made.mjs";
import { isUsed } from "./used.mjs";

const ARCHIVE = /^tidegate-.*-linux-.*\.tar\.gz$/;

test("the program of the archive is used where it is unpacked", async (t) => {
  const place = new Place(t);
  const archive = packageFile(ARCHIVE);
  await place.done(["tar", "xf", archive]);
  const unpacked = place.path(basename(archive, ".tar.gz"));
  await isUsed(place, [join(unpacked, "tidegate")]);
  assert.equal(readFileSync(join(unpacked, "LICENSE"), "utf8"), readFileSync(join(repository, "LICENSE"), "utf8"));
  const notices = readFileSync(join(unpacked, "THIRD-PARTY.txt"), "utf8");
  for (const library of [/^wasmtime \d.*: Apache-2.0 WITH LLVM-exception$/m, /^tokio \d.*: MIT$/m]) assert.match(notices, library);
  if (existsSync(join(repository, "host/dashboard/dist"))) assert.match(notices, /^## uplot - \d.* \(MIT\)$/m);
});

test("the same input gives the same bytes", async (t) => {
  const place = new Place(t);
  place.env = { ...process.env };
  await place.done([join(repository, "packages/build.sh"), "--binary", binary(), "--out", place.directory, "archive"]);
  const archive = packageFile(ARCHIVE);
  assert.ok(readFileSync(place.path(basename(archive))).equals(readFileSync(archive)));
});
