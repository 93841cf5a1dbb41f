// Serves the page and the stock client.

import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
const files = {
  "/": ["text/html", readFileSync(new URL("index.html", import.meta.url))],
  "/socket.io.js": ["text/javascript", readFileSync(require.resolve("socket.io-client/dist/socket.io.js"))],
};

/** Resolves to `{ url, stop }`. */
export async function servePage(port) {
  const page = createServer((request, answer) => {
    const [type, content] = files[new URL(request.url, "http://page").pathname] ?? [];
    if (!type) return answer.writeHead(404).end("not found");
    answer.writeHead(200, { "content-type": type }).end(content);
  });
  page.listen(port, "127.0.0.1");
  await once(page, "listening");
  const stop = async () => {
    page.closeAllConnections();
    page.close();
  };
  return { url: `http://127.0.0.1:${page.address().port}/`, stop };
}
