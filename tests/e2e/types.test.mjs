// What `tidegate types` writes, tests/types/golden.*, is what the compiler of TypeScript and Python's SDK take: examples
// that the schemas accept are of the types, examples that they refuse are not.

import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { tool } from "../../plugins/sdk/javascript/tools.mjs";
import { repository } from "@tidegate/kit/paths.mjs";

const TYPES = join(repository, "tests/types");
const examples = JSON.parse(readFileSync(join(TYPES, "examples.json"), "utf8"));

let directory;
before(() => {
  directory = mkdtempSync(join(tmpdir(), "tidegate-types-"));
});
after(() => rmSync(directory, { recursive: true, force: true }));

// Every example, with the channel and what of it the example is for.
function* all(key) {
  for (const [channel, kinds] of Object.entries(examples)) {
    for (const [what, judged] of Object.entries(kinds)) for (const value of judged[key]) yield { channel, what, value };
  }
}

test("the strict compiler of TypeScript takes what the schemas take, and refuses what is of another type", () => {
  copyFileSync(join(TYPES, "golden.ts"), join(directory, "golden.ts"));
  const typed = ({ channel, what, value }, number) =>
    `const ${what}${number}: Channels[${JSON.stringify(channel)}][${JSON.stringify(what)}] = ${JSON.stringify(value)};`;
  const accepted = [...all("accepts")].map(typed);
  // An error is owed for each: where there is none, that is one.
  const refused = [...all("refuses")].map((example, number) => `// @ts-expect-error\n${typed(example, 1000 + number)}`);
  assert.ok(accepted.length > 8 && refused.length > 8);
  writeFileSync(join(directory, "use.ts"), ['import type { Channels } from "./golden.js";', ...accepted, ...refused].join("\n"));
  const tsc = tool("tsc");
  const flags = ["--strict", "--noEmit", "--target", "es2022", "--module", "nodenext", "--exactOptionalPropertyTypes"];
  const { status, stdout } = spawnSync(process.execPath, [tsc, ...flags, join(directory, "use.ts")], { encoding: "utf8" });
  assert.equal(status, 0, stdout);
});

const CHECK = `
import json, sys, types_of_the_channels as types
from typing import get_type_hints
from tidegate_plugin.typed import Mismatch, decode

names = json.load(open(sys.argv[1]))
for channel, what, value, accepted in json.load(sys.stdin):
    kind = getattr(types, names[channel][what])
    try:
        decode(value, kind)
        assert accepted, f"{channel} {what} takes {value}"
    except Mismatch as mismatch:
        assert not accepted, f"{channel} {what} refuses {value}: {mismatch}"
`;

test("Python's SDK takes what the schemas take as the types, and refuses what is of another type", () => {
  copyFileSync(join(TYPES, "golden.py"), join(directory, "types_of_the_channels.py"));
  // The names that the printer of TypeScript gives the same channels.
  const names = {};
  const listed = readFileSync(join(TYPES, "golden.ts"), "utf8").split("export interface Channels {")[1];
  for (const [, channel, payload, inbound] of listed.matchAll(/"(.*?)": \{ payload: (\w+)(?:; inbound: (\w+))? \}/g)) {
    names[channel] = { payload, inbound };
  }
  writeFileSync(join(directory, "names.json"), JSON.stringify(names));
  const judged = (key, accepted) => [...all(key)].map(({ channel, what, value }) => [channel, what, value, accepted]);
  execFileSync("python3", ["-c", CHECK, join(directory, "names.json")], {
    input: JSON.stringify([...judged("accepts", true), ...judged("refuses", false)]),
    env: { ...process.env, PYTHONPATH: `${directory}:${join(repository, "plugins/sdk/python")}` },
  });
});
