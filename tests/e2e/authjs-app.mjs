// A small web application with a real Auth.js: sessions in PostgreSQL by its own adapter, a mail provider whose mails are
// read here, notes of boards, and the page of config/AUTHJS.md.

import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { once } from "node:events";
import { dirname, join } from "node:path";

import { Auth } from "@auth/core";
import PostgresAdapter from "@auth/pg-adapter";
import pg from "pg";

const DAY_S = 86_400;

// As @auth/pg-adapter asks for them, and the application's own.
export const TABLES = `
  create table verification_token (identifier text, expires timestamptz not null, token text, primary key (identifier, token));
  create table accounts (
    id serial primary key, "userId" integer not null, type varchar(255) not null, provider varchar(255) not null,
    "providerAccountId" varchar(255) not null, refresh_token text, access_token text, expires_at bigint, id_token text, scope text,
    session_state text, token_type text
  );
  create table sessions (id serial primary key, "userId" integer not null, expires timestamptz not null, "sessionToken" varchar(255) not null);
  create table users (id serial primary key, name varchar(255), email varchar(255), "emailVerified" timestamptz, image text);
  create table members (board text, user_id integer references users, primary key (board, user_id));
  create table notes (id serial primary key, board text, text text);
  create role app login password 'an-app-password';
  grant select, insert, update, delete on all tables in schema public to app;
  grant usage on all sequences in schema public to app;
`;

const PAGE = `<!doctype html>
<meta charset="utf-8" /><link rel="icon" href="data:," />
<script type="importmap">{ "imports": { "socket.io-client": "/socket.io.mjs" } }</script>
<output id="state"></output><ul id="notes"></ul>
<script type="module">
  import { followBoard } from "/follow-board.js";
  const add = (note) => document.querySelector("#notes").append(Object.assign(document.createElement("li"), { textContent: note.text }));
  window.heard = [];
  window.socket = followBoard(new URLSearchParams(location.search).get("realtime"), "b1", {
    show: add,
    reload: async () => {
      const notes = await (await fetch("/notes")).json();
      document.querySelector("#notes").replaceChildren();
      notes.forEach(add);
    },
    say: (state, why) => (document.querySelector("#state").textContent = [state, why].filter(Boolean).join(": ")),
  });
  socket.on("tidegate", ({ type }) => heard.push(type));
</script>`;

export class Application {
  mails = new Map();

  // `database` is the address with the role `app`; `page` the module of the manual; `statement` publishes a note.
  static async start({ database, page, statement }) {
    const app = new Application();
    app.pool = new pg.Pool({ connectionString: database });
    app.pool.on("error", () => {});
    app.statement = statement;
    app.config = {
      adapter: PostgresAdapter(app.pool),
      secret: "a secret of the test, long enough for Auth.js",
      trustHost: true,
      basePath: "/auth",
      session: { strategy: "database", maxAge: 30 * DAY_S, updateAge: 0 },
      providers: [{
        id: "mail", type: "email", name: "Mail", from: "app@example.com", maxAge: DAY_S, options: {},
        sendVerificationRequest: async ({ identifier, url }) => app.mails.set(identifier, url),
      }],
    };
    const client = createRequire(import.meta.url).resolve("socket.io-client/dist/socket.io.js");
    app.files = {
      "/": ["text/html", PAGE],
      "/follow-board.js": ["text/javascript", page],
      "/socket.io.mjs": ["text/javascript", readFileSync(join(dirname(client), "socket.io.esm.min.js"))],
    };
    app.server = createServer((request, response) => app.#answer(request, response)).listen(0, "127.0.0.1");
    await once(app.server, "listening");
    app.origin = `http://localhost:${app.server.address().port}`;
    return app;
  }

  async #answer(request, response) {
    const { pathname } = new URL(request.url, this.origin);
    if (pathname.startsWith("/auth/")) return this.#authjs(request, response);
    if (pathname === "/notes") {
      const { rows } = await this.pool.query("select id, text from notes order by id");
      return response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(rows));
    }
    const [type, content] = this.files[pathname] ?? ["text/plain", "not found"];
    response.writeHead(200, { "content-type": type }).end(content);
  }

  async #authjs(request, response) {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const body = chunks.length > 0 ? Buffer.concat(chunks) : undefined;
    const answer = await Auth(new Request(this.origin + request.url, { method: request.method, headers: request.headers, body }), this.config);
    response.writeHead(answer.status, { ...Object.fromEntries(answer.headers), "set-cookie": answer.headers.getSetCookie() });
    response.end(Buffer.from(await answer.arrayBuffer()));
  }

  // A form of Auth.js, as a page posts it: with its token against forgery.
  async post(browser, path, fields) {
    const { csrfToken } = await (await browser.get(`${this.origin}/auth/csrf`)).json();
    return browser.post(`${this.origin}/auth/${path}`, { form: { csrfToken, ...fields } });
  }

  // Signs in through the mail; `browser` is the request context of a browser, which keeps the cookies. The user's id.
  async signIn(browser, email) {
    await this.post(browser, "signin/mail", { email });
    await browser.get(this.mails.get(email));
    const { user } = await (await browser.get(`${this.origin}/auth/session`)).json();
    if (user?.email !== email) throw new Error(`Auth.js did not sign ${email} in`);
    const { rows } = await this.pool.query("select id from users where email = $1", [email]);
    return rows[0].id;
  }

  // What the application does: the note and its event in one transaction.
  async save(board, text) {
    const client = await this.pool.connect();
    try {
      await client.query("begin");
      const { rows: [note] } = await client.query("insert into notes (board, text) values ($1, $2) returning id, text", [board, text]);
      await this.statement(client, board, note);
      await client.query("commit");
    } finally {
      client.release();
    }
  }

  async stop() {
    this.server.closeAllConnections();
    this.server.close();
    await this.pool.end();
  }
}
