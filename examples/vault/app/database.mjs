// The pool of the application, and a transaction.

import pg from "pg";

// A database that is frozen must not hold a request for ever.
const TIMEOUT_MS = 3_000;
const CONNECTIONS = 8;

export function openDatabase(url) {
  const pool = new pg.Pool({
    connectionString: url, max: CONNECTIONS, connectionTimeoutMillis: TIMEOUT_MS, query_timeout: TIMEOUT_MS,
  });
  // An idle connection that broke; the next request takes a new one.
  pool.on("error", (error) => console.error(`database: ${error.message}`));
  return pool;
}

/** Runs `work` in a transaction: all of it happens, or nothing. */
export async function transaction(pool, work) {
  const client = await pool.connect();
  let failure;
  try {
    await client.query("begin");
    const result = await work(client);
    await client.query("commit");
    return result;
  } catch (error) {
    failure = error;
    await client.query("rollback").catch(() => {});
    throw error;
  } finally {
    // After an error the connection may be broken: it is not used again.
    client.release(failure);
  }
}
