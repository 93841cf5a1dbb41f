// The table of sentences in the README is what the tests say.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";

const here = new URL(".", import.meta.url);
const read = (name) => readFileSync(new URL(name, here), "utf8");

test("every sentence of the README has its tests, in the files that it names", () => {
  const promised = new Map();
  for (const [, id, files] of read("README.md").matchAll(/^\| ([ES]\d+) \|.*\| ([^|]*) \|$/gm)) promised.set(id, files);
  const held = new Map();
  for (const name of readdirSync(here).filter((name) => name.endsWith(".test.mjs")).sort()) {
    const file = name.slice(0, -".test.mjs".length);
    // A table of cases writes its sentence as the last value of a line.
    for (const [, says, said] of read(name).matchAll(/says: "([ES\d ]+)"|, "([ES]\d+)"\],$/gm)) {
      for (const id of (says ?? said).split(" ")) held.set(id, (held.get(id) ?? new Set()).add(file));
    }
  }
  assert.deepEqual(Object.fromEntries([...held].map(([id, files]) => [id, [...files].join(", ")])), Object.fromEntries(promised));
});
