// A port of 127.0.0.1 that nobody uses now, and that the system gives to no outgoing connection: while a server is down,
// nothing takes its port. Who looks for a server that is down could even be connected to itself.

import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer } from "node:net";

/** The first port for a server of a test; the system's own servers have those below. */
const PORT_MIN = 12_000;

export async function freePort() {
  for (let tries = 0; tries < 100; tries += 1) {
    const port = PORT_MIN + Math.floor(Math.random() * (firstOfSystem() - PORT_MIN));
    if (await isFree(port)) return port;
  }
  throw new Error("no port is free");
}

function firstOfSystem() {
  try {
    const [first] = readFileSync("/proc/sys/net/ipv4/ip_local_port_range", "utf8").trim().split(/\s+/);
    return Math.max(Number(first), PORT_MIN + 1_000);
  } catch {
    return 32_768;
  }
}

async function isFree(port) {
  const holder = createServer().listen(port, "127.0.0.1");
  try {
    await once(holder, "listening");
  } catch {
    return false;
  }
  holder.close();
  await once(holder, "close");
  return true;
}
