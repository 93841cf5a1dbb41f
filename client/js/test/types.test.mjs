// What `tidegate types` prints types topics, payloads and answers; mistakes of a page do not compile.

import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { test } from "node:test";

import { binary } from "@tidegate/kit/paths.mjs";

const CHANNELS = `
feature: types
channels:
  vault.{vaultId}:
    scope: public
    payload: { type: object, required: [id, title], properties: { id: { type: string }, title: { type: string } }, additionalProperties: false }
  vault.public: { scope: public, payload: { type: string } }
  team.{teamId}.chat:
    scope: public
    payload: { type: object, required: [text], properties: { text: { type: string } }, additionalProperties: false }
    inbound: { relay: all }
`;

// The first lines of the README, in a page that has the functions that they call.
function pageOfTheReadme() {
  const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");
  const functions = [
    "declare function freshToken(): Promise<string>;", "declare function replaceAll(values: { payload: { title: string } }[]): void;",
    "declare function show(source: { title: string }): void;", "declare function reload(): void;", "declare function complain(code: string): void;",
  ];
  return [...functions, /```ts\n(.*?)```/s.exec(readme)[1]].join("\n");
}

test("the strict compiler takes what is right of a page with the generated types, and nothing else", (t) => {
  const here = fileURLToPath(new URL(".", import.meta.url));
  // Below this package, where its dependencies are found.
  const directory = mkdtempSync(join(here, "types/run-"));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  mkdirSync(join(directory, "channels"));
  writeFileSync(join(directory, "channels/types.yaml"), CHANNELS);
  writeFileSync(join(directory, "tidegate.yaml"), "channels: channels\nplugins: none\nbridge: none.yaml\n");
  execFileSync(binary(), ["types", "--lang", "ts", "--config", join(directory, "tidegate.yaml"), "--out", join(directory, "channels.ts")]);
  copyFileSync(join(here, "types/uses.ts"), join(directory, "uses.ts"));
  writeFileSync(join(directory, "page.ts"), pageOfTheReadme());
  writeFileSync(join(directory, "package.json"), '{ "type": "module" }');

  const tsc = createRequire(import.meta.url).resolve("typescript/bin/tsc");
  const flags = ["--strict", "--noEmit", "--target", "es2022", "--module", "nodenext", "--exactOptionalPropertyTypes", "--noUncheckedIndexedAccess", "--skipLibCheck"];
  const { status, stdout } = spawnSync(process.execPath, [tsc, ...flags, join(directory, "uses.ts"), join(directory, "page.ts")], { encoding: "utf8" });
  assert.equal(status, 0, stdout);
});
