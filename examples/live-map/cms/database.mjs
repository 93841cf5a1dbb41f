// Fills an empty database, and lets Tidegate read in it.

import { randomBytes, scryptSync } from "node:crypto";
import { readFileSync } from "node:fs";

import pg from "pg";

import { cars, EVENTS, ORGANISATIONS, PASSWORD, PEOPLE, road } from "../rally.mjs";

const SCHEMA = readFileSync(new URL("schema.sql", import.meta.url), "utf8");
const TIDEGATE = "live_map_tidegate";

export function hashed(password, salt = randomBytes(16).toString("hex")) {
  return `${salt}:${scryptSync(password, salt, 32).toString("hex")}`;
}

async function fill(database) {
  const add = (table, row) => {
    const names = Object.keys(row);
    const places = names.map((_, index) => `$${index + 1}`);
    return database.query(`insert into ${table} (${names}) values (${places}) on conflict do nothing`, Object.values(row));
  };
  for (const organisation of ORGANISATIONS) await add("organisations", organisation);
  for (const person of PEOPLE) await add("users", { ...person, password: hashed(PASSWORD) });
  for (const event of EVENTS) {
    const { id, organisation, name, parked: [lat, lon] } = event;
    const parked = `${id}-parked`;
    await add("events", { id, organisation, name, road: JSON.stringify(road(event)) });
    const entries = [...cars(event), { number: 0, crew: "Safety car", device: parked }];
    await database.query(
      "insert into entries (event, number, crew) select $1, * from unnest($2::int[], $3::text[]) on conflict do nothing",
      [id, entries.map(({ number }) => number), entries.map(({ crew }) => crew)],
    );
    await database.query(
      `insert into entry_devices select e.id, d.device from unnest($2::int[], $3::text[]) as d (number, device)
       join entries e on e.event = $1 and e.number = d.number on conflict do nothing`,
      [id, entries.map(({ number }) => number), entries.map(({ device }) => device)],
    );
    await add("positions", { event: id, device: parked, at: Date.now(), lat, lon, speed: 0, heading: 0 });
  }
}

// A role that reads what the queries of the plugin need and the outbox, and has a schema of its own for what Tidegate keeps.
async function admitTidegate(database, outboxFor) {
  const password = randomBytes(16).toString("hex");
  const { rows: [{ made }] } = await database.query("select exists(select from pg_roles where rolname = $1) as made", [TIDEGATE]);
  await database.query(`${made ? "alter" : "create"} role ${TIDEGATE} login password '${password}'`);
  await database.query(`create schema if not exists tidegate authorization ${TIDEGATE}`);
  await database.query(`grant select on events, entries, entry_devices, positions, notices to ${TIDEGATE}`);
  const { rows: [{ application }] } = await database.query("select current_user as application");
  await database.query(outboxFor(TIDEGATE, application));
  return password;
}

/** Resolves to the address with which Tidegate comes to the database. `outboxFor` is the SQL of an outbox for two roles. */
export async function prepare(url, outboxFor) {
  const database = new pg.Client({ connectionString: url });
  await database.connect();
  try {
    await database.query(SCHEMA);
    await fill(database);
    const address = new URL(url);
    address.username = TIDEGATE;
    address.password = await admitTidegate(database, outboxFor);
    return address.href;
  } finally {
    await database.end();
  }
}
