// What proof costs: a replay beside the call on the live path, in three languages; and the acks of a plugin with a shadow
// beside those without one.

import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { copyFileSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";

import { target } from "@tidegate/kit/paths.mjs";
import { Server, token } from "./scene.mjs";
import { open } from "./wire.mjs";

const CALLS = Number(process.env.CALLS ?? 2000);
const REPLAYS = Number(process.env.REPLAYS ?? 7);
const ROUNDS = Number(process.env.ROUNDS ?? 5);
const SECONDS = Number(process.env.LOAD_SECONDS ?? 8);
const CLIENTS = Number(process.env.CLIENTS ?? 20);
const EVERY_MS = Number(process.env.EVERY_MS ?? 50);
const LANGUAGES = process.argv.length > 2 ? process.argv.slice(2) : ["rust", "typescript", "python"];
const KEY = "load-recorder-key-0123456789abcdef";
const LIMITS = "limits: { wall: 10s, cpu: 2s, memory: 256MiB }";
const PAYLOAD = JSON.stringify({ name: "x".repeat(189) });
const plugin = (language) => `hello-${language}`;
const row = (...cells) => console.log(`| ${cells.join(" | ")} |`);
const us = (value) => `${value.toFixed(1)} µs`;
const ms = (value) => `${value.toFixed(2)} ms`;
const middle = (values) => values.sort((one, other) => one - other)[Math.floor(values.length / 2)];
const at = (sorted, share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];

const laid = await Server.start({ plugins: false });
await laid.stop({ keep: true });
const { directory } = laid;
mkdirSync(join(target, "e2e-new"), { recursive: true });
symlinkSync(join(target, "e2e-new"), join(directory, "plugins/target"));
const tidegate = (args, input) =>
  execFileSync(process.env.TIDEGATE_BIN, args, {
    cwd: directory, input, env: { ...process.env, CARGO_TARGET_DIR: join(target, "e2e-new") },
    stdio: ["pipe", "pipe", "inherit"], maxBuffer: 1 << 26,
  }).toString();
const of = (language, file) => join(directory, "plugins", plugin(language), file);

for (const language of LANGUAGES) {
  tidegate(["new", "plugin", plugin(language), "--lang", language, "--kind", "handler"]);
  tidegate(["plugin", "build", plugin(language)]);
  const text = readFileSync(of(language, "plugin.yaml"), "utf8").replace(/^limits:.*$/m, "");
  copyFileSync(of(language, /^component:\s*(\S+)/m.exec(text)[1]), of(language, "served.wasm"));
  copyFileSync(of(language, "served.wasm"), of(language, "next.wasm"));
  writeFileSync(of(language, "plugin.yaml"), `${text.replace(/^component:.*$/m, "component: served.wasm").replace(/^build:.*$/m, "")}\n${LIMITS}\n`);
}
const channels = LANGUAGES.map((language) => `  ${language}.{room}: { scope: public, payload: {}, inbound: { payload: true, handler: ${plugin(language)}, rate: 100000/s } }\n`);
writeFileSync(join(directory, "channels/load.yaml"), `feature: load\nchannels:\n${channels.join("")}`);
const file = join(directory, "config/tidegate.yaml");
const config = JSON.parse(readFileSync(file, "utf8"));
config.api_keys.push({ name: "recorder", key: KEY, may: ["operate", "read"] });
config.limits.recordings = 1;
writeFileSync(file, JSON.stringify(config));
// CPython compiles for a while.
const server = await Server.start({ directory, patienceMs: 300_000 });

// Sends from all clients for a while, and gives how long each ack took.
async function load(language, seconds) {
  const took = [];
  const clients = await Promise.all(Array.from({ length: CLIENTS }, async (_, index) => {
    const sentAt = new Map();
    const client = await open({
      url: server.url, token: token(`u${index}`), topic: `${language}.${index}`, closed() {},
      answered(id, packet) {
        if (!packet.includes('"ok":true')) throw new Error(packet);
        took.push(performance.now() - sentAt.get(id));
      },
    });
    return { client, sentAt };
  }));
  const timers = clients.map(({ client, sentAt }, index) => {
    const send = () => sentAt.set(client.send(() => PAYLOAD), performance.now());
    let timer;
    // Not all at once.
    const first = setTimeout(() => (timer = setInterval(send, EVERY_MS)), (index * EVERY_MS) / CLIENTS);
    return () => (clearTimeout(first), clearInterval(timer));
  });
  await pause(seconds * 1000);
  timers.forEach((stop) => stop());
  await pause(300);
  clients.forEach(({ client }) => client.terminate());
  return took.sort((one, other) => one - other);
}

console.log(`a replay of ${CALLS} calls of hello, 200 bytes of payload\n`);
row("", "a call, live p50", "a replayed call, p50", "replayed a second", "replay : live, calls a second", "differences");
row("---", "---", "---", "---", "---", "---");
for (const language of LANGUAGES) {
  const out = join(directory, `${language}.ndjson`);
  rmSync(out, { force: true });
  const child = spawn(process.env.TIDEGATE_BIN, ["record", "--plugin", plugin(language), "--calls", String(CALLS), "--out", out, "--url", server.url, "--key", KEY], { stdio: ["ignore", "ignore", "pipe"] });
  const ended = once(child, "close");
  await once(child.stderr, "data");
  await load(language, (CALLS / CLIENTS) * (EVERY_MS / 1000) + 1);
  await ended;
  const asked = ["plugin", "call", plugin(language), "handler", "--input", "-", "--topic", "greetings", "--repeat", String(CALLS), "--format", "json"];
  const replaying = ["plugin", "replay", out, "--component", of(language, "served.wasm"), "--format", "json"];
  const pairs = [];
  // In turn: a machine that is slow for a while is slow for both.
  for (let round = 0; round < REPLAYS; round += 1) {
    const live = JSON.parse(tidegate(asked, PAYLOAD)).repeat.p50_us;
    const replay = JSON.parse(tidegate(replaying));
    pairs.push({ live, each: replay.call_us, ratio: live / replay.call_us, differences: replay.differences.length });
  }
  const typical = (key) => middle(pairs.map((pair) => pair[key]));
  row(language, us(typical("live")), us(typical("each")), Math.round(1e6 / typical("each")), typical("ratio").toFixed(2), typical("differences"));
}

console.log(`\nacks of ${CLIENTS} clients that send every ${EVERY_MS} ms, without a shadow and with one that is asked every call\n`);
row("", "p50 without", "with", "p99 without", "with", "p99, with : without", "memory without", "with", "answered alike");
row("---", "---", "---", "---", "---", "---", "---", "---", "---");
// Another `plugin.yaml`, once it is in force. The same one is no reload.
async function laying(language, text) {
  if (readFileSync(of(language, "plugin.yaml"), "utf8") === text) return;
  await server.reload(() => server.write(`plugins/${plugin(language)}/plugin.yaml`, text));
}
const resident = () => Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${server.process.pid}/status`, "utf8"))[1]) / 1024;
for (const language of ROUNDS > 0 ? LANGUAGES : []) {
  const without = readFileSync(of(language, "plugin.yaml"), "utf8");
  const kinds = { without: [], with: [] };
  const memory = { without: 0, with: 0 };
  let shadow;
  for (let round = 0; round < ROUNDS; round++) {
    for (const kind of ["without", "with"]) {
      const text = kind === "with" ? `${without}\nshadow: { version: next.wasm }\n` : without;
      const begun = kind === "with" ? server.logged("plugin.shadow", 60_000) : undefined;
      await laying(language, text);
      await begun;
      await load(language, 1);
      kinds[kind].push(await load(language, SECONDS));
      memory[kind] = Math.max(memory[kind], resident());
      if (kind === "with") {
        const answer = await fetch(`${server.url}/v1/plugins`, { headers: { authorization: `Bearer ${KEY}` } });
        shadow = (await answer.json()).plugins.find(({ name, state }) => name === plugin(language) && state === "active").shadow;
      }
    }
  }
  const [p50, p50s, p99, p99s] = [["without", 0.5], ["with", 0.5], ["without", 0.99], ["with", 0.99]].map(([kind, share]) => middle(kinds[kind].map((took) => at(took, share))));
  row(
    language, ms(p50), ms(p50s), ms(p99), ms(p99s), (p99s / p99).toFixed(2),
    `${memory.without.toFixed(0)} MiB`, `${memory.with.toFixed(0)} MiB`, `${shadow.same} of ${shadow.calls}, ${shadow.dropped} dropped`,
  );
  await laying(language, without);
}
await server.stop();
