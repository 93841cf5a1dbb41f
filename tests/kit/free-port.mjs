// A port of 127.0.0.1 that nobody uses now.

import { once } from "node:events";
import { createServer } from "node:net";

export async function freePort() {
  const holder = createServer().listen(0, "127.0.0.1");
  await once(holder, "listening");
  const { port } = holder.address();
  holder.close();
  await once(holder, "close");
  return port;
}
