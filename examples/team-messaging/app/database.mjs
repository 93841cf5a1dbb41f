// The application's PostgreSQL: transactions, and errors that a client understands.

import { readFileSync } from "node:fs";

import pg from "pg";

// A database that does not answer is away; nobody waits longer for it.
const CONNECT_TIMEOUT_MS = 1_000;
const QUERY_TIMEOUT_MS = 2_000;
const CONNECTIONS_MAX = 8;

/** A no with one of Tidegate's codes, so that a page has one list of codes for both servers. */
export class Refused extends Error {
  constructor(code, message, { status, retry = false }) {
    super(message);
    Object.assign(this, { code, status, retry });
  }

  static unauthenticated = (message) => new Refused("unauthenticated", message, { status: 401 });
  static forbidden = (message) => new Refused("forbidden", message, { status: 403 });
  static invalid = (message) => new Refused("invalid_payload", message, { status: 422 });
}

const AWAY_CODES = /^(ECONN|EPIPE|ETIMEDOUT|08|57P0|53)/;
const AWAY_WORDS = /timeout|Connection terminated|not queryable/;
const unavailable = new Refused("unavailable", "the database is away", { status: 503, retry: true });
const explained = (error) => (AWAY_CODES.test(error.code ?? "") || AWAY_WORDS.test(error.message) ? unavailable : error);

export class Database {
  constructor(url) {
    this.pool = new pg.Pool({
      connectionString: url, max: CONNECTIONS_MAX, connectionTimeoutMillis: CONNECT_TIMEOUT_MS, query_timeout: QUERY_TIMEOUT_MS,
    });
    // An idle connection that breaks is replaced when it is needed.
    this.pool.on("error", () => {});
  }

  /** Makes the tables that are missing. */
  async prepare() {
    await this.rows(readFileSync(new URL("schema.sql", import.meta.url), "utf8"));
  }

  async rows(text, values) {
    try {
      return (await this.pool.query(text, values)).rows;
    } catch (error) {
      throw explained(error);
    }
  }

  /** What `work(rows)` returns, once it is committed. */
  async transaction(work) {
    let client;
    try {
      client = await this.pool.connect();
      await client.query("begin");
      const result = await work(async (text, values) => (await client.query(text, values)).rows);
      await client.query("commit");
      client.release();
      return result;
    } catch (error) {
      // The connection may be in any state: it ends, and with it the transaction.
      client?.release(true);
      throw explained(error);
    }
  }

  close = () => this.pool.end();
}
