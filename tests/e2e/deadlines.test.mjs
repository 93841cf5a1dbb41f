// Nobody holds a connection of the server for longer than it allows, and nobody keeps the others out.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { connect } from "node:net";
import { after, before, describe, test } from "node:test";

import { collect, Server, subscribe, token, TRANSPORTS, until, within } from "@tidegate/kit/harness.mjs";

const TIMEOUTS = "tidegate_tcp_timeouts_total";
const GET = "GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n";
const WEBSOCKET =
  "host: a\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

// A raw connection, what it was answered, and its end.
class Wire {
  answer = "";

  static async open(server) {
    const [host, port] = server.address.split(":");
    const wire = new Wire();
    wire.socket = connect(Number(port), host);
    // A reset is an end as good as another.
    wire.ended = new Promise((resolve) => wire.socket.once("close", resolve));
    wire.socket.on("error", () => {}).on("data", (bytes) => (wire.answer += bytes));
    await once(wire.socket, "connect");
    return wire;
  }

  say(text) {
    this.socket.write(text);
    return this;
  }

  // A byte at a time until the end, far quicker than any of the deadlines.
  drip(byte) {
    const dripping = setInterval(() => this.socket.write(byte), 50);
    this.ended.then(() => clearInterval(dripping));
    return this;
  }

  answered(text) {
    return until(`the answer ${text}`, () => this.answer.includes(text));
  }

  end() {
    return within("the end of the connection", this.ended);
  }
}

describe("a connection that owes the server something", () => {
  let server;
  before(async () => {
    const limits = { head_timeout: "400ms", idle_timeout: "800ms", body_timeout: "600ms", handshake_timeout: "1s" };
    server = await Server.start({ plugins: false, config: (config) => ({ ...config, limits: { ...config.limits, ...limits } }) });
  });
  after(() => server?.stop());

  // The session of a client that polls, opened and not connected yet.
  const opened = async () => (await server.get("/socket.io/?EIO=4&transport=polling")).text.match(/"sid":"([^"]+)"/)[1];

  for (const [what, phase, owes] of [
    ["its first request", "head", (wire) => wire],
    ["the rest of a head", "head", (wire) => wire.say(GET.slice(0, 20))],
    ["the rest of a head that comes a byte at a time", "head", (wire) => wire.say("GET /healthz HTTP/1.1\r\na: ").drip("a")],
    ["its next request", "idle", (wire) => wire.say(GET)],
    ["the rest of its next head", "head", async (wire) => {
      await wire.say(GET).answered("live");
      wire.say("GET /hea").drip("l");
    }],
  ]) {
    test(`is closed when it does not send ${what}`, async () => {
      const before = await server.metric(TIMEOUTS, `"${phase}"`);
      const wire = await Wire.open(server);
      await owes(wire);
      await wire.end();
      assert.ok((await server.metric(TIMEOUTS, `"${phase}"`)) > before, "it is counted");
    });
  }

  for (const [what, path, headers] of [
    ["a poll", async () => `/socket.io/?EIO=4&transport=polling&sid=${await opened()}`, ""],
    ["a publication", () => "/v1/channels/e2e.open/publish", "authorization: Bearer e2e-backend-key-0123456789abcdef\r\n"],
    ["a list of events", () => "/v1/events", "authorization: Bearer e2e-backend-key-0123456789abcdef\r\n"],
  ]) {
    test(`is answered 408 and closed when the body of ${what} never ends`, async () => {
      const wire = await Wire.open(server);
      wire.say(`POST ${await path()} HTTP/1.1\r\nhost: a\r\n${headers}transfer-encoding: chunked\r\n\r\n`).drip("1\r\na\r\n");
      await wire.end();
      assert.match(wire.answer, /^HTTP\/1.1 408 [^]*request_timeout/);
    });
  }

  test("is closed when it opens a websocket and nothing comes of it", async () => {
    const wire = await Wire.open(server);
    await wire.say(`GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\n${WEBSOCKET}`).answered("101 Switching");
    await wire.end();
  });

  test("is closed when it asks for a websocket in the place of polling and does not use it", async () => {
    const wire = await Wire.open(server);
    await wire.say(`GET /socket.io/?EIO=4&transport=websocket&sid=${await opened()} HTTP/1.1\r\n${WEBSOCKET}`).answered("101 Switching");
    await wire.end();
  });

  for (const transport of TRANSPORTS) {
    test(`goes on for as long as it owes nothing, over ${transport}`, async () => {
      const socket = await server.connect({ token: token("u1"), transport });
      await subscribe(socket, "e2e.open");
      const inbox = collect(socket, "e2e.open");
      let isGone = false;
      socket.once("disconnect", () => (isGone = true));
      // Every deadline that there is passes, one after the other.
      for (let n = 0; n < 3; n++) await (await Wire.open(server)).say(GET).end();
      await server.publish("e2e.open", { n: 1 });
      assert.deepEqual(await inbox.count(1), [{ n: 1 }]);
      assert.equal(isGone, false);
      socket.close();
    });
  }
});

