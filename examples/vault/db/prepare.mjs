// Makes what is missing in the database, and gives both roles a new password.

import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";

import pg from "pg";

import { tidegate } from "@tidegate/example-start/tidegate.mjs";

// PostgreSQL's `insufficient_privilege`.
const NO_RIGHT = "42501";

const sql = (name) => readFileSync(new URL(`${name}.sql`, import.meta.url), "utf8");

/** `url` is of a role that may make roles. The addresses with which the application and Tidegate connect. */
export async function prepare(url) {
  // Everything in one schema, whatever this role's name is: PostgreSQL looks into a schema of that name first.
  const admin = new pg.Client({ connectionString: url, options: "-c search_path=public" });
  await admin.connect().catch((error) => {
    throw new Error(`no connection to the database: ${error.message}\nhint: see DATABASE_URL; without it a PostgreSQL of this machine is started`);
  });
  const urlOf = async (role) => {
    const password = randomBytes(24).toString("hex");
    await admin.query(`alter role ${role} password '${password}'`);
    return Object.assign(new URL(url), { username: role, password }).href;
  };
  try {
    const outbox = tidegate("schema", "outbox", "--server", "vault_realtime", "--application", "vault_app");
    for (const step of [sql("tables"), sql("rights"), outbox, sql("triggers"), sql("people")]) await admin.query(step);
    return { app: await urlOf("vault_app"), realtime: await urlOf("vault_realtime") };
  } catch (error) {
    if (error.code !== NO_RIGHT) throw error;
    const hint = "DATABASE_URL needs a role that may make roles and schemas there";
    throw new Error(`the role \`${admin.user}\` may not prepare the database: ${error.message}\nhint: ${hint}`);
  } finally {
    await admin.end();
  }
}
