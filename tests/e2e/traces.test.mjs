// Traces and metrics in a collector, read by OpenTelemetry's own package: one trace from a backend's request through the
// bridge, gate 4 and a plugin's own request to the fan-out on every node; and the metrics that `/metrics` shows.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { createServer } from "node:http";
import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";

import { Cluster } from "@tidegate/kit/cluster.mjs";
import { Collector } from "@tidegate/kit/collector.mjs";
import { cargoBuild } from "@tidegate/kit/guest.mjs";
import { ask, KEYS, next, Server, subscribe, until } from "@tidegate/kit/harness.mjs";
import { repository } from "@tidegate/kit/paths.mjs";
import { RedisLink } from "@tidegate/kit/redis-link.mjs";
import { PostgresServer } from "@tidegate/kit/services.mjs";

const CHANNELS = {
  feature: "traces",
  channels: {
    told: { scope: "public", payload: {}, delivery: { trace: true } },
    kept: { scope: "public", payload: {}, delivery: { trace: true }, history: { messages: 10 } },
    untold: { scope: "public", payload: {}, history: { messages: 10 } },
    states: { scope: "public", payload: { type: "integer" }, delivery: { trace: true } },
    fetched: { scope: "public", payload: {}, inbound: { payload: { type: "string" }, handler: "fetch" } },
  },
};
const BRIDGE = {
  rules: [
    { on: "page.changed", to: "states", payload: "event.data.url", transform: "fetch" },
    { on: "note.made", to: "told" },
  ],
};

const hex = (bytes) => randomBytes(bytes).toString("hex");
// A trace of a backend, and its span that asks.
function trace(flags = "01") {
  const [id, span] = [hex(16), hex(8)];
  return { id, span, header: `00-${id}-${span}-${flags}` };
}

async function post(server, path, body, headers = {}) {
  const all = { "content-type": "application/json", authorization: `Bearer ${KEYS.backend}`, ...headers };
  const response = await fetch(server.url + path, { method: "POST", headers: all, body: JSON.stringify(body) });
  assert.ok(response.ok, `${response.status} ${await response.text()}`);
}

const publish = (server, topic, payload, headers) => post(server, `/v1/channels/${topic}/publish`, payload, headers);

// The spans of a trace once there are as many of each name, as a function that finds one by its name.
async function spansOf(collector, id, names) {
  const found = await collector.until(`${names.join(", ")} of ${id}`, ({ spans }) => {
    const of = spans.filter(({ trace }) => trace === id);
    return of.length >= names.length && of;
  });
  assert.deepEqual(found.map(({ name }) => name).toSorted(), names.toSorted());
  for (const { began, ended } of found) assert.ok(began > 0 && ended >= began);
  return (name, wanted = () => true) => {
    const [span, ...others] = found.filter((span) => span.name === name && wanted(span));
    assert.ok(span && others.length === 0, name);
    return span;
  };
}

