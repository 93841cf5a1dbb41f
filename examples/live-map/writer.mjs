// The durable writer: it keeps every position in PostgreSQL. It reads the stream as a group of its own, so it neither waits
// for the nodes of Tidegate nor do they wait for it. An entry is acknowledged when it is committed; one that was read and not
// committed is read again.
//
//   REDIS_URL, DATABASE_URL

import { setTimeout as pause } from "node:timers/promises";

import pg from "pg";
import { createClient } from "redis";

const STREAM = "telemetry";
const GROUP = "writer";
const BATCH = 1000;
const WAIT_MS = 1000;
const RETRY_MS = 500;

const database = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 1, connectionTimeoutMillis: 2000, query_timeout: 10_000 });
database.on("error", () => {});
const redis = createClient({ url: process.env.REDIS_URL });
redis.on("error", () => {});

async function store(entries) {
  const column = (name) => entries.map(({ message }) => message[name]);
  await database.query(
    `insert into positions (event, device, at, lat, lon, speed, heading)
     select event, device, at, lat, lon, speed, heading
     from unnest($1::text[], $2::text[], $3::jsonb[]) as entries (event, device, position),
       jsonb_to_record(position) as reported (at bigint, lat float8, lon float8, speed float4, heading int)
     on conflict do nothing`,
    ["event", "device", "position"].map(column),
  );
  await redis.xAck(STREAM, GROUP, entries.map(({ id }) => id));
}

const madeBefore = (error) => {
  if (!error.message.startsWith("BUSYGROUP")) throw error;
};

// What it had read before and not committed comes first.
async function run() {
  await redis.xGroupCreate(STREAM, GROUP, "$", { MKSTREAM: true }).catch(madeBefore);
  for (let from = "0"; ; ) {
    const [stream] = (await redis.xReadGroup(GROUP, "writer", { key: STREAM, id: from }, { COUNT: BATCH, BLOCK: WAIT_MS })) ?? [];
    if (stream?.messages.length) await store(stream.messages);
    else if (stream) from = ">";
  }
}

await redis.connect();
console.log("ready");
for (;;) {
  await run().catch((error) => console.log(`tries again: ${error.message}`));
  await pause(RETRY_MS);
}
