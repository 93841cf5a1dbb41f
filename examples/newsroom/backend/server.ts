// The backend: articles over HTTP, and the page. It knows Tidegate as a publisher only.

import { readFileSync } from "node:fs";
import { createServer, type IncomingMessage } from "node:http";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import { dirname, join } from "node:path";

import type { Publisher } from "@tidegate/publisher";

import type { Channels } from "./channels.js";
import { announceWaiting, type Draft, publishArticle } from "./publish-article.js";
import { signIn, userOf } from "./sign-in.js";
import { Store } from "./store.js";

const ANNOUNCE_INTERVAL_MS = 2_000;
const BODY_BYTES_MAX = 16 * 1024;

// Compiled, this file is in dist/.
const page = (name: string) => readFileSync(new URL(`../../page/${name}`, import.meta.url));
const client = join(dirname(createRequire(import.meta.url).resolve("socket.io-client/dist/socket.io.js")), "socket.io.esm.min.js");
const FILES: Record<string, [type: string, content: Buffer]> = {
  "/": ["text/html; charset=utf-8", page("index.html")],
  "/page.mjs": ["text/javascript", page("page.mjs")],
  "/socket.io.mjs": ["text/javascript", readFileSync(client)],
};

/** A no, with a status and a code. */
class Refused extends Error {
  constructor(readonly status: number, readonly code: string) {
    super(code);
  }
}

async function bodyOf(request: IncomingMessage): Promise<Record<string, unknown>> {
  let text = "";
  for await (const chunk of request) {
    text += chunk;
    if (text.length > BODY_BYTES_MAX) throw new Refused(413, "payload_too_large");
  }
  try {
    return Object(JSON.parse(text));
  } catch {
    throw new Refused(400, "invalid_json");
  }
}

function draftOf({ title, section }: Record<string, unknown>, author: string): Draft {
  const isTitle = typeof title === "string" && title.length > 0 && title.length <= 200;
  if (!isTitle || (section !== "culture" && section !== "sports")) throw new Refused(422, "invalid_article");
  return { title, section, author };
}

export interface Settings {
  database: string;
  port: number;
  secret: string;
  tidegate: Publisher<Channels>;
  /** Where pages find Tidegate. */
  realtime: () => string;
}

export async function startBackend({ database, port, secret, tidegate, realtime }: Settings) {
  const articles = new Store(database);
  await articles.prepare();
  const parts = { articles, tidegate };

  async function answer(request: IncomingMessage): Promise<unknown> {
    switch (`${request.method} ${request.url}`) {
      case "GET /api/realtime":
        return { url: realtime() };
      case "POST /api/sign-in": {
        const signedIn = signIn(String((await bodyOf(request)).name), secret);
        if (!signedIn) throw new Refused(401, "unauthenticated");
        return signedIn;
      }
      case "GET /api/articles":
        return await articles.newest();
      case "POST /api/articles": {
        const user = userOf(request.headers.authorization, secret);
        if (!user) throw new Refused(401, "unauthenticated");
        return await publishArticle(parts, draftOf(await bodyOf(request), user));
      }
      default:
        throw new Refused(404, "not_found");
    }
  }

  const server = createServer(async (request, response) => {
    const file = FILES[request.url!.split("?")[0]!];
    if (file) return response.writeHead(200, { "content-type": file[0] }).end(file[1]);
    let [status, body]: [number, unknown] = [200, undefined];
    try {
      body = await answer(request);
    } catch (error) {
      // What is no refusal is the store: away, or slower than a request may wait.
      if (!(error instanceof Refused)) console.error(`${request.method} ${request.url}: ${error}`);
      [status, body] = error instanceof Refused ? [error.status, { code: error.code }] : [503, { code: "unavailable" }];
    }
    return response.writeHead(status, { "content-type": "application/json", "cache-control": "no-store" }).end(JSON.stringify(body));
  });
  await new Promise<void>((resolve, reject) => server.once("error", reject).listen(port, "127.0.0.1", resolve));

  // What Tidegate did not hear while it was away, or while this program was.
  let stopped = false;
  let timer: NodeJS.Timeout;
  const announce = async () => {
    await announceWaiting(parts).catch((error: Error) => console.error(`not announced yet: ${error.message}`));
    if (!stopped) timer = setTimeout(announce, ANNOUNCE_INTERVAL_MS);
  };
  let announcing = announce();
  return {
    port: (server.address() as AddressInfo).port,
    async stop() {
      stopped = true;
      await announcing;
      clearTimeout(timer);
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await articles.close();
    },
  };
}