describe("a server with as many connections as there may be", () => {
  test("answers 503 and how it does, and serves again when one ends", async (t) => {
    const config = (config) => ({ ...config, limits: { ...config.limits, tcp_connections: 3 } });
    const server = await Server.start({ plugins: false, config });
    t.after(() => server.stop());
    const told = server.logged("server.full");
    const held = [];
    for (let n = 0; n < 3; n++) held.push(await Wire.open(server));
    const ask = async (path) => {
      const wire = await Wire.open(server);
      await wire.say(`GET ${path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n`).end();
      return wire.answer;
    };
    assert.match(await ask("/socket.io/?EIO=4&transport=polling"), /^HTTP\/1.1 503 [^]*"code":"unavailable"/);
    assert.equal((await told).tcp_connections, 3);
    assert.match(await ask("/healthz"), /^HTTP\/1.1 200 /);
    assert.match(await ask("/metrics"), /tidegate_tcp_refused_total [1-9]/);
    held[0].socket.destroy();
    await until("a place", async () => (await ask("/socket.io/?EIO=4&transport=polling")).startsWith("HTTP/1.1 200"));
  });
});

describe("a server without a descriptor left", () => {
  test("says so, waits, and lets clients in again once there are some", async (t) => {
    const server = await Server.start({ plugins: false });
    t.after(() => server.stop());
    const pid = server.process.pid;
    const prlimit = (descriptors) => {
      const { status, stderr } = spawnSync("prlimit", ["--pid", `${pid}`, `--nofile=${descriptors}:`], { encoding: "utf8" });
      assert.equal(status, 0, stderr);
    };
    const open = () => readdirSync(`/proc/${pid}/fd`).map(Number);
    const socket = await server.connect({ token: token("u1") });
    await subscribe(socket, "e2e.open");
    const before = spawnSync("prlimit", ["--pid", `${pid}`, "--nofile", "--output=SOFT", "--noheadings"], { encoding: "utf8" }).stdout.trim();
    const failed = server.logged("server.accept_failed");
    // No number is free below the limit from here on.
    prlimit(Math.max(...open()) + 1);
    const kept = [];
    while (open().length < Math.max(...open()) + 1) kept.push(await Wire.open(server));
    kept.push(await Wire.open(server));
    assert.match((await failed).why, /Too many open files/);

    const inbox = collect(socket, "e2e.open");
    socket.emit("e2e.open", { n: 1 });
    assert.deepEqual(await inbox.count(1), [{ n: 1 }], "whoever is in is served");

    const accepting = server.logged("server.accepting");
    prlimit(before);
    assert.ok((await accepting).failures > 0);
    (await server.connect()).close();
    assert.ok((await server.metric("tidegate_accept_errors_total")) > 0);
    for (const wire of kept) wire.socket.destroy();
  });

  test("at its start says that a limit does not fit", async (t) => {
    const config = (config) => ({ ...config, limits: { ...config.limits, tcp_connections: 1000 } });
    const server = await Server.start({ plugins: false, config, under: ["sh", "-c", 'ulimit -n 200 && exec "$@"', "sh"] });
    t.after(() => server.stop());
    const told = JSON.parse(await server.printed("server.descriptors"));
    assert.deepEqual(
      [told.level, told.descriptors, told.limit, told.asked, told.tcp_connections],
      ["WARN", 200, "limits.tcp_connections", 1000, 150],
    );
    assert.equal(await server.metric("tidegate_tcp_connections_max"), 150);
  });
});
