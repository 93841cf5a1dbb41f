// The application: sign-in, messages over HTTP, and the page.

import { createAdaptorServer } from "@hono/node-server";
import { serveStatic } from "@hono/node-server/serve-static";
import { Hono } from "hono";
import { deleteCookie, getCookie, setCookie } from "hono/cookie";
import { timingSafeEqual } from "node:crypto";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

import { Database, Refused } from "./database.mjs";
import { Logins } from "./logins.mjs";
import { Messages } from "./messages.mjs";
import { Revocations } from "./revocations.mjs";

const COOKIE = "team_login";
const BODY_BYTES_MAX = 64 * 1024;

const client = join(dirname(createRequire(import.meta.url).resolve("socket.io-client/package.json")), "dist/socket.io.esm.min.js");
const page = fileURLToPath(new URL("../page", import.meta.url));

async function bodyOf(context) {
  const text = await context.req.text();
  if (text.length > BODY_BYTES_MAX) throw Refused.invalid("the body is too large");
  try {
    return Object(JSON.parse(text || "{}"));
  } catch {
    throw Refused.invalid("the body is not JSON");
  }
}

function refusal(error, context) {
  if (!(error instanceof Refused)) console.error(error);
  const { code = "internal", message, status = 500, retry = true } = error instanceof Refused ? error : { message: "a mistake of the application" };
  return context.json({ error: { code, message, retry } }, status);
}

// What the page of a user begins with.
const opened = async (messages, { token, expires_in, me }) => ({
  token, expires_in, me, people: me.role === "supervisor" ? await messages.people(me.area) : [],
});

function loginRoutes(application, { logins, messages }) {
  application.post("/api/login", async (context) => {
    const { cookie, ...login } = await logins.begin(await bodyOf(context));
    setCookie(context, COOKIE, cookie, { httpOnly: true, sameSite: "Strict", path: "/api" });
    return context.json(await opened(messages, login));
  });
  application.post("/api/token", async (context) => {
    const { idle_s } = await bodyOf(context);
    return context.json(await opened(messages, await logins.renew(getCookie(context, COOKIE), idle_s)));
  });
  application.post("/api/password", async (context) =>
    context.json(await opened(messages, await logins.changePassword(getCookie(context, COOKIE), await bodyOf(context)))));
  application.post("/api/logout", async (context) => {
    await logins.end(getCookie(context, COOKIE));
    deleteCookie(context, COOKIE, { path: "/api" });
    return context.body(null, 204);
  });
}

function messageRoutes(application, { logins, messages, pluginKey }) {
  const user = (context) => logins.userOf(getCookie(context, COOKIE));
  application.get("/api/topics/:topic/messages", async (context) => {
    const after = context.req.query("after");
    return context.json(await messages.read(await user(context), context.req.param("topic"), after === undefined ? undefined : Number(after)));
  });
  application.post("/api/messages", async (context) => {
    const { id, area } = await user(context);
    const { to, text, key } = await bodyOf(context);
    return context.json({ number: await messages.post({ author: id, area, to, text, key }) }, 201);
  });
  // From Tidegate's plugin, which says who wrote: the gates have judged that.
  const expected = Buffer.from(`Bearer ${pluginKey}`);
  application.post("/internal/messages", async (context) => {
    const shown = Buffer.from(context.req.header("authorization") ?? "");
    if (shown.length !== expected.length || !timingSafeEqual(shown, expected)) throw Refused.unauthenticated("for the plugin");
    return context.json({ number: await messages.post(await bodyOf(context)) }, 201);
  });
}

/**
 * Serves on `port` of 127.0.0.1. `realtime` is the address of Tidegate for pages, or nothing: then they work without.
 * Returns `{ url, stop }`.
 */
export async function startApplication({ port, databaseUrl, tidegate, realtime = tidegate, secrets, idle_s, absolute_s }) {
  const database = new Database(databaseUrl);
  const revocations = new Revocations({ database, tidegate, key: secrets.apiKey });
  const parts = {
    messages: new Messages(database),
    logins: new Logins({ database, revocations, secret: secrets.jwt, idle_s, absolute_s }),
    pluginKey: secrets.plugin,
  };
  const application = new Hono().onError(refusal);
  application.get("/api/settings", (context) => context.json({ realtime: realtime || null }));
  loginRoutes(application, parts);
  messageRoutes(application, parts);
  application.get("/socket.io.js", (context) => context.body(readFileSync(client), 200, { "content-type": "text/javascript" }));
  application.use("/*", serveStatic({ root: page }));

  const server = createAdaptorServer({ fetch: application.fetch });
  server.listen(port, "127.0.0.1");
  await once(server, "listening").catch((error) => {
    throw error.code === "EADDRINUSE" ? new Error(`port ${port} is taken\nhint: PORT=${port + 1} npm start`) : error;
  });
  revocations.deliver();
  const stop = async () => {
    revocations.stop();
    server.close();
    server.closeAllConnections();
    await database.close();
  };
  return { url: `http://127.0.0.1:${server.address().port}`, stop };
}
