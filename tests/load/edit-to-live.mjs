// How long an author waits: `tidegate dev` with a plugin in each language, from nothing, started again with everything built, and
// from a saved source to the first answer of the new version, while clients stay connected.

import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";

import { binary, target } from "@tidegate/kit/paths.mjs";
import { token } from "@tidegate/kit/harness.mjs";
import { open } from "./wire.mjs";

// What an edit changes: the answer, so that golden vectors no longer have it, as when one works.
const LANGUAGES = {
  rust: ["src/lib.rs", "{greeting}, {}", (mark) => `{greeting} ${mark}, {}`],
  c: ["plugin.c", '"%s, %s"', (mark) => `"%s ${mark}, %s"`],
  javascript: ["plugin.js", "}, ${name}", (mark) => `} ${mark}, \${name}`],
  typescript: ["plugin.ts", "}, ${name}", (mark) => `} ${mark}, \${name}`],
  go: ["plugin.go", '", "', (mark) => `" ${mark}, "`],
  python: ["plugin.py", "}, {payload.name}", (mark) => `} ${mark}, {payload.name}`],
};
const EDITS = Number(process.env.EDITS ?? 3);
const CLIENTS = Number(process.env.CLIENTS ?? 5);
const EVERY_MS = 10;
const PATIENCE_MS = 600_000;
const SECRET = "a secret of a measurement, long enough for HMAC with SHA-512: 0123456789abcdef0123456789abcdef";

const asked = process.argv.slice(2);
const languages = Object.keys(LANGUAGES).filter((language) => asked.length === 0 || asked.includes(language));
const plugin = (language) => `hello-${language}`;
const directory = mkdtempSync(join(tmpdir(), "tidegate-edit-"));
const seconds = (ms) => (ms / 1000).toFixed(1);

function lay() {
  for (const part of ["channels", "plugins", "config"]) mkdirSync(join(directory, part));
  const providers = "auth: { providers: [{ jwt: { algorithm: HS256, secret: '${TIDEGATE_JWT_SECRET}' } }] }\n";
  writeFileSync(join(directory, "config/tidegate.yaml"), `${providers}plugin_cache: ../cache\n`);
  const channel = (language) => `  ${language}: { scope: public, payload: {}, inbound: { payload: true, handler: ${plugin(language)} } }\n`;
  writeFileSync(join(directory, "channels/hello.yaml"), `feature: hello\nchannels:\n${languages.map(channel).join("")}`);
  // What others wrote is compiled once for all runs.
  mkdirSync(join(target, "e2e-new"), { recursive: true });
  symlinkSync(join(target, "e2e-new"), join(directory, "plugins/target"));
  for (const language of languages) {
    execFileSync(binary(), ["new", "plugin", plugin(language), "--lang", language, "--kind", "handler"], { cwd: directory });
  }
}

// Starts `dev` and waits until clients can connect.
async function dev() {
  const began = performance.now();
  const env = { ...process.env, TIDEGATE_JWT_SECRET: SECRET, RUST_LOG: "info" };
  const server = spawn(binary(), ["dev", "--listen", "127.0.0.1:0"], { cwd: directory, env, stdio: ["ignore", "ignore", "pipe"] });
  const lines = createInterface({ input: server.stderr });
  let address;
  const listening = new Promise((resolve, reject) => {
    lines.on("line", (line) => {
      if (process.env.TIDEGATE_E2E_LOG) console.error(`${seconds(performance.now() - began)} ${line}`);
      address ||= line.includes("server.listening") && /127\.0\.0\.1:\d+/.exec(line)?.[0];
      if (address) resolve();
    });
    server.once("exit", (code) => reject(new Error(`dev ended with ${code}`)));
    setTimeout(() => reject(new Error("dev does not listen")), PATIENCE_MS).unref();
  });
  await listening;
  return { server, url: `http://${address}`, took: performance.now() - began };
}

async function stop({ server }) {
  const ended = once(server, "exit");
  server.kill("SIGKILL");
  await ended;
}

// From one save to the first answer that shows it.
async function edit(url, language, mark) {
  const [file, from, to] = LANGUAGES[language];
  const source = join(directory, "plugins", plugin(language), file);
  originals[source] ??= readFileSync(source, "utf8");
  if (!originals[source].includes(from)) throw new Error(`${source} holds no ${from}`);
  let live;
  const seen = new Promise((resolve) => (live = resolve));
  const answered = (_, packet) => packet.includes(`${mark},`) && live(performance.now());
  let dropped = 0;
  const at = { url, token: token("author", {}, { secret: SECRET }), topic: language, closed: () => (dropped += 1) };
  const clients = await Promise.all(Array.from({ length: CLIENTS }, () => open({ ...at, answered })));
  const sending = setInterval(() => clients[0].send(() => '{"name":"Ada"}'), EVERY_MS);
  await pause(300);
  const aside = `${source}.new~`;
  writeFileSync(aside, originals[source].replace(from, to(mark)));
  const saved = performance.now();
  renameSync(aside, source);
  const late = setTimeout(() => live(Number.NaN), PATIENCE_MS);
  const took = (await seen) - saved;
  clearTimeout(late);
  clearInterval(sending);
  await pause(100);
  const cut = dropped;
  for (const client of clients) client.terminate();
  return { took, dropped: cut };
}

const originals = {};
lay();
try {
  let running = await dev();
  console.log(`dev listens after ${seconds(running.took)} s where nothing is built`);
  await stop(running);
  running = await dev();
  console.log(`dev listens after ${seconds(running.took)} s where everything is built\n`);
  console.log("| edit to live | s, fastest | median | slowest | clients dropped |\n|---|---|---|---|---|");
  for (const language of languages) {
    const edits = [];
    for (let turn = 1; turn <= EDITS; turn += 1) {
      edits.push(await edit(running.url, language, `v${turn}`));
      // What follows a save, as its golden vectors, is no part of the next.
      await pause(1000);
    }
    const times = edits.map(({ took }) => took).sort((one, other) => one - other);
    const median = times[Math.floor(times.length / 2)];
    const dropped = edits.reduce((sum, { dropped }) => sum + dropped, 0);
    console.log(`| ${language} | ${seconds(times[0])} | ${seconds(median)} | ${seconds(times.at(-1))} | ${dropped} |`);
  }
  await stop(running);
} finally {
  rmSync(directory, { recursive: true, force: true });
}
