// The package as npm publishes it.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const directory = fileURLToPath(new URL("..", import.meta.url));

test("the package holds every file that it imports, and no dependency is needed to publish", () => {
  const [{ files }] = JSON.parse(execFileSync("npm", ["pack", "--dry-run", "--json"], { cwd: directory, encoding: "utf8" }));
  const held = new Set(files.map(({ path }) => path));
  const imported = (file, seen = new Set()) => {
    if (seen.has(file)) return seen;
    seen.add(file);
    for (const [, name] of readFileSync(`${directory}/${file}`, "utf8").matchAll(/ from "([^"]+)"/g)) {
      if (name.startsWith("./")) imported(name.slice(2).replace(/\.js$/, file.endsWith(".d.ts") ? ".d.ts" : ".js"), seen);
      else seen.add(name);
    }
    return seen;
  };
  const all = ["index.js", "index.d.ts", "recording.js", "recording.d.ts"].flatMap((file) => [...imported(file)]);
  assert.deepEqual(all.filter((name) => /\.(js|d\.ts)$/.test(name) && !name.includes("/") && !held.has(name)), []);
  assert.deepEqual([...imported("index.js")].filter((name) => !name.endsWith(".js")), []);
});
