// What a handler costs in each language: a call on a warm instance, on a fresh one, memory, and a swap while clients talk.
// The handlers are those of `tidegate new plugin`, which say hello.

import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";

import { target } from "@tidegate/kit/paths.mjs";
import { Server, token } from "./scene.mjs";
import { open } from "./wire.mjs";

const LANGUAGES = ["rust", "c", "go", "typescript", "python"];
const CALLS = Number(process.env.CALLS ?? 5000);
const FRESH_CALLS = Number(process.env.FRESH_CALLS ?? 500);
const CLIENTS = 10;
const EVERY_MS = 5;
const PATIENCE_MS = 300_000;
const PAYLOAD = JSON.stringify({ name: "x".repeat(189) });
// So that no limit of time is measured: what is slow shall show.
const LIMITS = "limits: { wall: 10s, cpu: 2s, memory: 256MiB }";

// A server's directory with nothing in it but its configuration.
const laid = await Server.start({ plugins: false });
await laid.stop({ keep: true });
const { directory } = laid;
// What cargo built for one project serves the next.
mkdirSync(join(target, "e2e-new"), { recursive: true });
symlinkSync(join(target, "e2e-new"), join(directory, "plugins/target"));
const asked = process.argv.slice(2);
// `go` is no name of a module in Go.
const plugin = (language) => `hello-${language}`;
const languages = LANGUAGES.filter((language) => asked.length === 0 || asked.includes(language));

const tidegate = (args, input) =>
  execFileSync(process.env.TIDEGATE_BIN, args, {
    cwd: directory,
    input,
    env: { ...process.env, CARGO_TARGET_DIR: join(target, "e2e-new") },
    stdio: ["pipe", "pipe", "inherit"],
    maxBuffer: 1 << 26,
  }).toString();
const row = (...cells) => console.log(`| ${cells.join(" | ")} |`);
const us = (value) => (value >= 1000 ? `${(value / 1000).toFixed(1)} ms` : `${value.toFixed(1)} µs`);
const mib = (bytes) => `${(bytes / (1 << 20)).toFixed(2)} MiB`;
const manifest = (language) => join(directory, "plugins", plugin(language), "plugin.yaml");

for (const language of languages) {
  tidegate(["new", "plugin", plugin(language), "--lang", language, "--kind", "handler"]);
  const text = readFileSync(manifest(language), "utf8").replace(/^limits:.*$/m, "");
  writeFileSync(manifest(language), `${text}\n${LIMITS}\n`);
  tidegate(["plugin", "build", plugin(language)]);
}

console.log(`a call of the handler, 200 bytes of payload, ${CALLS} times warm and ${FRESH_CALLS} times fresh\n`);
row("", "warm p50", "p99", "fresh p50", "p99", "memory an instance", "component", "compiled", "compiling");
row("---", "---", "---", "---", "---", "---", "---", "---", "---");
for (const language of languages) {
  const call = (calls) => {
    const args = ["plugin", "call", plugin(language), "handler", "--input", "-", "--topic", "greetings", "--repeat", String(calls), "--format", "json"];
    return JSON.parse(tidegate(args, PAYLOAD));
  };
  const seen = JSON.parse(tidegate(["plugin", "inspect", plugin(language), "--format", "json"]));
  const warm = call(CALLS);
  const pooled = readFileSync(manifest(language), "utf8");
  writeFileSync(manifest(language), `${pooled}instances: { isolation: per-call }\n`);
  const fresh = call(FRESH_CALLS);
  writeFileSync(manifest(language), pooled);
  row(
    language,
    us(warm.repeat.p50_us), us(warm.repeat.p99_us), us(fresh.repeat.p50_us), us(fresh.repeat.p99_us),
    mib(warm.memory_bytes), mib(seen.bytes), mib(seen.compiled_bytes), us(seen.compile_us),
  );
}

// The same code under another digest: a component may end with a section that nobody reads.
function unlike(component, mark) {
  const name = Buffer.from(`bench-${mark}`);
  return Buffer.concat([component, Buffer.from([0, name.length + 1, name.length]), name]);
}

const channels = languages
  .map((language) => `  ${language}.{room}: { scope: public, payload: {}, inbound: { payload: true, handler: ${plugin(language)} } }\n`)
  .join("");
for (const language of languages) {
  // The component alone: nothing here is built any more.
  const text = readFileSync(manifest(language), "utf8");
  const component = join(directory, "plugins", plugin(language), /^component:\s*(\S+)/m.exec(text)[1]);
  writeFileSync(join(directory, "plugins", plugin(language), "served.wasm"), readFileSync(component));
  writeFileSync(manifest(language), text.replace(/^component:.*$/m, "component: served.wasm").replace(/^build:.*$/m, ""));
}
writeFileSync(join(directory, "channels/load.yaml"), `feature: load\nchannels:\n${channels}`);
const server = await Server.start({ directory });

console.log(`\na swap, from the file written to the first ack of the new version, while ${CLIENTS} clients send a message every ${EVERY_MS} ms\n`);
row("", "compiled again", "from the cache", "longest ack meanwhile", "longest ack without a swap");
row("---", "---", "---", "---", "---");
for (const [turn, language] of languages.entries()) {
  const waiting = Array.from({ length: CLIENTS }, () => new Map());
  let most = 0;
  let newest;
  const clients = await Promise.all(waiting.map((sentAt, index) => open({
    url: server.url,
    token: token(`u${index}`),
    topic: `${language}.${index}`,
    answered(id, packet) {
      if (!packet.includes('"ok":true')) throw new Error(packet);
      most = Math.max(most, performance.now() - sentAt.get(id));
      if (newest && sentAt.get(id) >= newest.at) newest.resolve();
      sentAt.delete(id);
    },
    closed() {},
  })));
  const sending = setInterval(() => {
    for (const [index, client] of clients.entries()) waiting[index].set(client.send(() => PAYLOAD), performance.now());
  }, EVERY_MS);
  const path = `plugins/${plugin(language)}/served.wasm`;
  const first = readFileSync(join(server.directory, path));
  const swap = async (content) => {
    const began = performance.now();
    await server.reload(() => server.write(path, content), "reload.applied", PATIENCE_MS);
    await new Promise((resolve) => (newest = { at: performance.now(), resolve }));
    newest = undefined;
    return performance.now() - began;
  };
  await pause(1000);
  most = 0;
  await pause(3000);
  const without = most;
  most = 0;
  const anew = await swap(unlike(first, `${process.pid}-${turn}`));
  const cached = await swap(first);
  row(language, `${Math.round(anew)} ms`, `${Math.round(cached)} ms`, `${most.toFixed(1)} ms`, `${without.toFixed(1)} ms`);
  clearInterval(sending);
  await pause(200);
  for (const client of clients) client.terminate();
}
await server.stop();
