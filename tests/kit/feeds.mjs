// What feeds a load to nodes from outside (`Load.start(…, { feed })` in `cluster.mjs`), and nodes that are fed so.

import { RedisLink } from "./redis-link.mjs";

// Producers that add CloudEvents to one stream, for each topic one with a connection of its own.
export class StreamFeed {
  #links = new Map();

  constructor(redis, stream = "load") {
    this.redis = redis;
    this.stream = stream;
  }

  // The id of the entry, once Redis has it.
  async publish(topic, n) {
    const [, , room] = topic.split(".");
    const event = { specversion: "1.0", id: String(n), source: "/load", type: "sensor.load", data: { room, n } };
    if (!this.#links.has(topic)) this.#links.set(topic, await RedisLink.open(this.redis.url));
    try {
      return await this.#links.get(topic).ask("XADD", this.stream, "*", "event", JSON.stringify(event));
    } catch (error) {
      this.#links.get(topic).close();
      this.#links.delete(topic);
      throw error;
    }
  }

  close() {
    for (const link of this.#links.values()) link.close();
  }
}

// The configuration of nodes that each read the whole stream, and know nothing of one another.
export const fedByStream = (more = {}) => (config, index, { redis }) => ({
  ...config,
  broker: undefined,
  node: `n${index}`,
  bus: [{ redis: { url: redis.url, stream: "load", timeout: "1s", ...more } }],
});

// And of those that share it, and tell one another what came of it.
export const sharingStream = (more = {}) => (config, index, cluster) => ({
  ...fedByStream({ mode: "shared", ...more })(config, index, cluster),
  broker: config.broker,
});
