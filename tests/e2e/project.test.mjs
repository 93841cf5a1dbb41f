// A project that `tidegate init` made, from nothing to live: by the commands and the programs that it says itself.

import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";

import { io } from "socket.io-client";

import { ask, until, within } from "@tidegate/kit/harness.mjs";
import { binary, pluginCache, repository } from "@tidegate/kit/paths.mjs";

// Longer than the tools of a language take to install and build on a small machine.
const PATIENCE_MS = 600_000;

// A directory with the program on its path as `tidegate`, and with what npm installs for a project.
class Desk {
  constructor() {
    this.directory = mkdtempSync(join(tmpdir(), "tidegate-project-"));
    mkdirSync(join(this.directory, "bin"));
    symlinkSync(binary(), join(this.directory, "bin/tidegate"));
    symlinkSync(join(repository, "node_modules"), join(this.directory, "node_modules"));
    // Without what would make a test in Node one of this run.
    const { TIDEGATE_JWT_SECRET, TIDEGATE_API_KEY, NODE_TEST_CONTEXT, ...env } = process.env;
    this.env = {
      ...env,
      PATH: join(this.directory, "bin") + delimiter + process.env.PATH,
      TIDEGATE__PLUGIN_CACHE: pluginCache,
      TIDEGATE__LIMITS__PLUGIN_COMPILE_TIME: "300s",
    };
  }

  async run(command, cwd = "app") {
    const { stdout } = await promisify(execFile)("bash", ["-euc", command], { cwd: join(this.directory, cwd), env: this.env });
    return stdout;
  }

  // `tidegate dev`, once its file is there.
  async dev(t) {
    const file = join(this.directory, "ready.json");
    const dev = spawn("tidegate", ["dev", "--listen", "127.0.0.1:0", "--ready-file", file], {
      cwd: join(this.directory, "app"), env: this.env, stdio: ["ignore", "ignore", "inherit"],
    });
    const exited = once(dev, "exit");
    t.after(() => dev.kill("SIGKILL"));
    // An earlier run that did not serve has left its file, until this one takes it away.
    const ready = () => {
      const told = existsSync(file) && JSON.parse(readFileSync(file, "utf8"));
      return told.pid === dev.pid && told;
    };
    const told = await until("the ready file", ready, PATIENCE_MS);
    return { told, process: dev, exited, file };
  }

  read(path) {
    return readFileSync(join(this.directory, "app", path), "utf8");
  }

  write(path, text) {
    mkdirSync(dirname(join(this.directory, "app", path)), { recursive: true });
    writeFileSync(join(this.directory, "app", path), text);
  }

  remove() {
    rmSync(this.directory, { recursive: true, force: true });
  }
}

// The first block of code in this language, below a heading.
const block = (page, heading, language) =>
  page.slice(page.indexOf(`\n## ${heading}\n`)).match(new RegExp(`\`\`\`${language}\\n(.*?)\`\`\``, "s"))[1];

async function stop({ process: dev, exited, file }) {
  dev.kill("SIGTERM");
  const [code] = await within("the end of `dev`", exited);
  assert.equal(code, 0);
  assert.ok(!existsSync(file), "the ready file goes with the server");
}

