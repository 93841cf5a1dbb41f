// The web application: sessions, the REST API of sources, and the page. It knows nothing of sockets.

import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

import { Refused } from "./refused.mjs";
import { signIn, signOut, userOf, useSession } from "./sessions.mjs";
import * as sources from "./sources.mjs";

const BODY_BYTES_MAX = 16 * 1024;
const UUID = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}";

const file = (path) => readFileSync(new URL(path, import.meta.url));
// The package names only one of its builds; the module for browsers is beside it.
const client = join(dirname(createRequire(import.meta.url).resolve("socket.io-client/dist/socket.io.js")), "socket.io.esm.min.js");
const FILES = {
  "/test/realtime": ["text/html", file("page/index.html")],
  "/page.mjs": ["text/javascript", file("page/page.mjs")],
  "/realtime.mjs": ["text/javascript", file("page/realtime.mjs")],
  "/list.mjs": ["text/javascript", file("page/list.mjs")],
  "/page.css": ["text/css", file("page/page.css")],
  "/socket.io.mjs": ["text/javascript", readFileSync(client)],
};

async function bodyOf(request) {
  if (!/^application\/json\b/.test(request.headers["content-type"] ?? "")) throw new Refused(415, "json_expected");
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

// Each route: what it answers to, and a function of the request and what the path names.
function routes({ pool, realtimePort }) {
  const of = (work) => async (request, ...names) => ({ body: await work(await userOf(pool, request), request, ...names) });
  return [
    ["GET", /^\/api\/realtime$/, async () => ({ body: { port: realtimePort() } })],
    ["POST", /^\/api\/sign-in$/, async (request) => ({ cookie: await signIn(pool, (await bodyOf(request)).email), body: {} })],
    ["POST", /^\/api\/sign-out$/, async (request) => ({ cookie: await signOut(pool, request), body: {} })],
    ["GET", /^\/api\/session$/, async (request) => {
      const { session, cookie } = await useSession(pool, request);
      return { cookie, body: session };
    }],
    ["GET", /^\/api\/vaults\/([\w-]+)$/, of((user, _, vaultId) => sources.read(pool, vaultId, user))],
    ["POST", /^\/api\/vaults\/([\w-]+)\/sources$/, of(async (user, request, vaultId) =>
      sources.create(pool, vaultId, user, sources.judged(await bodyOf(request))))],
    ["PUT", new RegExp(`^/api/vaults/([\\w-]+)/sources/(${UUID})$`), of(async (user, request, vaultId, id) =>
      sources.update(pool, vaultId, user, id, sources.judged(await bodyOf(request))))],
    ["DELETE", new RegExp(`^/api/vaults/([\\w-]+)/sources/(${UUID})$`), of((user, _, vaultId, id) =>
      sources.remove(pool, vaultId, user, id))],
  ];
}

async function answerOf(table, request) {
  const { pathname } = new URL(request.url, "http://app");
  for (const [method, path, work] of table) {
    const [, ...names] = path.exec(pathname) ?? [];
    if (method === request.method && path.test(pathname)) return await work(request, ...names);
  }
  throw new Refused(404, "not_found");
}

/** Listens on `port`; `realtimePort` says where Tidegate does, on the same host. */
export async function startApp({ pool, port, realtimePort }) {
  const table = routes({ pool, realtimePort });
  const server = createServer(async (request, response) => {
    const { pathname } = new URL(request.url, "http://app");
    if (pathname === "/") return response.writeHead(302, { location: "/test/realtime?vaultId=tides" }).end();
    if (FILES[pathname]) {
      const [type, content] = FILES[pathname];
      return response.writeHead(200, { "content-type": type }).end(content);
    }
    try {
      const { body, cookie } = await answerOf(table, request);
      response.writeHead(200, { "content-type": "application/json", "cache-control": "no-store", ...(cookie ? { "set-cookie": cookie } : {}) });
      response.end(JSON.stringify(body));
    } catch (error) {
      // What is no refusal is the database: away, or slower than a request may wait.
      if (!(error instanceof Refused)) console.error(`${request.method} ${pathname}: ${error.message}`);
      const { status, code } = error instanceof Refused ? error : { status: 503, code: "unavailable" };
      response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify({ code }));
    }
  });
  await new Promise((resolve, reject) => server.once("error", reject).listen(port, "127.0.0.1", resolve)).catch((error) => {
    throw new Error(`the application cannot listen: ${error.message}\nhint: PORT chooses another port`);
  });
  const stop = () =>
    new Promise((resolve) => {
      server.close(resolve);
      server.closeAllConnections();
    });
  return { port: server.address().port, stop };
}
