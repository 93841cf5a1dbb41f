// A plugin in Python, built from source with its SDK and served by the real binary.

import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, renameSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";

import { ask, collect, next, Server, subscribe, token } from "./harness.mjs";
import { repository } from "./paths.mjs";

// An interpreter is 18 MB of WebAssembly: the binary of the tests, which is not optimised, compiles it for a while.
const COMPILE_PATIENCE_MS = 300_000;
const SDK = join(repository, "plugins/sdk/python");

// With limits that a busy machine keeps too; `cpu` is what stops a loop.
const MANIFEST = `
component: py.wasm
build: sh build.sh
config: { greeting: "grüß dich 🦊", members: [alice] }
grants: { emit: [realtime-ping], publish: [ping.seen] }
limits: { memory: 96MiB, cpu: 2s, wall: 10s }
`;

const CHANNELS = `
feature: py
channels:
  realtime-ping:
    scope: public
    payload: { type: object, required: [pong] }
    inbound: { payload: { type: object }, handler: py }
  py.room.{room}.{desk}:
    scope: public
    payload: {}
    inbound: { payload: { type: object }, handler: py }
  py.seen:
    scope: public
    payload: {}
  py.members:
    scope: authenticated
    authorizer: py
    payload: {}
    inbound: { payload: { type: object }, handler: py }
`;

// What it publishes comes back through the bridge.
const BRIDGE = `
rules:
  - on: ping.seen
    to: py.seen
    payload: '{"n": event.data.n, "subject": event.subject}'
`;

const build = (env, ...args) =>
  spawnSync("sh", [join(SDK, "build.sh"), ...args], { encoding: "utf8", env: { ...process.env, ...env } });

// The first block of that language in the section of the manual.
function manual(language) {
  const section = readFileSync(join(repository, "plugins/README.md"), "utf8").split("\n## In Python\n")[1].split("\n## ")[0];
  return section.match(new RegExp(`\`\`\`${language}\n(.*?)\`\`\``, "s"))[1];
}

test("the SDK's own tests pass under plain python3", () => {
  execFileSync("python3", ["-m", "unittest", "discover", "-q", "-s", "test"], {
    cwd: SDK,
    env: { ...process.env, PYTHONDONTWRITEBYTECODE: "1" },
    stdio: "pipe",
  });
});

