// The nodes: one that is started again when it dies, and another that comes and goes.

import { fileURLToPath } from "node:url";

import { startTidegate } from "@tidegate/example-start/tidegate.mjs";

const config = fileURLToPath(new URL("config/tidegate.yaml", import.meta.url));
const RESTART_DELAY_MS = 1000;

const start = (name, listen, redis) => startTidegate({ config, listen, env: { NODE: name, REDIS_URL: redis.url } });

/** Runs a node; when it dies, it is started again at the same address, as a service manager would. */
export async function keepNode(name, listen, redis) {
  let node = await start(name, listen, redis);
  let isOver = false;
  const { url } = node;
  const keep = () =>
    node.child.once("exit", async () => {
      while (!isOver) {
        await new Promise((resolve) => setTimeout(resolve, RESTART_DELAY_MS));
        try {
          node = await start(name, new URL(url).host, redis);
          return isOver ? await node.stop() : keep();
        } catch (error) {
          console.error(`error: ${error.message}`);
        }
      }
    });
  keep();
  return {
    url,
    kill: () => node.child.kill("SIGKILL"),
    stop: async () => {
      isOver = true;
      await node.stop();
    },
  };
}

/** A node that is not there yet. `toggle` starts it, or stops it. */
export function guestNode(name, redis) {
  let node;
  const stop = async () => {
    const left = await node;
    node = undefined;
    await left?.stop();
  };
  const toggle = async () => {
    if (node) return await stop();
    node = start(name, "127.0.0.1:0", redis);
    await node;
  };
  return { toggle, stop };
}
