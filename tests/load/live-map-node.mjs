// The example live-map as a team would write it with socket.io and a plain consumer of the Redis stream, in one process:
// gate 1 asks the application, `subscribe` asks the database, the ack has the newest positions, and each position is judged
// and sent to the room of its event.
//
//   REDIS_URL, DATABASE_URL, APPLICATION

import { createServer } from "node:http";

import pg from "pg";
import { createClient } from "redis";
import { Server } from "socket.io";
import { z } from "zod";

const STREAM = "telemetry";
const BATCH = 1000;
const WAIT_MS = 1000;

const Subscribe = z.strictObject({ channel: z.string().regex(/^event\.[^.]+$/) });
const Position = z.strictObject({
  at: z.number().int().min(0),
  deviceId: z.string().max(64),
  lat: z.number().min(-90).max(90),
  lon: z.number().min(-180).max(180),
  speed: z.number().min(0),
  heading: z.number().int().min(0).max(360),
});

const database = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 4 });
const redis = createClient({ url: process.env.REDIS_URL });
const newest = new Map();

const io = new Server({ transports: ["websocket"], serveClient: false });
io.use(async (socket, next) => {
  const response = await fetch(`${process.env.APPLICATION}/users/me`, { headers: { cookie: socket.request.headers.cookie ?? "" } });
  if (!response.ok) return next(new Error("unauthenticated"));
  socket.data.user = (await response.json()).data;
  next();
});
io.on("connection", (socket) => {
  socket.on("subscribe", async (request, ack) => {
    const { success, data } = Subscribe.safeParse(request);
    if (!success) return ack({ ok: false, error: { code: "invalid_payload" } });
    const event = data.channel.slice("event.".length);
    const { rows } = await database.query("select id from events where id = $1 and organisation = $2", [event, socket.data.user.organisation]);
    if (rows.length === 0) return ack({ ok: false, error: { code: "forbidden" } });
    const stored = await database.query(
      `select d.device as "deviceId", p.at::float8 as at, p.lat, p.lon, p.speed, p.heading
       from entries e join entry_devices d on d.entry = e.id
       cross join lateral (select * from positions p where p.event = e.event and p.device = d.device order by p.at desc limit 1) p
       where e.event = $1`, [event]);
    socket.join(data.channel);
    ack({ ok: true, snapshot: stored.rows.map((row) => newest.get(row.deviceId) ?? row) });
  });
});

async function consume() {
  for (let from = "$"; ; ) {
    const [stream] = (await redis.xRead({ key: STREAM, id: from }, { COUNT: BATCH, BLOCK: WAIT_MS })) ?? [];
    for (const { id, message } of stream?.messages ?? []) {
      from = id;
      const { event, position } = message;
      const { success, data } = Position.safeParse(JSON.parse(position));
      if (!success) continue;
      newest.set(data.deviceId, data);
      io.to(`event.${event}`).emit(`event.${event}`, data);
    }
  }
}

const http = createServer();
io.attach(http);
await redis.connect();
http.listen(0, "127.0.0.1", () => process.send({ url: `http://127.0.0.1:${http.address().port}` }));
await consume();
