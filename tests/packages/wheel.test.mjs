// The wheel: pip installs it in a new environment, without a package index, and its program is used.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

import { repository } from "@tidegate/kit/paths.mjs";
import { Place, packageFile, version } from "./made.mjs";
import { isUsed } from "./used.mjs";

// What the installed package says of itself.
const METADATA = `
import importlib.metadata, glob, json, sys
[found] = importlib.metadata.distributions(name="tidegate", path=glob.glob(sys.argv[1] + "/lib/*/site-packages"))
print(json.dumps([found.version, found.metadata["License-Expression"], found.metadata.get_all("License-File")]))
`;

test("the program of the wheel is used in an environment of Python", async (t) => {
  const place = new Place(t);
  await place.done(["python3", "-m", "venv", "environment"]);
  const pip = place.path("environment/bin/pip");
  await place.done([pip, "install", "--quiet", "--no-index", "--disable-pip-version-check", packageFile(/\.whl$/)]);
  await isUsed(place, [place.path("environment/bin/tidegate")]);
  const metadata = await place.done(["python3", "-c", METADATA, place.path("environment")]);
  assert.deepEqual(JSON.parse(metadata), [version, "Apache-2.0", ["LICENSE", "THIRD-PARTY.txt"]]);
  await place.done([pip, "uninstall", "--quiet", "--yes", "tidegate"]);
  await assert.rejects(place.run([place.path("environment/bin/tidegate")]), { code: "ENOENT" });
});

test("the bill of materials names each crate of the program with its licence, and none that only tests need", () => {
  const { bomFormat, metadata, components } = JSON.parse(readFileSync(packageFile(/\.cyclonedx\.json$/), "utf8"));
  assert.equal(bomFormat, "CycloneDX");
  assert.deepEqual([metadata.component.name, metadata.component.version], ["tidegate", version]);
  const named = new Map(components.map(({ name, version, licenses }) => [`${name} ${version}`, licenses]));
  const lock = readFileSync(join(repository, "Cargo.lock"), "utf8");
  for (const [, name, locked] of lock.matchAll(/^name = "(wasmtime|tokio|sqlx|rustls|axum)"\nversion = "(.*)"$/gm)) {
    assert.ok(named.get(`${name} ${locked}`)?.length > 0, `${name} ${locked} with its licence`);
  }
  const names = new Set(components.map(({ name }) => name));
  for (const test of ["insta", "proptest", "criterion", "jsonwebtoken"]) assert.ok(!names.has(test), test);
});