// A server of the application's, which keeps the headers that it was asked with.
async function application() {
  const asked = [];
  const server = createServer((request, response) => {
    asked.push(request.headers);
    response.end("{}");
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { asked, origin: `http://127.0.0.1:${server.address().port}`, close: () => server.close() };
}

function files(directory, web) {
  writeFileSync(join(directory, "channels/traces.yaml"), JSON.stringify(CHANNELS));
  writeFileSync(join(directory, "config/bridge.yaml"), JSON.stringify(BRIDGE));
  const plugin = join(directory, "plugins/fetch");
  mkdirSync(plugin);
  const manifest = { component: "fetch.wasm", grants: { http: [web.origin] }, limits: { wall: "10s" } };
  writeFileSync(join(plugin, "plugin.yaml"), JSON.stringify(manifest));
  copyFileSync(cargoBuild(join(repository, "tests/plugins/guests/fetch"), "fetch"), join(plugin, "fetch.wasm"));
}

const telemetry = (collector, more = {}) => ({
  otlp: collector.url, headers: { "x-tenant": "${COLLECTOR_TENANT}" }, sample: 0, spans_every: "100ms", metrics_every: "1s", ...more,
});
const env = { COLLECTOR_TENANT: "acme-0123456789" };

describe("one node and a collector", () => {
  let collector, web, server, socket;
  before(async () => {
    [collector, web] = await Promise.all([Collector.start(), application()]);
    server = await Server.start({
      plugins: false,
      env,
      files: (directory) => files(directory, web),
      config: (config) => ({ ...config, telemetry: telemetry(collector), private_origins: [web.origin] }),
    });
    socket = await server.connect();
    for (const topic of ["told", "kept", "untold", "states", "fetched"]) await subscribe(socket, topic);
  });
  after(async () => {
    await server?.stop();
    await collector?.stop();
    web?.close();
  });

  test("a backend's publish is one trace to the fan-out, and a client is told where in it", async () => {
    const { id, span, header } = trace();
    const arrived = next(socket, "told");
    await publish(server, "told", { n: 1 }, { traceparent: header, tracestate: "acme=1" });
    const find = await spansOf(collector, id, ["POST /v1/channels/{topic}/publish", "gate 4 broadcast", "fan-out"]);
    const [request, gate, fanOut] = ["POST /v1/channels/{topic}/publish", "gate 4 broadcast", "fan-out"].map((name) => find(name));
    assert.deepEqual([request.parent, gate.parent, fanOut.parent], [span, request.span, gate.span]);
    assert.deepEqual([request.kind, gate.kind, fanOut.kind], ["server", "internal", "producer"]);
    assert.equal(request.state, "acme=1");
    assert.equal(request.attributes["http.response.status_code"], 202);
    assert.deepEqual(fanOut.attributes, { "tidegate.channel": "told", "tidegate.topic": "told", "tidegate.subscribers": 1 });
    assert.equal(request.resource["service.name"], "tidegate");
    const [payload, meta] = await arrived;
    assert.deepEqual([payload, meta], [{ n: 1 }, { traceparent: `00-${id}-${gate.span}-01` }]);
    assert.equal(collector.headers[0]["x-tenant"], env.COLLECTOR_TENANT);
  });

  test("what a client missed says where it was published, where the channel tells it", async () => {
    const { id, header } = trace();
    const arrived = [next(socket, "kept"), next(socket, "untold")];
    for (const topic of ["kept", "untold"]) await publish(server, topic, 1, { traceparent: header });
    const [[, kept], [, untold]] = await Promise.all(arrived);
    assert.equal(kept.traceparent.slice(3, 35), id);
    assert.deepEqual(Object.keys(untold), ["epoch", "offset"]);
    const late = await server.connect();
    for (const [topic, meta] of [["kept", kept], ["untold", untold]]) {
      const ack = await ask(late, "subscribe", { channel: topic, since: { ...meta, offset: meta.offset - 1 } });
      assert.deepEqual(ack.publications.at(-1).meta, meta);
    }
  });

  test("an event's own trace leads through the bridge and a plugin's request to the fan-out", async () => {
    const { id, span, header } = trace();
    const arrived = next(socket, "states");
    const event = { specversion: "1.0", type: "page.changed", source: "/cms", id: "1", traceparent: header, data: { url: `${web.origin}/page` } };
    await post(server, "/v1/events", event);
    const names = ["bus event", "plugin call", "HTTP request", "gate 4 broadcast", "fan-out"];
    const find = await spansOf(collector, id, names);
    const [bus, call, request, gate, fanOut] = names.map((name) => find(name));
    assert.deepEqual(
      [bus.parent, call.parent, request.parent, gate.parent, fanOut.parent],
      [span, bus.span, call.span, bus.span, gate.span],
    );
    assert.deepEqual([bus.kind, request.kind], ["consumer", "client"]);
    assert.equal(call.attributes["tidegate.plugin"], "fetch");
    assert.equal(call.attributes["tidegate.plugin.kind"], "transform");
    assert.equal(request.attributes["http.response.status_code"], 200);
    assert.equal(web.asked.at(-1).traceparent, `00-${id}-${request.span}-01`);
    assert.deepEqual(await arrived, [200, { traceparent: `00-${id}-${gate.span}-01` }]);
  });

  test("an event without a trace of its own belongs to that of the request that brought it", async () => {
    const { id, header } = trace();
    const event = { specversion: "1.0", type: "note.made", source: "/cms", id: "2", data: 1 };
    await post(server, "/v1/events", event, { traceparent: header });
    const find = await spansOf(collector, id, ["POST /v1/events", "bus event", "gate 4 broadcast", "fan-out"]);
    assert.equal(find("bus event").parent, find("POST /v1/events").span);
    assert.equal(find("bus event").attributes["cloudevents.event_type"], "note.made");
  });

  test("a trace that its caller does not record goes on as it came, and leaves no span", async () => {
    const { id, header } = trace("00");
    const arrived = next(socket, "told");
    await publish(server, "told", 2, { traceparent: header });
    assert.equal((await arrived)[1].traceparent, header);
    // What comes later arrives later.
    const other = trace();
    await publish(server, "told", 3, { traceparent: other.header });
    await collector.until("the later one", ({ spans }) => spans.some(({ trace }) => trace === other.id));
    assert.ok(!collector.spans.some(({ trace }) => trace === id));
  });

  test("a malformed trace breaks nothing", async () => {
    for (const traceparent of ["", "no", "00-0-0-01", "ff" + trace().header.slice(2), "x".repeat(2000)]) {
      const arrived = next(socket, "told");
      await publish(server, "told", traceparent.length, { traceparent });
      assert.deepEqual(await arrived, [traceparent.length, {}]);
    }
    const arrived = next(socket, "told");
    const event = { specversion: "1.0", type: "note.made", source: "/cms", id: "3", traceparent: "no", data: 7 };
    await post(server, "/v1/events", event);
    assert.deepEqual(await arrived, [7, {}]);
  });

  test("the collector has every metric of /metrics, with its name, labels and value", async () => {
    await collector.until("metrics", ({ metrics }) => metrics.size > 0);
    collector.metrics = new Map();
    const { text } = await server.get("/metrics");
    await collector.until("newer metrics", ({ metrics }) => metrics.size > 0);
    const shown = [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name, kind]) => [name, kind]);
    assert.ok(shown.length > 20);
    const kinds = { counter: "sum", gauge: "gauge", histogram: "histogram" };
    for (const [name, kind] of shown) assert.equal(collector.metrics.get(name)?.kind, kinds[kind], name);
    const [gate] = collector.metrics.get("tidegate_gate_seconds").points.filter(({ labels }) => labels.gate === "broadcast" && labels.channel === "told");
    assert.equal(gate.counts.length, gate.bounds.length + 1);
    assert.equal(gate.counts.reduce((sum, count) => sum + count, 0), gate.count);
    const decisions = collector.metrics.get("tidegate_gate_decisions_total").points.find(
      ({ labels }) => labels.gate === "broadcast" && labels.channel === "told" && labels.outcome === "ok");
    assert.equal(gate.count, decisions.value);
    assert.equal(collector.metrics.get("tidegate_subscriptions").points.reduce((sum, { value }) => sum + value, 0), await server.metric("tidegate_subscriptions"));
  });

  test("a collector that goes away harms nothing, is told once, and gets what waited when it is back", async () => {
    await collector.answer(503);
    const away = server.logged("telemetry.away");
    const waiting = trace();
    await publish(server, "told", 1, { traceparent: waiting.header });
    assert.match((await away).why, /503/);
    for (let n = 0; n < 20; n += 1) await publish(server, "told", n, { traceparent: trace().header });
    await until("both signals away", async () => server.lines("telemetry.away").length === 2);
    assert.equal(await server.metric("tidegate_otlp_up", 'signal="traces"'), 0);
    const back = server.logged("telemetry.back");
    await collector.answer(200);
    await back;
    await spansOf(collector, waiting.id, ["POST /v1/channels/{topic}/publish", "gate 4 broadcast", "fan-out"]);
    await until("up again", async () => (await server.metric("tidegate_otlp_up")) === 2);
    assert.equal(server.lines("telemetry.away").length, 2, "once for each signal");
    assert.equal(await server.metric("tidegate_spans_total", 'outcome="dropped"'), 0);
  });
});

