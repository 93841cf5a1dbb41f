// One command: PostgreSQL, Tidegate, the backend. Ctrl-C ends all of it.

import { startPostgres } from "@tidegate/example-start/postgres.mjs";
import { together } from "@tidegate/example-start/together.mjs";

import { secrets as made, startNewsroom, startRealtime } from "./scene.mjs";

const PORT = Number(process.env.PORT ?? 8080);
const LISTEN = process.env.LISTEN ?? "127.0.0.1:3000";

await together(async (add) => {
  const secrets = made();
  const database = add(await startPostgres());
  const realtime = add(await startRealtime({ listen: LISTEN, origin: `http://127.0.0.1:${PORT}`, secrets }));
  const backend = add(await startNewsroom({ database: database.url, port: PORT, secrets, realtime: () => realtime.url }));
  console.log("\nOpen these in tabs:");
  for (const name of ["", "?as=ada", "?as=ben", "?as=erin"]) console.log(`  http://127.0.0.1:${backend.port}/${name}`);
});