describe("a project without a plugin", () => {
  let desk;
  before(async () => {
    desk = new Desk();
    await desk.run("tidegate init app", ".");
  });
  after(() => desk?.remove());

  test("is checked by the command of its CI file", async () => {
    const commands = [...desk.read(".github/workflows/tidegate.yaml").matchAll(/^ +- run: (.*)$/gm)];
    assert.equal(commands.length, 1);
    assert.equal(await desk.run(commands[0][1]), "ok: 1 channel, 0 plugins, 1 bridge rule, 5 examples\n");
  });

  test("serves at once what its README says to try", { timeout: PATIENCE_MS }, async (t) => {
    const dev = await desk.dev(t);
    const { address, url, api_keys: keys } = dev.told;
    const [follow, publish] = desk.read("README.md").matchAll(/^curl .*$/gm);
    const here = (command) => command.replace("127.0.0.1:3000", address);
    const stream = spawn("bash", ["-c", `exec ${here(follow[0])}`], { stdio: ["ignore", "pipe", "ignore"] });
    t.after(() => stream.kill());
    let said = "";
    stream.stdout.on("data", (chunk) => (said += chunk));
    await until("the beginning of the stream", () => said.includes('"subscribed"'));
    assert.equal(await desk.run(`export TIDEGATE_API_KEY=${keys.backend}; ${here(publish[0])}`), "{}");
    await until("the publication", () => said.includes('event: greetings\ndata: {"payload":{ "text": "hello" },"meta":{}}'));
    const event = { specversion: "1.0", id: "1", source: "/door", type: "person.arrived", data: { name: "Ada" } };
    const headers = { authorization: `Bearer ${keys.backend}`, "content-type": "application/cloudevents+json" };
    assert.equal((await fetch(`${url}/v1/events`, { method: "POST", headers, body: JSON.stringify(event) })).status, 202);
    await until("what crossed the bridge", () => said.includes('{"text":"welcome, Ada"}'));
    // The program of the README, up to its end.
    const client = `${block(desk.read("README.md"), "Try it", "js")}\nsocket.close();`.replace("127.0.0.1:3000", address);
    desk.write("client.mjs", client);
    assert.match(await desk.run("node client.mjs"), /ok: true.*channel: 'greetings'[^]*hello, all/);
    await stop(dev);
  });

  test("has integration tests in Node and in Python that find the server by its file", { timeout: PATIENCE_MS }, async () => {
    const page = desk.read("tests/README.md");
    desk.write("tests/greetings.test.mjs", block(page, "Node", "js"));
    desk.write("tests/test_greetings.py", block(page, "Python", "python"));
    const [node, python] = ["node --test tests/greetings.test.mjs", "python3 -m unittest discover tests 2>&1"];
    const [inNode, inPython] = await Promise.all([desk.run(node), desk.run(python)]);
    assert.match(inNode, /pass 1\b/);
    assert.match(inPython, /^Ran 1 test in/m);
  });

  test("has integration tests that fail and say why when the server does not start", { timeout: PATIENCE_MS }, async (t) => {
    const page = desk.read("tests/README.md");
    const taken = createServer().listen(0, "127.0.0.1");
    await once(taken, "listening");
    t.after(() => taken.close());
    const address = `127.0.0.1:${taken.address().port}`;
    const elsewhere = (text) => text.replace("127.0.0.1:0", address);
    desk.write("tests/taken.test.mjs", elsewhere(block(page, "Node", "js")));
    desk.write("tests/test_taken.py", elsewhere(block(page, "Python", "python")));
    for (const command of ["node --test tests/taken.test.mjs", "python3 -m unittest tests/test_taken.py"]) {
      const failed = await desk.run(`${command} 2>&1`).then(() => assert.fail("it passed"), (error) => error);
      assert.match(failed.stdout, new RegExp(`error: failed to listen on .${address}`), command);
    }
  });
});

// In TypeScript, which has a unit test and types; new-plugin.test.mjs has every language.
describe("a project with a plugin", () => {
  let desk;
  before(async () => {
    desk = new Desk();
    await desk.run("tidegate init app --lang ts", ".");
  });
  after(() => desk?.remove());

  test("goes from nothing to a new channel whose plugin answers, by the commands of its README", { timeout: PATIENCE_MS }, async (t) => {
    const commands = block(desk.read("README.md"), "Go on", "sh").trim().split("\n");
    assert.equal(commands.length, 4);
    let said = "";
    for (const command of commands) said = await desk.run(command);
    assert.equal(said, "ok: 2 channels, 2 plugins, 1 bridge rule, 16 examples\n");
    await desk.run("cd plugins/echo && npm test");
    const dev = await desk.dev(t);
    const socket = io(dev.told.url, { transports: ["websocket"], auth: { token: dev.told.tokens.alice } });
    t.after(() => socket.close());
    assert.equal((await ask(socket, "subscribe", { channel: "chat.lobby" })).ok, true);
    assert.deepEqual(await ask(socket, "chat.lobby", { text: "hi" }), { ok: true, reply: { text: "hi" } });
    assert.equal((await ask(socket, "chat.lobby", { txt: "hi" })).error.code, "invalid_payload");
    assert.equal((await ask(socket, "subscribe", { channel: "greetings" })).ok, true);
    assert.deepEqual(await ask(socket, "greetings", { name: "Ada" }), { ok: true, reply: { text: "hello, Ada" } });
    // And while it runs.
    await desk.run("tidegate new channel chat 'board.{id}' public && tidegate new plugin board --lang c --handler 'board.{id}'");
    const answered = async () => {
      const ack = await ask(socket, "subscribe", { channel: "board.1" });
      return ack.ok && (await ask(socket, "board.1", { text: "hi" })).reply;
    };
    assert.deepEqual(await until("the new plugin answers", answered, PATIENCE_MS), { text: "hi" });
    await stop(dev);
  });

  test("whose plugin does not build tells who waits for the server", { timeout: PATIENCE_MS }, async (t) => {
    const source = desk.read("plugins/hello/plugin.ts");
    desk.write("plugins/hello/plugin.ts", `${source}\nconst wrong: number = 'text';\n`);
    const dev = await desk.dev(t);
    const [code] = await within("the end of `dev`", dev.exited, PATIENCE_MS);
    assert.deepEqual([code, dev.told.exit_code], [65, 65]);
    assert.match(dev.told.error, /^error: plugin `hello` does not build\n/);
    desk.write("plugins/hello/plugin.ts", source);
    await stop(await desk.dev(t));
  });
});