test("a message of a client is a trace from gate 3 through its handler to the handler's request, and an end sends what is left", async () => {
  const [collector, web] = await Promise.all([Collector.start(), application()]);
  const server = await Server.start({
    plugins: false,
    env,
    files: (directory) => files(directory, web),
    config: (config) => ({
      ...config, private_origins: [web.origin], node: "n1",
      telemetry: telemetry(collector, { sample: 1, spans_every: "1m", metrics_every: "1h", service: "pages" }),
    }),
  });
  try {
    const socket = await server.connect();
    await subscribe(socket, "fetched");
    assert.equal((await ask(socket, "fetched", `GET ${web.origin}/`)).ok, true);
    assert.deepEqual(collector.spans, []);
    server.signal("SIGTERM");
    assert.equal(await server.ended(), 0);
    const { traceparent } = web.asked[0];
    const id = traceparent.slice(3, 35);
    const find = await spansOf(collector, id, ["gate 3 inbound", "plugin call", "HTTP request"]);
    const [gate, call, request] = ["gate 3 inbound", "plugin call", "HTTP request"].map((name) => find(name));
    assert.deepEqual([gate.parent, call.parent, request.parent], ["", gate.span, call.span]);
    assert.equal(traceparent, `00-${id}-${request.span}-01`);
    assert.deepEqual([gate.resource["service.name"], gate.resource["service.instance.id"]], ["pages", "n1"]);
    const others = collector.spans.filter(({ trace }) => trace !== id).map(({ name }) => name);
    assert.deepEqual(others.toSorted(), ["gate 1 connect", "gate 2 subscribe"]);
    assert.ok(collector.metrics.size > 20, "and the metrics");
  } finally {
    await server.stop();
    await collector.stop();
    web.close();
  }
});

