// What a company has already: an issuer of tokens that publishes its keys, and a web application with sessions.

import { execFileSync } from "node:child_process";
import { createHmac, createSign, generateKeyPairSync, sign } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";

import { now } from "./harness.mjs";

const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");

// A key pair and what signs with it.
const KINDS = {
  RS256: {
    make: () => generateKeyPairSync("rsa", { modulusLength: 2048 }),
    sign: (message, key) => createSign("SHA256").update(message).sign(key),
  },
  ES256: {
    make: () => generateKeyPairSync("ec", { namedCurve: "P-256" }),
    sign: (message, key) => sign("SHA256", Buffer.from(message), { key, dsaEncoding: "ieee-p1363" }),
  },
  EdDSA: {
    make: () => generateKeyPairSync("ed25519"),
    sign: (message, key) => sign(null, Buffer.from(message), key),
  },
};

// The newer name of the same.
KINDS.Ed25519 = KINDS.EdDSA;

export class Key {
  constructor(algorithm, kid) {
    this.algorithm = algorithm;
    this.kid = kid;
    Object.assign(this, KINDS[algorithm].make());
  }

  get jwk() {
    return { ...this.publicKey.export({ format: "jwk" }), kid: this.kid, alg: this.algorithm, use: "sig" };
  }

  get pem() {
    return this.publicKey.export({ format: "pem", type: "spki" });
  }

  token(user, claims = {}, header = {}) {
    const head = part({ alg: this.algorithm, typ: "JWT", kid: this.kid, ...header });
    const message = `${head}.${part({ sub: user, exp: now() + 3600, ...claims })}`;
    return `${message}.${KINDS[this.algorithm].sign(message, this.privateKey).toString("base64url")}`;
  }

  // The public key taken for a shared secret.
  confused(user, secret = this.pem) {
    const message = `${part({ alg: "HS256", kid: this.kid })}.${part({ sub: user, exp: now() + 3600 })}`;
    return `${message}.${createHmac("sha256", secret).update(message).digest("base64url")}`;
  }
}

// Statements in a SQLite database, made when it is not there.
export function sqlite(database, statements) {
  const run = "import sqlite3, sys; d = sqlite3.connect(sys.argv[1]); d.execute('pragma journal_mode = wal'); d.executescript(sys.argv[2])";
  execFileSync("python3", ["-c", run, database, statements]);
}

// The rows of a question to one, as text.
export const rows = (database, question) =>
  execFileSync("python3", ["-c", "import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute(sys.argv[2]).fetchall())", database, question], {
    encoding: "utf8",
  });

// A web server on a port of its own that can go away and come back on the same one.
class Site {
  requests = [];
  #port = 0;

  async start() {
    this.server = createServer((request, response) => {
      this.requests.push({ path: request.url, headers: request.headers });
      const { status = 200, body } = this.answer(request);
      response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body ?? {}));
    });
    this.server.listen(this.#port, "127.0.0.1");
    await once(this.server, "listening");
    this.#port = this.server.address().port;
    return this;
  }

  get url() {
    return `http://127.0.0.1:${this.#port}`;
  }

  async stop() {
    if (!this.server.listening) return;
    this.server.closeAllConnections();
    this.server.close();
    await once(this.server, "close");
  }
}

// Publishes keys at `/keys`.
export class Issuer extends Site {
  keys = [];

  get jwks() {
    return `${this.url}/keys`;
  }

  answer() {
    return { body: { keys: this.keys.map((key) => key.jwk) } };
  }
}

// Says at `/users/me` who is logged in, as Directus does.
export class WebApplication extends Site {
  // Of a session's cookie or a token.
  users = new Map();
  status = 200;

  constructor(cookie = "app_session") {
    super();
    this.cookie = cookie;
  }

  get me() {
    return `${this.url}/users/me?fields=id,role`;
  }

  answer({ headers }) {
    if (this.status !== 200) return { status: this.status };
    const pairs = (headers.cookie ?? "").split(/;\s*/).map((pair) => pair.split("="));
    const cookie = pairs.find(([name]) => name === this.cookie)?.[1];
    const user = this.users.get(cookie ?? headers.authorization?.replace(/^Bearer /, ""));
    return user ? { body: { data: user } } : { status: 401, body: { errors: [{ message: "Invalid user credentials." }] } };
  }
}
