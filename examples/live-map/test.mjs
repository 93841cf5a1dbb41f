// The example does what its README says: the start program as a user runs it, on a Redis and a PostgreSQL that the test can
// take away, with the stock client and a browser.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";

import { createClient } from "redis";
import { io } from "socket.io-client";

import { openBrowser } from "@tidegate/kit/browser.mjs";
import { ask, next, until, within } from "@tidegate/kit/harness.mjs";
import { binary } from "@tidegate/kit/paths.mjs";
import { PostgresServer, RedisServer } from "@tidegate/kit/services.mjs";

import { Reader } from "./page/reader.mjs";
import { PASSWORD } from "./rally.mjs";

const CARS = 40;
// And the safety car, which is parked.
const DEVICES = CARS + 1;
const START_PATIENCE_MS = 300_000;

let redis, postgres, program;
const lines = [];
const pids = {};
const urls = {};
const sockets = [];

before(async () => {
  [redis, postgres] = await Promise.all([RedisServer.start(), PostgresServer.start()]);
  program = spawn(process.execPath, ["start.mjs"], {
    cwd: fileURLToPath(new URL(".", import.meta.url)),
    env: {
      ...process.env, PORT: "0", DEVICES: CARS, HERTZ: 5, BYTES_PER_SECOND: 10_000, REDIS_URL: redis.url, DATABASE_URL: postgres.url,
      // What the configuration says in a minute, in six seconds.
      TIDEGATE__TRANSPORT__PING_INTERVAL: "2s", TIDEGATE__TRANSPORT__PING_TIMEOUT: "4s",
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  for (const output of [program.stdout, program.stderr]) createInterface({ input: output }).on("line", (line) => {
    lines.push(line);
    if (process.env.TIDEGATE_E2E_LOG) console.error(line);
  });
  const started = () => {
    if (program.exitCode !== null) throw new Error(`it ended:\n${lines.join("\n")}`);
    return lines.find((line) => line.startsWith("Tidegate: "));
  };
  const said = await until("the start program says where everything is", started, START_PATIENCE_MS);
  [, urls.a, urls.b, urls.slow] = /node a (\S+), node b (\S+), by the slow line (\S+)/.exec(said);
  urls.page = /Open (\S+)\//.exec(lines.join("\n"))[1];
  for (const line of lines) {
    const [, name, pid] = /^(\w.*?) +pid (\d+)$/.exec(line) ?? [];
    if (name) pids[name] = Number(pid);
  }
}, { timeout: START_PATIENCE_MS });

after(async () => {
  for (const socket of sockets) socket.close();
  program?.kill("SIGKILL");
  await Promise.all([redis?.stop(), postgres?.stop()]);
});

async function post(path, content, cookie) {
  const headers = { "content-type": "application/json", ...(cookie ? { cookie } : {}) };
  const response = await fetch(urls.page + path, { method: "POST", headers, body: JSON.stringify(content) });
  return { status: response.status, body: await response.json(), cookie: response.headers.get("set-cookie")?.split(";")[0] };
}

const signIn = async (email) => (await post("/auth/login", { email, password: PASSWORD })).cookie;
const MAYA = "maya@north.example";

function client(url, cookie) {
  const headers = { origin: urls.page, ...(cookie ? { cookie } : {}) };
  const socket = io(url, { forceNew: true, transports: ["websocket"], extraHeaders: headers, reconnectionDelay: 100, reconnectionDelayMax: 300 });
  sockets.push(socket);
  return socket;
}

// What a client that asks over HTTP hears when it is not let in for now; a socket is closed, and comes back by itself.
async function refusedNow(url, cookie) {
  const response = await fetch(`${url}/v1/channels/event.lakes/history`, { headers: { origin: urls.page, cookie } });
  return `${response.status} ${await response.text()}`;
}

async function follow(url, cookie) {
  const reader = new Reader(client(url, cookie), "lakes");
  await until("a reader that is live", () => reader.state === "live" && reader.positions.size === DEVICES);
  return reader;
}

// The answer to a subscribe; nothing if the connection was lost in between.
const asked = (socket) => socket.timeout(5000).emitWithAck("subscribe", { channel: "event.lakes" }).catch(() => ({}));

const freeze = (name) => process.kill(pids[name], "SIGSTOP");
const goOn = (name) => process.kill(pids[name], "SIGCONT");
const newest = ({ positions }) => Object.fromEntries([...positions.values()].map(({ deviceId, at }) => [deviceId, at]));

// The newest time of each device that the writer has kept.
async function kept() {
  const rows = await postgres.sql("select device, max(at) from positions where event = 'lakes' group by device");
  return Object.fromEntries(rows.split("\n").map((row) => row.split("|")).map(([device, at]) => [device, Number(at)]));
}

const isSame = (one, other) => {
  try {
    assert.deepEqual(one, other);
    return true;
  } catch {
    return false;
  }
};

test("the declarations hold their examples, and the queries fit the tables", async () => {
  const env = { LIVE_MAP_REDIS: redis.url, LIVE_MAP_STORE: postgres.url, LIVE_MAP_APPLICATION: urls.page };
  const check = spawn(binary(), ["check", "--config", fileURLToPath(new URL("realtime/config/tidegate.yaml", import.meta.url))], {
    env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"],
  });
  let said = "";
  for (const output of [check.stdout, check.stderr]) output.on("data", (chunk) => (said += chunk));
  const [code] = await once(check, "exit");
  assert.equal(code, 0, said);
});

describe("the gates", () => {
  test("who is not signed in is refused, and the application is asked once for a connection", async () => {
    const [error] = await next(client(urls.a), "connect_error");
    assert.equal(error.message, "unauthenticated");
    const lookUps = () => lines.filter((line) => line.includes("GET /users/me 200")).length;
    const before = lookUps();
    const reader = await follow(urls.a, await signIn(MAYA));
    await until("positions", () => reader.counts.received > 50);
    for (let n = 0; n < 2; n += 1) assert.equal((await ask(reader.socket, reader.topic, { positions: 1, p50_ms: 1, p99_ms: 1 })).ok, true);
    assert.equal(lookUps() - before, 1);
    reader.socket.close();
  });

  test("an event of another organisation is forbidden", async () => {
    const socket = client(urls.b, await signIn("sol@south.example"));
    const code = async (channel) => (await ask(socket, "subscribe", { channel })).error?.code;
    assert.equal(await code("event.coast"), undefined);
    assert.equal(await code("event.lakes"), "forbidden");
    assert.equal(await code("event.lakes.control"), "forbidden");
    socket.close();
  });

  test("a field that the schema does not name is refused, and only a marshal speaks for race control", async () => {
    const cookie = await signIn("vic@north.example");
    const reader = await follow(urls.a, cookie);
    const { error } = await ask(reader.socket, reader.topic, { positions: 1, p50_ms: 1, p99_ms: 1, browser: "mine" });
    assert.equal(error.code, "invalid_payload");
    assert.match(error.details.violations[0].message, /'browser' was unexpected/);
    reader.socket.close();
    const notice = { event: "lakes", flag: "red", text: "Stop" };
    assert.equal((await post("/items/notices", notice, cookie)).status, 403);
    assert.equal((await post("/items/notices", { ...notice, urgent: true }, await signIn(MAYA))).status, 400);
    assert.equal((await post("/items/notices", { ...notice, event: "coast" }, await signIn(MAYA))).status, 403);
  });
});

test("every node and the writer read the stream, and an ack has the newest position of every registered device", async () => {
  const cookie = await signIn(MAYA);
  const [a, b] = [await follow(urls.a, cookie), await follow(urls.b, cookie)];
  await until("positions on both nodes", () => Math.min(a.counts.received, b.counts.received) > CARS);
  const look = createClient({ url: redis.url });
  await look.connect();
  const groups = (await look.xInfoGroups("telemetry")).map(({ name }) => name).sort();
  look.destroy();
  assert.deepEqual(groups, ["tidegate:a", "tidegate:b", "writer"]);

  freeze("gateway");
  let stored;
  await until("everybody has the same", async () => isSame(newest(a), (stored = await kept())) && isSame(newest(a), newest(b)));
  assert.equal(Object.keys(stored).length, DEVICES);
  for (const url of [urls.a, urls.b]) assert.deepEqual(newest(await follow(url, cookie)), stored);
  goOn("gateway");
  const { received } = a.counts;
  await until("positions again", () => a.counts.received > received);
  assert.equal(a.counts.stale + b.counts.stale, 0);
});

describe("in a browser", () => {
  let browser, page, maya;
  const complaints = [];
  before(async () => {
    maya = await signIn(MAYA);
    browser = await openBrowser();
    page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
    page.on("pageerror", (error) => complaints.push(error.message));
    await page.goto(urls.page);
    await page.getByRole("button", { name: "Sign in" }).click();
    for (const side of ["fast", "slow"]) await shows(side, "cars", String(DEVICES));
  });
  after(() => browser?.close());

  const shows = (side, name, text) => page.locator(`#${side} [data-show="${name}"]`, { hasText: new RegExp(`^${text}$`) }).waitFor();
  const known = () =>
    page.evaluate(() => Object.fromEntries(Object.entries(window.readers).map(([side, { positions, counts, missed, notices, state }]) => [
      side, { ...counts, missed, notices: notices.size, state, newest: Object.fromEntries([...positions.values()].map(({ deviceId, at }) => [deviceId, at])) },
    ])));

  test("a reader on a slow line gets fewer positions and none that is old, and every notice", async () => {
    await page.getByLabel("Notice").fill("Slow down in sector 3");
    await page.getByRole("button", { name: "Tell everybody" }).click();
    await page.locator("#control output", { hasText: "sent" }).waitFor();
    for (let n = 2; n <= 8; n += 1) {
      assert.equal((await post("/items/notices", { event: "lakes", flag: "yellow", text: `Notice ${n}` }, maya)).body.data.n, n);
    }
    for (const side of ["fast", "slow"]) await shows(side, "notices", "8");
    const { fast, slow } = await until("the slow reader is left out of some", async () => {
      const { fast, slow } = await known();
      return fast.received > 500 && slow.received < fast.received * 0.7 && { fast, slow };
    });
    assert.deepEqual([fast.stale, slow.stale, fast.missed, slow.missed], [0, 0, 0, 0]);
    if (process.env.SCREENSHOT) await page.screenshot({ path: process.env.SCREENSHOT });

    freeze("gateway");
    await until("both have the newest of every car", async () => {
      const { fast, slow } = await known();
      return isSame(fast.newest, slow.newest) && isSame(fast.newest, await kept());
    });
    goOn("gateway");
  });

  test("cars are drawn on the map", async () => {
    const colours = await page.evaluate(() => {
      const canvas = document.querySelector("#fast canvas");
      const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      const seen = {};
      for (let at = 0; at < data.length; at += 4) seen[[data[at], data[at + 1], data[at + 2]]] = (seen[[data[at], data[at + 1], data[at + 2]]] ?? 0) + 1;
      return { road: seen["195,203,211"], parked: seen["91,102,112"], cars: (seen["15,123,77"] ?? 0) + (seen["199,119,0"] ?? 0) };
    });
    assert.ok(colours.road > 500 && colours.parked > 20 && colours.cars > CARS, JSON.stringify(colours));
  });

  test("without traffic a page connects again, and has what was said meanwhile", async () => {
    freeze("line");
    await page.locator('#slow [data-show="state"]', { hasText: "lost (ping timeout)" }).waitFor();
    assert.equal((await post("/items/notices", { event: "lakes", flag: "green", text: "Go on" }, maya)).status, 200);
    await shows("fast", "notices", "9");
    goOn("line");
    await shows("slow", "notices", "9");
    await shows("slow", "state", "live");
    const { fast, slow } = await known();
    assert.deepEqual([fast.connects, fast.missed, slow.missed], [1, 0, 0]);
  });

  test("while Redis is away the page says that no positions come; then they come again", async () => {
    const { connects } = (await known()).fast;
    await redis.kill();
    for (const side of ["fast", "slow"]) await shows(side, "state", "live, and no positions come");
    if (process.env.SCREENSHOT) await page.screenshot({ path: process.env.SCREENSHOT.replace(".png", "-away.png") });
    const reader = await follow(urls.a, maya);
    assert.equal(reader.positions.size, DEVICES);
    await redis.restart();
    for (const side of ["fast", "slow"]) await shows(side, "state", "live");
    assert.equal((await known()).fast.connects, connects);
    const before = (await kept())["lakes-1"];
    await until("the writer goes on", async () => (await kept())["lakes-1"] > before);
  });

  test("while PostgreSQL is away positions go on, and who comes hears `unavailable`", async () => {
    const unused = await signIn(MAYA);
    const socket = client(urls.a, maya);
    await next(socket, "connect");
    await postgres.kill();
    const { error } = await until("an answer", async () => ((answer) => answer.error && answer)(await asked(socket)));
    assert.deepEqual([error.code, error.retry], ["unavailable", true]);
    const fresh = client(urls.b, unused);
    assert.match(await refusedNow(urls.b, unused), /^503 .*unavailable/);
    await page.getByRole("button", { name: "Tell everybody" }).click();
    await page.locator("#control output", { hasText: "not sent: SERVICE_UNAVAILABLE" }).waitFor();
    const { received } = (await known()).fast;
    await until("positions go on", async () => (await known()).fast.received > received + 2 * CARS);
    await postgres.restart();
    await until("the client comes in by itself", () => fresh.connected);
    await until("it may follow again", async () => (await asked(socket)).ok);
  });

  test("while the application is away positions go on, and who comes is let in when it is back", async () => {
    const unused = await signIn(MAYA);
    freeze("cms");
    const socket = client(urls.a, unused);
    assert.match(await refusedNow(urls.a, unused), /^503 .*unavailable/);
    const { received } = (await known()).fast;
    await until("positions go on", async () => (await known()).fast.received > received + 2 * CARS);
    goOn("cms");
    await until("the client comes in by itself", () => socket.connected);
    assert.deepEqual(complaints, []);
  });
});

test("Ctrl-C ends everything", async () => {
  const ended = once(program, "exit");
  program.kill("SIGINT");
  assert.deepEqual(await within("the end", ended), [0, null]);
  for (const [name, pid] of Object.entries(pids)) assert.throws(() => process.kill(pid, 0), { code: "ESRCH" }, `${name} is there`);
});
