// A Redis for an example: the one of REDIS_URL, else a fresh one that ends with the example.

import { randomBytes } from "node:crypto";
import { connect } from "node:net";

import { findProgram, freePort, runServer, temporaryDirectory } from "./local-server.mjs";

/** `{ url, isLocal, stop }`. */
export async function startRedis(url = process.env.REDIS_URL) {
  if (url) return { url, isLocal: false, stop: async () => {} };
  const program = findProgram("redis-server", { variable: "REDIS_URL", packageName: "redis-server" });
  const directory = temporaryDirectory("example-redis");
  const password = randomBytes(16).toString("hex");
  const port = await freePort();
  const args = ["--port", port, "--bind", "127.0.0.1", "--dir", directory, "--save", "", "--requirepass", password].map(String);
  // It loads nothing, so it answers as soon as it listens.
  const isReady = () =>
    new Promise((resolve) => {
      const socket = connect(port, "127.0.0.1", () => resolve(true));
      socket.once("error", () => resolve(false)).once("connect", () => socket.end());
    });
  const { stop } = await runServer({ name: "Redis", program, args, directory, isReady });
  return { url: `redis://:${password}@127.0.0.1:${port}`, isLocal: true, stop };
}
