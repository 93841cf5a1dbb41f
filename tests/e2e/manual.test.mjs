// The first plugin of each language's page in `plugins/`, built as the page says from the files it shows, and served.

import assert from "node:assert/strict";
import { execFile, execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";

import { ask, Server } from "@tidegate/kit/harness.mjs";
import { binary, components, repository } from "@tidegate/kit/paths.mjs";

// Longer than a toolchain takes to arrive and to build from nothing on a small machine.
const BUILD_PATIENCE_MS = 600_000;
// An interpreter is 18 MB of WebAssembly: the binary of the tests, which is not optimised, compiles it for a while.
const COMPILE_PATIENCE_MS = 300_000;

// Each language's page, and the block of its first plugin that each file is.
const PAGES = {
  rust: ["RUST.md", { "Cargo.toml": "toml", "src/lib.rs": "rust", "plugin.yaml": "yaml" }],
  typescript: ["JAVASCRIPT.md", { "plugin.ts": "ts", "plugin.yaml": "yaml" }],
  python: ["PYTHON.md", { "plugin.py": "python", "plugin.yaml": "yaml" }],
  c: ["C.md", { "plugin.c": "c", "plugin.yaml": "yaml" }],
  go: ["GO.md", { "go.mod": "text", "plugin.go": "go", "plugin.yaml": "yaml" }],
};

function block(page, language) {
  const text = readFileSync(join(repository, "plugins", page), "utf8").split("\n## A first plugin\n")[1].split("\n## ")[0];
  return new RegExp(`\`\`\`${language}\n(.*?)\`\`\``, "s").exec(text)[1];
}

describe("the plugin of the manual", () => {
  let server;
  before(async () => {
    server = await Server.start({
      plugins: false,
      config: ({ limits }) => { limits.plugin_compile_time = `${COMPILE_PATIENCE_MS}ms`; },
    });
    await server.stop({ keep: true });
    // As in a checkout: beside the SDKs and the workspace.
    symlinkSync(join(repository, "plugins/sdk"), join(server.directory, "plugins/sdk"));
    symlinkSync(join(repository, "wit"), join(server.directory, "wit"));
    const workspace = readFileSync(join(repository, "plugins/Cargo.toml"), "utf8");
    writeFileSync(join(server.directory, "plugins/Cargo.toml"), workspace.replace(/members = .*/, 'members = ["rust"]'));
    writeFileSync(join(server.directory, "plugins/Cargo.lock"), readFileSync(join(repository, "plugins/Cargo.lock")));
  });
  after(() => server?.stop());

  const tidegate = (...args) =>
    promisify(execFile)(binary(), args, { cwd: server.directory, env: { ...process.env, CARGO_TARGET_DIR: components.shipped.target } });

  for (const [language, [page, files]] of Object.entries(PAGES)) {
    test(`in ${language} is built by its \`build\``, { timeout: BUILD_PATIENCE_MS }, async () => {
      const directory = join(server.directory, "plugins", language);
      mkdirSync(join(directory, "src"), { recursive: true });
      for (const [file, fence] of Object.entries(files)) {
        // Under the name of its language instead of `hello`; more time than it needs, on a busy machine.
        const text = block(page, fence).replaceAll("hello.wasm", `${language}.wasm`).replace('name = "hello"', `name = "${language}"`);
        const greets = file === "plugin.yaml" ? `${text.replace(/^config:.*\n/m, "")}config: { greeting: hello }\nlimits: { cpu: 2s, wall: 10s }\n` : text;
        writeFileSync(join(directory, file), greets);
      }
      await tidegate("plugin", "build", language);
    });
  }

  test("serves, in every language and without a grant", { timeout: COMPILE_PATIENCE_MS }, async () => {
    const channel = (handler) => ({
      scope: "public", payload: {}, inbound: { handler, payload: { type: "object", properties: { name: { type: "string" } } } },
    });
    const channels = Object.fromEntries(Object.keys(PAGES).map((language) => [`greet-${language}`, channel(language)]));
    server.write("channels/manual.yaml", JSON.stringify({ feature: "manual", channels }));
    server = await Server.start({ directory: server.directory, patienceMs: COMPILE_PATIENCE_MS });
    const socket = await server.connect();
    for (const language of Object.keys(PAGES)) {
      const topic = `greet-${language}`;
      assert.equal((await ask(socket, "subscribe", { channel: topic })).ok, true, language);
      assert.deepEqual(await ask(socket, topic, { name: "Ada" }), { ok: true, reply: "hello, Ada" }, language);
      assert.equal((await ask(socket, topic, {})).error.code, "invalid_payload", language);
    }
  });

  test("in Python is tested by plain python3", () => {
    const unit = `import plugin
from tidegate_plugin import Context, testing
with testing.host(config={"greeting": "hello"}):
    print(plugin.handle(Context(), plugin.Name("you")).reply)`;
    const env = { ...process.env, PYTHONPATH: join(repository, "plugins/sdk/python"), PYTHONDONTWRITEBYTECODE: "1" };
    const cwd = join(server.directory, "plugins/python");
    assert.equal(execFileSync("python3", ["-c", unit], { cwd, env, encoding: "utf8" }), "hello, you\n");
  });
});
