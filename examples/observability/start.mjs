// Starts a Redis, a node and the page, and makes trouble on request: type a word and Enter.
//
// LISTEN is the node's address, 127.0.0.1:3000 when left out; PORT is the page's, 8080 when left out.

import { randomBytes } from "node:crypto";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

import { startRedis } from "@tidegate/example-start/redis.mjs";
import { tidegate } from "@tidegate/example-start/tidegate.mjs";
import { together } from "@tidegate/example-start/together.mjs";

import { guestNode, keepNode } from "./nodes.mjs";
import { servePage } from "./page.mjs";
import { curious, fault, intruder, letter } from "./trouble.mjs";

const { LISTEN: listen = "127.0.0.1:3000", PORT: port = "8080" } = process.env;
process.env.TIDEGATE_JWT_SECRET ??= randomBytes(32).toString("hex");
const apiKey = (process.env.TIDEGATE_API_KEY ??= randomBytes(32).toString("hex"));

function token(user, redis, ...more) {
  Object.assign(process.env, { NODE: "token", REDIS_URL: redis.url });
  const config = fileURLToPath(new URL("config/tidegate.yaml", import.meta.url));
  return tidegate("token", "--config", config, "--ttl", "12h", "--user", user, ...more).trim();
}

await together(async (add) => {
  const redis = add(await startRedis());
  const [olga, alice] = [token("olga", redis, "--roles", "operator"), token("alice", redis)];
  const node = add(await keepNode("node-1", listen, redis));
  const guest = add(guestNode("node-2", redis));
  const page = add(await servePage(Number(port)));
  const words = {
    intruder: ["a client with a bad token", () => intruder(node.url)],
    curious: ["a user who is no operator wants to see this", () => curious(node.url, alice)],
    fault: ["a plugin fails", () => fault(node.url, alice)],
    letter: ["an event cannot cross the bridge", () => letter(node.url, apiKey)],
    node: ["a second node joins; again: it goes", () => guest.toggle()],
    kill: ["the first node is killed, and started again", () => node.kill()],
  };
  console.log(`\nopen ${page.url}?server=${node.url}#${olga}`);
  console.log(`the same for a user who is no operator: ${page.url}?server=${node.url}#${alice}`);
  console.log("\ntype a word and Enter:");
  for (const [word, [what]] of Object.entries(words)) console.log(`  ${word.padEnd(10)}${what}`);
  createInterface({ input: process.stdin }).on("line", async (line) => {
    const [, make] = words[line.trim()] ?? [];
    if (!make) return line.trim() && console.log(`unknown: ${line.trim()}`);
    try {
      console.log(`${line.trim()}: ${(await make()) ?? "done"}`);
    } catch (error) {
      console.error(`${line.trim()}: ${error.message}`);
    }
  });
});
