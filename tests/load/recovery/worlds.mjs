// Where a schedule is played: a server, and what can be done to it. Most schedules share a world; a world that is
// restarted or loses its history is one schedule's own.

import { fork } from "node:child_process";
import { once } from "node:events";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";

import { Server } from "@tidegate/kit/harness.mjs";
import { RedisLink } from "@tidegate/kit/redis-link.mjs";
import { RedisServer } from "@tidegate/kit/services.mjs";
import { IDLE_MS, SHORT_MESSAGES } from "./schedule.mjs";

const KEY = "torture-key-0123456789abcdef";
const LARGE_ENOUGH = "16MiB";
// A stock client whose upgrade fails while its polling pauses neither polls nor closes: only the missing pings tell it.
const PING_TIMEOUT = "5s";

const channels = (more) => {
  const open = { scope: "authenticated", payload: {} };
  const history = (messages) => ({ history: { messages, bytes: LARGE_ENOUGH, ...more } });
  return {
    "recovery.yaml": JSON.stringify({
      feature: "recovery",
      channels: {
        "feed.{id}": { ...open, ...history(1000) },
        "short.{id}": { ...open, ...history(SHORT_MESSAGES) },
        "plain.{id}": open,
        "editors.{id}": { ...open, scope: { role: "editor" }, ...history(1000) },
      },
    }),
  };
};

async function send(address, path, body) {
  const headers = { "content-type": "application/json", authorization: `Bearer ${KEY}` };
  const response = await fetch(`http://${address}${path}`, { method: "POST", headers, body: JSON.stringify(body) });
  return { ok: response.status < 300, status: response.status, ...(await response.json()) };
}

class World {
  get isOwn() {
    return ["restarted", "forgetful"].includes(this.kind);
  }

  publish = (topic, payload) => send(this.address, `/v1/channels/${topic}/publish`, payload);
  revoke = (body) => send(this.address, "/v1/revoke", body);
}

export class TidegateWorld extends World {
  static async start(kind) {
    const world = new TidegateWorld();
    world.kind = kind;
    if (["redis", "forgetful"].includes(kind)) world.redis = await RedisServer.start();
    const isBrief = kind === "brief";
    const transport = { ping_interval: "300ms", ping_timeout: PING_TIMEOUT, ...(isBrief ? { recovery: "2s" } : {}) };
    const config = (config) => ({
      ...config, transport, ...(world.redis ? { broker: world.redis.url } : {}),
      api_keys: [...config.api_keys, { name: "torture", key: KEY, may: ["publish", "revoke", "read"] }],
    });
    world.server = await Server.start({ plugins: false, channels: channels(isBrief ? { ttl: "2s" } : {}), config });
    world.address = world.server.address;
    return world;
  }

  static lacks = () => false;

  // It is killed, and another one is there on the same port.
  async restart() {
    const { server } = this;
    server.signal("SIGKILL");
    await server.ended();
    this.server = await Server.start({ directory: server.directory, listen: server.address });
  }

  // Every history is lost, and sessions are not.
  async forget() {
    const link = await RedisLink.open(this.redis.url);
    await link.ask("FLUSHALL");
    link.close();
  }

  // Nothing happens for longer than a session waits.
  idle = () => pause(IDLE_MS);

  async stop() {
    await this.server.stop();
    await this.redis?.stop();
  }
}

export class NodeWorld extends World {
  static async start(kind) {
    const world = new NodeWorld();
    world.kind = kind;
    await world.#begin(0);
    return world;
  }

  // Its histories and its sessions are one.
  static lacks = (kind) => kind === "forgetful";

  async #begin(port) {
    this.process = fork(fileURLToPath(new URL("node-server.mjs", import.meta.url)), [String(port)]);
    const [listening] = await once(this.process, "message");
    this.address = `127.0.0.1:${listening}`;
  }

  // Its clock is moved for everybody there.
  get isOwn() {
    return super.isOwn || this.kind === "brief";
  }

  async restart() {
    await this.stop();
    await this.#begin(Number(this.address.split(":")[1]));
  }

  idle = () => send(this.address, "/clock", { ms: 150_000 });

  async stop() {
    const ended = once(this.process, "exit");
    this.process.kill("SIGKILL");
    await ended;
  }
}
