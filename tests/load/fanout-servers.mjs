// The servers of the fan-out benchmark. Each takes a publication by the same HTTP request, and sends it to the subscribers
// of its topic.

import { execFileSync, fork, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

import "./tidegate-bin.mjs";
import { KEYS, Server } from "@tidegate/kit/harness.mjs";
import { target } from "@tidegate/kit/paths.mjs";

export const TOPIC = "load.positions";
const UWS = "@btc-vision/uwebsockets.js@20.57.0";
const UWS_GLIBC = "2.38";

// What gate 4 checks of every publication.
const CHANNELS = `
feature: load
channels:
  ${TOPIC}:
    scope: public
    payload:
      type: object
      required: [seq, device, at, lat, lon]
      properties:
        seq: { type: integer, minimum: 1 }
        device: { type: string, pattern: "^[a-z]+-[0-9]{4}$" }
        at: { type: string, maxLength: 32 }
        lat: { type: number, minimum: -90, maximum: 90 }
        lon: { type: number, minimum: -180, maximum: 180 }
        speed: { type: number, minimum: 0 }
        note: { type: string, maxLength: 256 }
      additionalProperties: false
`;

const here = (file) => fileURLToPath(new URL(file, import.meta.url));
const require = createRequire(import.meta.url);
const version = (name) => require(`${name}/package.json`).version;
const crate = (name) => new RegExp(`name = "${name}"\nversion = "(.*)"`).exec(readFileSync(here("fanout/Cargo.lock"), "utf8"))[1];

const builds = join(target, "fanout");
export const program = (name) => join(builds, "release", name);

export function build() {
  const arguments_ = ["build", "--release", "--locked", "--quiet", "--manifest-path", here("fanout/Cargo.toml")];
  execFileSync("cargo", arguments_, { stdio: "inherit", env: { ...process.env, CARGO_TARGET_DIR: builds } });
}

async function inRust(name, ...args) {
  const server = spawn(program(name), args, { stdio: ["ignore", "pipe", "inherit"] });
  const [url] = await once(createInterface({ input: server.stdout }), "line");
  return { url, pid: server.pid, stop: () => server.kill() };
}

async function inNode(engine) {
  const server = fork(here("fanout-node.mjs"), [engine]);
  const [{ url }] = await once(server, "message");
  return { url, pid: server.pid, stop: () => server.kill() };
}

async function tidegate() {
  const channels = { "load.yaml": CHANNELS };
  const server = await Server.start({ plugins: false, channels, env: { RUST_LOG: "info" } });
  return { url: server.url, pid: server.process.pid, key: KEYS.backend, stop: () => server.stop() };
}

// Why uWebSockets.js cannot be loaded here, or nothing. It is large, so it is installed only when it is asked for.
function missingUws() {
  const glibc = process.report.getReport().header.glibcVersionRuntime;
  if (!glibc || glibc.localeCompare(UWS_GLIBC, "en", { numeric: true }) < 0) {
    return `uWebSockets.js needs glibc ${UWS_GLIBC}, and this is ${glibc ?? "another library"}`;
  }
  try {
    require.resolve(UWS.replace(/@[^@]*$/, ""));
  } catch {
    execFileSync("npm", ["install", "--no-save", "--no-audit", "--no-fund", "--silent", UWS], { cwd: here("."), stdio: "inherit" });
  }
}

// `speaks` is the protocol, `missing` says why a server cannot run here, `listed: false` is run only when it is named.
export const servers = {
  tidegate: {
    title: "Tidegate", speaks: "socket.io", start: tidegate,
    version: () => execFileSync(process.env.TIDEGATE_BIN, ["--version"], { encoding: "utf8" }).trim(),
  },
  node: {
    title: "Node socket.io, ws", speaks: "socket.io", start: () => inNode("ws"),
    version: () => `socket.io ${version("socket.io")}, ws ${version("ws")}, Node ${process.version}`,
  },
  uws: {
    title: "Node socket.io, uWebSockets.js", speaks: "socket.io", start: () => inNode("uws"), missing: missingUws,
    version: () => `socket.io ${version("socket.io")}, ${UWS}, Node ${process.version}`,
  },
  socketioxide: {
    title: "socketioxide", speaks: "socket.io", start: () => inRust("socketioxide"),
    version: () => `socketioxide ${crate("socketioxide")}`,
  },
  floor: {
    title: "floor: axum WebSocket, shared text", speaks: "bare", start: () => inRust("floor"),
    version: () => `axum ${crate("axum")}, tungstenite ${crate("tungstenite")}`,
  },
  write: {
    title: "one write(2) a delivery", speaks: "bare", start: () => inRust("bare"), version: () => "",
  },
  losing: { title: "loses one in 10,000", speaks: "bare", start: () => inRust("bare", "loses"), version: () => "", listed: false },
  repeating: { title: "repeats one in 10,000", speaks: "bare", start: () => inRust("bare", "repeats"), version: () => "", listed: false },
};
