// A plugin in TypeScript, built from source with its SDK and served by the real binary.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";

import { contract } from "@tidegate/kit/guest.mjs";
import { repository } from "@tidegate/kit/paths.mjs";

const sdk = join(repository, "plugins/sdk/javascript");
function build(module, component, ...kinds) {
  const ran = spawnSync(process.execPath, [join(sdk, "build.mjs"), module, component, ...kinds], { encoding: "utf8" });
  return { ok: ran.status === 0, said: ran.stdout + ran.stderr };
}

test("the SDK's own tests pass under Node", () => {
  const ran = spawnSync(process.execPath, ["--test", "test/"], { cwd: sdk, encoding: "utf8", env: { ...process.env, NODE_TEST_CONTEXT: undefined } });
  assert.equal(ran.status, 0, ran.stdout + ran.stderr);
});

contract({
  language: "TypeScript",
  source: join(sdk, "test/guest.ts"),
  crash: ".nope()",
  unwritable: "TypeError: `0`: NaN has no JSON",
  build: (component) => {
    const { ok, said } = build(join(sdk, "test/guest.ts"), component, "handler", "authorizer", "snapshot", "transform", "connection");
    assert.ok(ok, said);
  },
});

describe("the build of a plugin in TypeScript or JavaScript", () => {
  let scratch;
  before(() => {
    scratch = mkdtempSync(join(tmpdir(), "tidegate-js-build-"));
  });
  after(() => rmSync(scratch, { recursive: true, force: true }));

  // Builds `text` as a plugin that is a handler.
  function built(name, text) {
    const module = join(scratch, name);
    writeFileSync(module, `import { allow, authorizer as decides, handler as answers } from ${JSON.stringify(join(sdk, "index.js"))};\n${text}\n`);
    const { ok, said } = build(module, join(scratch, `${name}.wasm`), "handler");
    assert.equal(existsSync(join(scratch, `${name}.wasm`)), ok, "a component is made by a build that succeeds");
    return { ok, said };
  }

  for (const [what, name, text, words] of [
    ["an export of the wrong kind", "kind.ts", "export const handler = decides(() => allow());", /does not satisfy the expected type 'Handler'/],
    ["a missing export", "missing.ts", "export const handle = answers(() => {});", /no exported member .*'handler'/],
    ["a missing export", "missing.js", "export const handle = answers(() => {});", /"handler" is not exported/],
    ["an async function", "async.ts", "export const handler = answers(async () => ({}));", /is not assignable to type/],
    ["a mistake of types", "types.ts", "export const handler = answers<{ n: number }>((_, { m }) => ({ reply: m }));", /Property 'm' does not exist/],
  ]) {
    test(`refuses ${what} (${name})`, () => {
      const { ok, said } = built(name, text);
      assert.equal(ok, false);
      assert.match(said, words);
    });
  }

  test("makes a component of plain JavaScript", () => {
    const { ok, said } = built("plain.js", "export const handler = answers((_, { n }) => ({ reply: n }));");
    assert.ok(ok, said);
  });
});
