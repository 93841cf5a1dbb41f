// A plugin in Go, built from source with its SDK and served by the real binary.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

import { contract } from "./guest.mjs";
import { repository } from "./paths.mjs";

const sdk = join(repository, "plugins/sdk/go");

const build = (directory, component, ...kinds) =>
  execFileSync(process.execPath, [join(sdk, "build.mjs"), directory, component, ...kinds], { stdio: ["ignore", "ignore", "inherit"] });

contract({
  language: "Go",
  crash: "panic: runtime error: invalid memory address",
  unwritable: "the reply has no JSON: json: unsupported value",
  build: (component) => build(join(sdk, "test"), component, "handler", "authorizer", "snapshot", "transform", "connection"),
});

test("the plugin of the manual builds, a handler alone", () => {
  const scratch = mkdtempSync(join(tmpdir(), "tidegate-go-"));
  try {
    const manual = readFileSync(join(repository, "plugins/README.md"), "utf8");
    const [, module] = /```text\n(module [^]*?)```/.exec(manual);
    const [, text] = /```go\n([^]*?)```/.exec(manual);
    writeFileSync(join(scratch, "go.mod"), module.replace("../sdk/go", sdk));
    writeFileSync(join(scratch, "plugin.go"), text);
    build(scratch, join(scratch, "hello.wasm"), "handler");
    assert.ok(statSync(join(scratch, "hello.wasm")).size > 0);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
});
