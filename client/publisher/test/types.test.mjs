// The types: what `tidegate types` prints makes a wrong publish an error of the compiler.

import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import { binary } from "@tidegate/kit/paths.mjs";

const here = fileURLToPath(new URL(".", import.meta.url));
const tsc = createRequire(import.meta.url).resolve("typescript/bin/tsc");

test("the strict compiler takes publishes of the channels' types, and nothing else", (t) => {
  const project = mkdtempSync(join(tmpdir(), "tidegate-publisher-"));
  t.after(() => rmSync(project, { recursive: true }));
  cpSync(join(here, "channels"), join(project, "channels"), { recursive: true });
  mkdirSync(join(project, "config"));
  writeFileSync(join(project, "config/tidegate.yaml"), "channels: ../channels\n");
  execFileSync(binary(), ["types", "--lang", "ts", "--out", "channels.ts"], { cwd: project });
  cpSync(join(here, "types.ts"), join(project, "types.ts"));
  mkdirSync(join(project, "node_modules/@tidegate"), { recursive: true });
  symlinkSync(join(here, ".."), join(project, "node_modules/@tidegate/publisher"));
  writeFileSync(join(project, "package.json"), '{ "type": "module" }');

  const flags = ["--strict", "--noEmit", "--target", "es2022", "--module", "nodenext", "--exactOptionalPropertyTypes", "--skipLibCheck"];
  const { status, stdout } = spawnSync(process.execPath, [tsc, ...flags, "types.ts"], { cwd: project, encoding: "utf8" });
  assert.equal(status, 0, stdout);
});
