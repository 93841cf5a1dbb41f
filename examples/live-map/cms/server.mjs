// The application: a small server with the resources of Directus that this example needs (a login with a session's cookie,
// `/users/me`, items), and the page. It knows nothing of positions.
//
//   PORT, DATABASE_URL; FAST_URL, SLOW_URL and BYTES_PER_SECOND: where the page finds Tidegate

import { randomBytes, timingSafeEqual } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";

import pg from "pg";

import { hashed } from "./database.mjs";

const COOKIE = "directus_session_token";
const SESSION_HOURS = 12;
const BODY_BYTES = 4096;
const FLAGS = ["green", "yellow", "red"];

const database = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 4, connectionTimeoutMillis: 1500, query_timeout: 1500 });
database.on("error", () => {});
const rows = async (sql, ...values) => (await database.query(sql, values)).rows;

const require = createRequire(import.meta.url);
const page = (name) => readFileSync(new URL(`../page/${name}`, import.meta.url));
const script = (content) => ["text/javascript", content];
const FILES = {
  "/": ["text/html", page("index.html")],
  "/main.mjs": script(page("main.mjs")),
  "/map.mjs": script(page("map.mjs")),
  "/reader.mjs": script(page("reader.mjs")),
  "/socket.io.js": script(readFileSync(require.resolve("socket.io-client/dist/socket.io.js"))),
};

class Refused extends Error {
  constructor(status, code) {
    super(code);
    Object.assign(this, { status, code });
  }
}

async function body(request) {
  let text = "";
  for await (const chunk of request.setEncoding("utf8")) {
    text += chunk;
    if (text.length > BODY_BYTES) throw new Refused(413, "CONTENT_TOO_LARGE");
  }
  try {
    return JSON.parse(text);
  } catch {
    throw new Refused(400, "INVALID_PAYLOAD");
  }
}

async function login(request) {
  const { email, password } = await body(request);
  const [user] = await rows("select id, password from users where email = $1", String(email));
  const expected = user?.password ?? hashed("nobody");
  const isRight = timingSafeEqual(Buffer.from(hashed(String(password), expected.split(":")[0])), Buffer.from(expected));
  if (!user || !isRight) throw new Refused(401, "INVALID_CREDENTIALS");
  const token = randomBytes(32).toString("base64url");
  await rows(`insert into sessions values ($1, $2, now() + interval '${SESSION_HOURS} h')`, token, user.id);
  const cookie = `${COOKIE}=${token}; Path=/; HttpOnly; SameSite=Lax; Max-Age=${SESSION_HOURS * 3600}`;
  return { headers: { "set-cookie": cookie }, data: null };
}

async function me(request) {
  const [, token] = new RegExp(`(?:^|; )${COOKIE}=([^;]*)`).exec(request.headers.cookie ?? "") ?? [];
  const [user] = token === undefined ? [] : await rows(
    `select u.id, u.email, u.role, u.organisation from sessions s join users u on u.id = s.user_id
     where s.token = $1 and s.expires > now()`, token);
  if (!user) throw new Refused(401, "INVALID_CREDENTIALS");
  return { ...user, role: { name: user.role } };
}

async function events(request) {
  const { organisation } = await me(request);
  return await rows("select id, name, road from events where organisation = $1 order by name", organisation);
}

// What race control says is kept and told in one transaction: the nodes of Tidegate read the outbox.
async function say(request) {
  const { id, role, organisation } = await me(request);
  const { event, flag, text, ...unknown } = await body(request);
  const isValid = FLAGS.includes(flag) && typeof text === "string" && text !== "" && text.length <= 200;
  if (!isValid || Object.keys(unknown).length > 0) throw new Refused(400, "INVALID_PAYLOAD");
  if (role.name !== "marshal") throw new Refused(403, "FORBIDDEN");
  const [said] = await rows(
    `with of_event as (update events set notices = notices + 1 where id = $1 and organisation = $2 returning id, notices),
     said as (insert into notices select id, notices, $3, $4, $5 from of_event returning event, n, flag, text)
     select n, tidegate_publish('rally.notice', jsonb_build_object('event', event, 'notice', to_jsonb(said) - 'event'), key => event)
     from said`,
    String(event), organisation, flag, text, id);
  if (!said) throw new Refused(403, "FORBIDDEN");
  return { n: said.n };
}

const RESOURCES = {
  "POST /auth/login": login,
  "GET /users/me": async (request) => ({ data: await me(request) }),
  "POST /items/notices": async (request) => ({ data: await say(request) }),
  "GET /items/events": async (request) => ({ data: await events(request) }),
  "GET /settings": async () => ({ data: { fast: process.env.FAST_URL, slow: process.env.SLOW_URL, slowKilobytes: Number(process.env.BYTES_PER_SECOND) / 1000 } }),
};

createServer(async (request, response) => {
  const { pathname } = new URL(request.url, "http://page");
  const file = FILES[pathname];
  if (file) return void response.writeHead(200, { "content-type": file[0] }).end(file[1]);
  const answer = (status, content, headers = {}) =>
    response.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify(content));
  const refuse = (status, code) => answer(status, { errors: [{ message: code, extensions: { code } }] });
  const resource = RESOURCES[`${request.method} ${pathname}`];
  if (!resource) return refuse(404, "ROUTE_NOT_FOUND");
  try {
    const { headers, data } = await resource(request);
    answer(200, { data }, headers);
  } catch (error) {
    if (error instanceof Refused) return refuse(error.status, error.code);
    // Its database is away: nobody's credential is wrong.
    console.log(`${request.method} ${pathname}: ${error.message}`);
    refuse(503, "SERVICE_UNAVAILABLE");
  }
  if (pathname === "/users/me") console.log(`GET /users/me ${response.statusCode}`);
}).listen(Number(process.env.PORT), "127.0.0.1", () => console.log("ready"));