describe("the build of a plugin in Python", () => {
  test("without Python it says what to install", () => {
    const built = build({ PYTHON: "python-is-not-here" }, join(SDK, "test/ping.py"), "unused.wasm", "handler");
    assert.equal(built.status, 69);
    assert.match(built.stderr, /error: `python-is-not-here` is not installed\nhint: install Python 3\.11/);
  });

  test("a kind that there is none of is named", () => {
    const built = build({}, join(SDK, "test/ping.py"), "unused.wasm", "handlers");
    assert.equal(built.status, 64);
    assert.match(built.stderr, /error: there is no kind `handlers`\nhint: the kinds are handler authorizer/);
  });

  test("the plugin of the manual is built by the command of the manual", () => {
    const scratch = mkdtempSync(join(tmpdir(), "tidegate-py-"));
    const hello = join(scratch, "plugins/hello");
    mkdirSync(hello, { recursive: true });
    symlinkSync(join(repository, "plugins/sdk"), join(scratch, "plugins/sdk"));
    writeFileSync(join(hello, "plugin.py"), manual("python"));
    const command = manual("yaml").match(/^build: (.*)$/m)[1];
    execFileSync("sh", ["-c", command], { cwd: hello, stdio: "pipe" });
    assert.ok(statSync(join(hello, "hello.wasm")).size > 1_000_000);
    const unit = `import plugin
from tidegate_plugin import Context, testing
with testing.host(config={"greeting": "hello"}):
    print(plugin.handle(Context(), plugin.Name("you")).reply)`;
    const env = { ...process.env, PYTHONPATH: SDK, PYTHONDONTWRITEBYTECODE: "1" };
    assert.equal(execFileSync("python3", ["-c", unit], { cwd: hello, env, encoding: "utf8" }), "hello, you\n");
    rmSync(scratch, { recursive: true });
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

describe("a plugin in Python", () => {
  let server;
  let scratch;
  let socket;
  const ping = (payload, topic = "realtime-ping") => ask(socket, topic, payload);
  const works = async () => assert.deepEqual(await ping({ do: "echo", text: "ok" }), { ok: true, reply: { text: "ok", length: 2 } });

  before(async () => {
    scratch = mkdtempSync(join(tmpdir(), "tidegate-py-"));
    mkdirSync(join(scratch, "py"));
    writeFileSync(join(scratch, "py/plugin.yaml"), MANIFEST);
    const built = build({}, join(SDK, "test/ping.py"), join(scratch, "py/py.wasm"), "handler", "authorizer");
    assert.equal(built.status, 0, built.stderr);
    const config = (config) => ({ ...config, limits: { ...config.limits, plugin_compile_time: "5m" } });
    server = await Server.start({ plugins: false, config });
    // In one step, so that no reload sees half a plugin.
    const place = () => renameSync(join(scratch, "py"), join(server.directory, "plugins/py"));
    await server.reload(place, "reload.applied", COMPILE_PATIENCE_MS);
    await server.reload(() => server.write("channels/py.yaml", CHANNELS));
    await server.reload(() => server.write("config/bridge.yaml", BRIDGE));
    socket = await server.connect({ token: token("alice", { roles: ["editor", "🦊"] }) });
    for (const topic of ["realtime-ping", "py.seen"]) await subscribe(socket, topic);
  }, { timeout: 2 * COMPILE_PATIENCE_MS });
  after(async () => {
    await server?.stop();
    rmSync(scratch, { recursive: true, force: true });
  });

  test("it replies, emits and publishes", async () => {
    const [emitted, published] = [next(socket, "realtime-ping"), next(socket, "py.seen")];
    assert.deepEqual(await ping({ do: "ping", n: 7 }), { ok: true, reply: { pong: 7 } });
    assert.deepEqual((await emitted)[0], { pong: 7 });
    assert.deepEqual((await published)[0], { n: 7, subject: "ping" });
  });

  test("`others` leaves the sender out", async () => {
    const other = await server.connect();
    await subscribe(other, "realtime-ping");
    const [mine, theirs] = [collect(socket, "realtime-ping"), next(other, "realtime-ping")];
    assert.deepEqual(await ping({ do: "others", n: 1 }), { ok: true });
    assert.deepEqual((await theirs)[0], { pong: 1 });
    await ping({ do: "ping", n: 2 });
    assert.deepEqual(await mine.count(1), [{ pong: 2 }]);
  });

  test("it knows all of the context", async () => {
    const before = Date.now();
    await subscribe(socket, "py.room.küche.d2");
    const { reply } = await ping({ do: "context" }, "py.room.küche.d2");
    assert.ok(reply.received_at_ms >= before && reply.received_at_ms <= Date.now(), `${reply.received_at_ms}`);
    assert.ok(reply.deadline_ms > 0 && reply.deadline_ms <= 10_000, `${reply.deadline_ms}`);
    assert.ok(reply.connection_id.length > 0);
    const { received_at_ms, deadline_ms, connection_id, ...rest } = reply;
    assert.deepEqual(rest, {
      topic: "py.room.küche.d2",
      channel: "py.room.{room}.{desk}",
      params: { room: "küche", desk: "d2" },
      user: { id: "alice", roles: ["editor", "🦊"], tenant: null },
      attributes: {},
    });
  });

  test("an anonymous connection has no user", async () => {
    const anonymous = await server.connect();
    await subscribe(anonymous, "realtime-ping");
    assert.equal((await ask(anonymous, "realtime-ping", { do: "context" })).reply.user, null);
  });

  for (const [refusal, code] of [
    ["InvalidPayload", "invalid_payload"],
    ["Forbidden", "forbidden"],
    ["Unavailable", "unavailable"],
    ["Failed", "handler_failed"],
  ]) {
    test(`${refusal} reaches the client as ${code}`, async () => {
      assert.equal((await ping({ do: "refuse", text: refusal })).error.code, code);
    });
  }

  test("a message that is not what the annotation says is refused, with its place", async () => {
    const { error } = await ping({ do: "ping", n: "seven" });
    assert.equal(error.code, "invalid_payload");
    assert.match(JSON.stringify(error), /`n`: expected a whole number, found a text/);
  });

  test("text beyond the basic plane passes both ways", async () => {
    const text = "🦊 𝔘𝔫𝔦 \u0000 ü \u2028";
    assert.deepEqual((await ping({ do: "echo", text })).reply, { text, length: [...text].length });
  });

  test("it reads its config and writes to the log", async () => {
    assert.deepEqual((await ping({ do: "config" })).reply, ["grüß dich 🦊", null, "default"]);
    const line = server.printed("seen 🦊");
    assert.deepEqual(await ping({ do: "log", n: 4711 }), { ok: true });
    assert.match(await line, /4711/);
  });

  test("it has the time and randomness of its own", async () => {
    const { reply } = await ping({ do: "host" });
    assert.ok(Math.abs(reply.now_ms - Date.now()) < 20_000, `${reply.now_ms}`);
    assert.ok(reply.passed_us >= 0);
    assert.equal(reply.bytes, 16);
    await ping({ do: "loop" });
    // The loop cost the instance; its successor begins from the same component, and not with the same numbers.
    const second = (await ping({ do: "host" })).reply;
    assert.notEqual(second.python, reply.python);
    assert.notEqual(second.host, reply.host);
  });

  for (const [what, payload, sentence] of [
    ["an exception", { do: "bug" }, "ZeroDivisionError: "],
    ["sys.exit", { do: "exit" }, "SystemExit: 3"],
    ["recursion without end", { do: "recurse" }, "RecursionError: "],
    ["text without UTF-8", { do: "surrogate" }, "UnicodeEncodeError: "],
    ["an answer that is no outcome", { do: "dict" }, "must return an Outcome or None, not dict"],
  ]) {
    test(`${what} is a refusal that says so, and no trap`, async () => {
      assert.equal((await ping(payload)).error.code, "handler_failed");
      // A trap would be a `plugin.fault`; a refusal carries the plugin's own sentence.
      assert.match(await server.printed(sentence), /handler refused/);
      await works();
    });
  }

  test("an exception names the line it came from", async () => {
    await ping({ do: "bug" });
    assert.match(await server.printed("ZeroDivisionError: "), /\(ping\.py:\d+\)/);
  });

  test("an endless loop is cut, and the next call works", async () => {
    const fault = server.logged("plugin.fault");
    assert.equal((await ping({ do: "loop" })).error.code, "handler_timeout");
    assert.equal((await fault).kind, "timeout");
    await works();
  });

  test("who takes too much memory is stopped, and the next call works", async () => {
    assert.equal((await ping({ do: "hog" })).error.code, "handler_failed");
    assert.match(await server.printed("MemoryError"), /handler refused/);
    await works();
  });

  test("its authorizer lets members in, and nobody else", async () => {
    await subscribe(socket, "py.members");
    assert.equal((await ping({ do: "echo", text: "hi" }, "py.members")).ok, true);
    const carol = await server.connect({ token: token("carol") });
    assert.equal((await ask(carol, "subscribe", { channel: "py.members" })).error.code, "forbidden");
  });

  test("an authorizer that raises denies", async () => {
    const broken = await server.connect({ token: token("alice", { roles: ["broken"] }) });
    const fault = server.logged("plugin.fault");
    assert.equal((await ask(broken, "subscribe", { channel: "py.members" })).ok, false);
    assert.match(JSON.stringify(await fault), /LookupError: no list of members/);
    await subscribe(socket, "py.members");
  });
});
