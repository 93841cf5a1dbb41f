// The devices' gateway: it writes what the cars' devices report to a Redis stream, an entry for each report. It knows nothing
// of Tidegate. What it cannot write while Redis is away is lost, as on any radio.
//
//   REDIS_URL, DEVICES=200, HERTZ=10: so many positions a second of each device

import { createClient } from "redis";

import { along, cars, EVENTS, road } from "./rally.mjs";

const STREAM = "telemetry";
const STREAM_ENTRIES = 100_000;
const TICK_MS = 20;
const hertz = Number(process.env.HERTZ ?? 10);

const drivers = EVENTS.flatMap((event) => {
  const place = along(road(event));
  const { whole } = place(0);
  return cars(event).map(({ number, device }, index, all) => ({
    event: event.id, device, place, metres: (index / all.length) * whole, speed: 22 + ((number * 7) % 19), changed: Date.now(),
  }));
});

function report(driver) {
  const now = Date.now();
  // Slower now and then, as on a winding road.
  const speed = driver.speed * (0.8 + 0.2 * Math.sin(driver.metres / 400));
  driver.metres += (speed * (now - driver.changed)) / 1000;
  driver.changed = now;
  const { lat, lon, heading } = driver.place(driver.metres);
  const [north, east] = [lat, lon].map((degrees) => Number(degrees.toFixed(6)));
  const position = { at: now, deviceId: driver.device, lat: north, lon: east, speed: Number(speed.toFixed(1)), heading };
  return { event: driver.event, device: driver.device, position: JSON.stringify(position) };
}

const redis = createClient({ url: process.env.REDIS_URL, disableOfflineQueue: true });
redis.on("error", () => {});
await redis.connect();
console.log(`ready: ${drivers.length} devices, ${drivers.length * hertz} positions a second`);

let began = performance.now();
let sent = 0;
let lost = 0;
setInterval(() => {
  const due = Math.floor(((performance.now() - began) / 1000) * drivers.length * hertz);
  // After a pause it goes on, and makes up for nothing.
  if (due - sent > drivers.length * hertz) {
    began = performance.now() - (sent / drivers.length / hertz) * 1000;
    return;
  }
  for (; sent < due; sent += 1) {
    const trim = { strategy: "MAXLEN", strategyModifier: "~", threshold: STREAM_ENTRIES };
    redis.xAdd(STREAM, "*", report(drivers[sent % drivers.length]), { TRIM: trim }).catch(() => (lost += 1));
  }
}, TICK_MS);
setInterval(() => {
  if (lost > 0) console.log(`Redis is away: ${lost} positions lost`);
  lost = 0;
}, 5000);
