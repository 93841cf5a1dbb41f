// One command: PostgreSQL, its tables, the application, Tidegate. Ctrl-C ends all of it.

import { startPostgres } from "@tidegate/example-start/postgres.mjs";
import { together } from "@tidegate/example-start/together.mjs";

import { openDatabase } from "./app/database.mjs";
import { startApp } from "./app/server.mjs";
import { prepare } from "./db/prepare.mjs";
import { startRealtime } from "./realtime/start.mjs";

const PORT = Number(process.env.PORT ?? 8080);
const LISTEN = process.env.LISTEN ?? "127.0.0.1:3000";
const PEOPLE = ["ada", "ben", "cleo", "dan"];

await together(async (add) => {
  const database = add(await startPostgres());
  const urls = await prepare(database.url);
  const pool = openDatabase(urls.app);
  add({ stop: () => pool.end() });
  let realtimePort;
  const app = add(await startApp({ pool, port: PORT, realtimePort: () => realtimePort }));
  const realtime = add(await startRealtime({ database: urls.realtime, appPort: app.port, listen: LISTEN }));
  realtimePort = Number(new URL(realtime.url).port);
  console.log("\nOpen these in tabs of one browser; each host keeps a cookie of its own, so each tab is another person:");
  for (const person of PEOPLE) console.log(`  http://${person}.localhost:${app.port}/test/realtime?vaultId=tides&as=${person}`);
});