test("a collector that is not there keeps no end of the server waiting, and bounds what waits", async () => {
  const collector = await Collector.start();
  await collector.kill();
  const server = await Server.start({
    plugins: false,
    env,
    config: (config) => ({ ...config, telemetry: telemetry(collector, { sample: 1 }), limits: { ...config.limits, spans: 10 } }),
  });
  const away = server.printed("telemetry.away");
  for (let n = 0; n < 50; n += 1) await publish(server, "e2e.open", n);
  await away;
  await until("dropped spans", async () => (await server.metric("tidegate_spans_total", 'outcome="dropped"')) > 0);
  server.signal("SIGTERM");
  assert.equal(await server.ended(), 0);
  await server.stop();
});

test("two nodes: one trace leads to the fan-out on both, from a request, a stream's entry and a row of an outbox", async () => {
  const [collector, postgres] = await Promise.all([Collector.start(), PostgresServer.start()]);
  const cluster = await Cluster.start({
    files: (directory) => {
      const { fetched: _, ...channels } = CHANNELS.channels;
      writeFileSync(join(directory, "channels/traces.yaml"), JSON.stringify({ ...CHANNELS, channels }));
      writeFileSync(join(directory, "config/bridge.yaml"), JSON.stringify({ rules: [BRIDGE.rules[1]] }));
    },
    config: (config, index, { redis }) => ({
      ...config,
      node: `n${index}`,
      telemetry: telemetry(collector, { headers: {} }),
      bus: index > 0 ? [] : [
        { redis: { url: redis.url, stream: "notes", mode: "shared" } },
        { postgres: { url: postgres.url, mode: "shared" } },
      ],
    }),
  });
  const link = await RedisLink.open(cluster.redis.url);
  try {
    const [here, there] = await Promise.all(cluster.nodes.map((node) => node.connect()));
    for (const topic of ["told", "kept"]) for (const socket of [here, there]) await subscribe(socket, topic);
    const on = (node) => ({ resource }) => resource["service.instance.id"] === node;
    const all = async (topic, first, begin) => {
      const { id, span, header } = trace();
      const arrivals = [here, there].map((socket) => next(socket, topic));
      await begin(header);
      const find = await spansOf(collector, id, [...first, "gate 4 broadcast", "fan-out", "fan-out"]);
      const gate = find("gate 4 broadcast");
      assert.equal(find(first[0]).parent, span);
      assert.deepEqual(["n0", "n1"].map((node) => find("fan-out", on(node)).parent), [gate.span, gate.span]);
      for (const arrival of arrivals) assert.equal((await arrival)[1].traceparent, `00-${id}-${gate.span}-01`);
    };
    const request = ["POST /v1/channels/{topic}/publish"];
    await all("told", request, (header) => publish(cluster.nodes[0], "told", 1, { traceparent: header }));
    await all("kept", request, (header) => publish(cluster.nodes[1], "kept", 1, { traceparent: header }));
    await all("told", ["bus event"], (header) => link.ask("XADD", "notes", "*", "type", "note.made", "data", "1", "traceparent", header));
    await all("told", ["bus event"], (header) => postgres.sql(
      `begin; select set_config('tidegate.traceparent', '${header}', true); select tidegate_publish('note.made', '2'); commit`));
    await all("told", ["bus event"], (header) => postgres.sql(
      `insert into tidegate_outbox (type, data, traceparent) values ('note.made', '3', '${header}')`));
  } finally {
    link.close();
    await cluster.stop();
    await collector.stop();
    await postgres.stop();
  }
});
