// A plugin in Python, built from source with its SDK and served by the real binary.

import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";

import { contract } from "@tidegate/kit/guest.mjs";
import { repository } from "@tidegate/kit/paths.mjs";

// An interpreter is 18 MB of WebAssembly: the binary of the tests, which is not optimised, compiles it for a while.
const COMPILE_PATIENCE_MS = 300_000;
const SDK = join(repository, "plugins/sdk/python");

const build = (env, ...args) =>
  spawnSync("sh", [join(SDK, "build.sh"), ...args], { encoding: "utf8", env: { ...process.env, ...env } });

test("the SDK's own tests pass under plain python3", () => {
  execFileSync("python3", ["-m", "unittest", "discover", "-q", "-s", "test"], {
    cwd: SDK,
    env: { ...process.env, PYTHONDONTWRITEBYTECODE: "1" },
    stdio: "pipe",
  });
});

describe("the build of a plugin in Python", () => {
  test("without Python it says what to install", () => {
    const built = build({ PYTHON: "python-is-not-here" }, join(SDK, "test/guest.py"), "unused.wasm", "handler");
    assert.equal(built.status, 69);
    assert.match(built.stderr, /error: `python-is-not-here` is not installed\nhint: install Python 3\.11/);
  });

  test("a kind that there is none of is named", () => {
    const built = build({}, join(SDK, "test/guest.py"), "unused.wasm", "handlers");
    assert.equal(built.status, 64);
    assert.match(built.stderr, /error: there is no kind `handlers`\nhint: the kinds are handler authorizer snapshot transform connection/);
  });

  test("a kind that the module has no function for is named, and nothing is written", () => {
    const scratch = mkdtempSync(join(tmpdir(), "tidegate-py-"));
    writeFileSync(join(scratch, "plugin.py"), "import tidegate_plugin\n");
    const built = build({}, join(scratch, "plugin.py"), join(scratch, "plugin.wasm"), "handler");
    assert.equal(built.status, 1);
    assert.match(built.stderr, /the module has no function with @handler/);
    assert.deepEqual(readdirSync(scratch), ["plugin.py"]);
    rmSync(scratch, { recursive: true });
  });
});

contract({
  language: "Python",
  limits: { memory: "96MiB", cpu: "2s", wall: "10s" },
  compilePatienceMs: COMPILE_PATIENCE_MS,
  source: join(SDK, "test/guest.py"),
  crash: "1 // 0",
  unwritable: "ValueError: Out of range float",
  build: (component) => {
    const built = build({}, join(SDK, "test/guest.py"), component, "handler", "authorizer", "snapshot", "transform", "connection");
    assert.equal(built.status, 0, built.stderr);
  },
  also: ({ seated, mistake }) => {
    test("a message that is not what the annotation says is refused, with its place", async () => {
      const { send } = await seated();
      const { error } = await send({ n: "seven" });
      assert.equal(error.code, "invalid_payload");
      assert.match(JSON.stringify(error), /`n`: expected a whole number, found a text/);
    });

    for (const [what, python, sentence] of [
      ["sys.exit", "exit", /^SystemExit: 3, at guest\.py:\d+ in mistake_of_python/],
      ["text without UTF-8", "surrogate", /^UnicodeEncodeError: /],
      ["an answer that is no outcome", "dict", /must return an Outcome or None, not dict/],
    ]) {
      test(`${what} costs one message`, async () => assert.match((await mistake({ python }, ["trap"])).detail, sentence));
    }
  },
});
