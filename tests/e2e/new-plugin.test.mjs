// From `tidegate new plugin` to a plugin that serves, in every language and of every kind.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdirSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";

import { ask, Server, token } from "@tidegate/kit/harness.mjs";
import { binary, target } from "@tidegate/kit/paths.mjs";

const KINDS = ["handler", "authorizer", "snapshot", "transform", "connection"];
// What runs the unit tests of a project, where its language has some.
const LANGUAGES = {
  rust: ["cargo", "test", "--quiet"],
  javascript: ["npm", "test"],
  typescript: ["npm", "test"],
  python: ["python3", "-m", "unittest"],
  go: undefined,
  c: undefined,
};
// Longer than the tools of a language take to install and build on a small machine.
const PATIENCE_MS = 600_000;
// Longer than the binary of the tests takes to compile Python's interpreter while another file of tests runs.
const COMPILE_PATIENCE_MS = 300_000;

const channels = (language) => `
feature: new-${language}
channels:
  ${language}-greetings:
    scope: public
    authorizer: ${language}-authorizer
    payload: { type: object }
    inbound: { handler: ${language}-handler, payload: { type: object } }
`;

const wired = (language) => `
feature: ${language}
channels:
  ${language}.{who}:
    scope: public
    payload: { type: object }
    inbound:
      payload:
        oneOf:
          - { type: object, required: [kind, n], properties: { kind: { const: a }, n: { type: integer } } }
          - { type: object, required: [kind], properties: { kind: { const: b } } }
`;
const EXAMPLE = (language) =>
  JSON.stringify({ topic: `${language}.ada`, inbound: { accepts: [{ kind: "a", n: 7 }], refuses: [{ kind: "a" }] } });

describe("a plugin that `new plugin` made", () => {
  let server;
  before(async () => {
    server = await Server.start({ plugins: false, config: ({ limits }) => { limits.plugin_compile_time = `${COMPILE_PATIENCE_MS}ms`; } });
    await server.stop({ keep: true });
    // What cargo built for one project serves the next.
    mkdirSync(join(target, "e2e-new"), { recursive: true });
    symlinkSync(join(target, "e2e-new"), join(server.directory, "plugins/target"));
  });
  after(() => server?.stop());

  const run = (program, args, cwd) =>
    promisify(execFile)(program, args, {
      cwd,
      env: { ...process.env, CARGO_TARGET_DIR: join(target, "e2e-new"), PYTHONPATH: "sdk" },
    });
  const tidegate = async (...args) => (await run(binary(), args, server.directory)).stdout;

  for (const [language, unit] of Object.entries(LANGUAGES)) {
    for (const kind of KINDS) {
      const name = `${language}-${kind}`;
      test(`is a ${kind} in ${language} that builds, loads and passes its tests`, { timeout: PATIENCE_MS }, async () => {
        const said = await tidegate("new", "plugin", name, "--lang", language, "--kind", kind);
        const [, command] = /^ {2}tidegate (plugin .*?)(?: +#.*)?$/m.exec(said);
        assert.match(await tidegate(...command.split(" ")), /^\d+ vectors?$/m);
        assert.match(await tidegate("plugin", "check", name), new RegExp(`${name}.*${kind}`));
        if (unit) await run(unit[0], unit.slice(1), join(server.directory, "plugins", name));
      });
    }
  }

  for (const [language, unit] of Object.entries(LANGUAGES)) {
    const name = `${language}-wired`;
    test(`is the handler of a channel in ${language}`, { timeout: PATIENCE_MS }, async () => {
      server.write(`channels/${name}.yaml`, wired(language));
      mkdirSync(join(server.directory, "channels/tests"), { recursive: true });
      server.write(`channels/tests/${name}.json`, EXAMPLE(language));
      await tidegate("new", "plugin", name, "--lang", language, "--handler", `${language}.{who}`);
      assert.match(await tidegate("plugin", "test", name, "--build"), /^1 vector$/m);
      if (unit) await run(unit[0], unit.slice(1), join(server.directory, "plugins", name));
    });
  }

  test("serves", { timeout: PATIENCE_MS }, async () => {
    const languages = Object.keys(LANGUAGES);
    for (const language of languages) server.write(`channels/${language}.yaml`, channels(language));
    // The others would be compiled, which takes the binary of the tests long, and asked nothing.
    for (const language of languages) {
      for (const kind of ["snapshot", "transform", "connection", "wired"]) rmSync(join(server.directory, "plugins", `${language}-${kind}`), { recursive: true });
      rmSync(join(server.directory, `channels/${language}-wired.yaml`));
      rmSync(join(server.directory, `channels/tests/${language}-wired.json`));
    }
    server = await Server.start({ directory: server.directory, patienceMs: PATIENCE_MS });
    for (const language of languages) {
      const channel = `${language}-greetings`;
      const member = await server.connect({ token: token("alice") });
      assert.equal((await ask(member, "subscribe", { channel })).ok, true, language);
      assert.deepEqual(await ask(member, channel, { name: "Ada" }), { ok: true, reply: { text: "hello, Ada" } });
      assert.equal((await ask(member, channel, {})).error.code, "invalid_payload", language);
      const stranger = await server.connect({ token: token("mallory") });
      assert.equal((await ask(stranger, "subscribe", { channel })).error.code, "forbidden", language);
    }
  });
});
