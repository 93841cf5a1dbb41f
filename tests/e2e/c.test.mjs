// A plugin in C, built from source with its SDK and served by the real binary.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

import { contract } from "./guest.mjs";
import { repository } from "./paths.mjs";

const sdk = join(repository, "plugins/sdk/c");

const build = (source, component, ...kinds) =>
  execFileSync(process.execPath, [join(sdk, "build.mjs"), source, component, ...kinds], { stdio: ["ignore", "ignore", "inherit"] });

contract({
  language: "C",
  unwritable: "the reply has no JSON: a number is not finite",
  build: (component) =>
    build(join(sdk, "test/guest.c"), component, "handler", "authorizer", "snapshot", "transform", "connection"),
});

test("the plugin of the manual builds, a handler alone", () => {
  const scratch = mkdtempSync(join(tmpdir(), "tidegate-c-"));
  try {
    const [source, component] = [join(scratch, "plugin.c"), join(scratch, "hello.wasm")];
    const [, text] = /```c\n([^]*?)```/.exec(readFileSync(join(repository, "plugins/README.md"), "utf8"));
    writeFileSync(source, text);
    build(source, component, "handler");
    assert.ok(statSync(component).size > 0);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
});
