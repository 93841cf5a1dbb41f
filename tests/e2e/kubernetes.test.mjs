// The manifests of config/deploy/kubernetes: Kubernetes' own schemas take them, and a pod of the Deployment runs as they say.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";

import { io } from "socket.io-client";
import { parse } from "yaml";

import { filled } from "@tidegate/kit/balancers.mjs";
import { freePort } from "@tidegate/kit/free-port.mjs";
import { ask, next, subscribe, token, until } from "@tidegate/kit/harness.mjs";
import { components, repository } from "@tidegate/kit/paths.mjs";
import { libraries, objects, Pod } from "@tidegate/kit/pod.mjs";
import { pythonPackages } from "@tidegate/kit/python.mjs";
import { PostgresServer, program, RedisServer } from "@tidegate/kit/services.mjs";

const MANIFESTS = "kubernetes";
const manifests = readdirSync(join(repository, "config/deploy", MANIFESTS));
const SECRET = "a pod's secret, long enough for HMAC: 0123456789abcdef";
const KEYS = { backend: "a pod's key of a backend", operator: "a pod's key of an operator" };
// The oldest version that has everything that the manifests use, and the newest one that there are schemas of.
const VERSIONS = ["1.30", "1.37"];

const packages = pythonPackages(join(repository, "tests/kit/requirements-deploy.txt"));
const validate = (version, ...files) =>
  execFileSync("python3", ["-m", "kubernetes_validate", "--strict", "-k", version, ...files], {
    encoding: "utf8", env: { ...process.env, PYTHONPATH: packages }, stdio: ["ignore", "pipe", "pipe"],
  });

test("Kubernetes' schemas take every manifest, and nothing that they do not know", () => {
  const files = manifests.map((name) => join(repository, "config/deploy", MANIFESTS, name));
  for (const version of VERSIONS) validate(version, ...files);
  const directory = mkdtempSync(join(tmpdir(), "tidegate-manifests-"));
  const wrong = join(directory, "deployment.yaml");
  writeFileSync(wrong, filled(`${MANIFESTS}/deployment.yaml`, { "readOnlyRootFilesystem:": "readOnlyRoot:" }));
  assert.throws(() => validate(VERSIONS[0], wrong), ({ stdout, stderr }) => /readOnlyRoot\b/.test(stdout + stderr));
  rmSync(directory, { recursive: true });
});

test("a pod has the time for its drain", () => {
  const all = objects(...manifests.map((name) => filled(`${MANIFESTS}/${name}`, {})));
  const { spec } = all.get("Deployment/tidegate").spec.template;
  const { limits } = parse(all.get("ConfigMap/tidegate-config").data["tidegate.yaml"]);
  const drain = Number(/^(\d+)s$/.exec(limits.drain_timeout)[1]);
  assert.ok(spec.containers[0].lifecycle.preStop.sleep.seconds + drain < spec.terminationGracePeriodSeconds);
});

test("the program needs no more of its image than the C library and the unwinder of distroless/cc", () => {
  const names = libraries().map((path) => path.split("/").at(-1)).sort();
  const there = ["ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1", "libc.so.6", "libgcc_s.so.1", "libm.so.6"];
  assert.deepEqual(names.filter((name) => !there.includes(name)), []);
});

describe("a pod of the Deployment", () => {
  let postgres;
  let redis;
  let pod;
  let url;
  let image;

  // The manifests with an address of this machine, and secrets.
  const pods = (listen, secrets) => {
    const values = {
      "config.yaml": { "0.0.0.0:3000": listen, "${DATABASE_URL}": "${DATABASE_URL}" },
      "secret.yaml": Object.fromEntries(Object.entries(secrets).map(([name, value]) => [`${name}: ""`, `${name}: ${JSON.stringify(value)}`])),
    };
    return objects(...manifests.map((name) => filled(`${MANIFESTS}/${name}`, values[name] ?? {})));
  };

  before(async () => {
    [postgres, redis] = await Promise.all([PostgresServer.start(), RedisServer.start()]);
    // An image of one's own: with a plugin.
    image = mkdtempSync(join(tmpdir(), "tidegate-image-"));
    chmodSync(image, 0o755);
    mkdirSync(join(image, "ping"));
    const manifest = readFileSync(join(repository, "plugins/ping/plugin.yaml"), "utf8");
    writeFileSync(join(image, "ping/plugin.yaml"), `${manifest.replace(/^component: .*$/m, "component: ping.wasm").replace(/^build: .*$/m, "")}limits: { wall: 10s }\n`);
    cpSync(join(components.shipped.directory, "ping.wasm"), join(image, "ping/ping.wasm"));
    const listen = `127.0.0.1:${await freePort()}`;
    url = `http://${listen}`;
    const all = pods(listen, {
      TIDEGATE_JWT_SECRET: SECRET, TIDEGATE_API_KEY: KEYS.backend, TIDEGATE_OPERATOR_KEY: KEYS.operator,
      DATABASE_URL: postgres.url, REDIS_URL: redis.url,
    });
    pod = new Pod(all, "tidegate", { "/etc/tidegate/plugins": image });
    pod.start();
    await pod.passes("startupProbe", url);
    await pod.passes("readinessProbe", url);
  });
  after(async () => {
    await pod?.stop();
    await Promise.all([postgres?.stop(), redis?.stop()]);
    if (image) rmSync(image, { recursive: true });
  });

  // A stock client, subscribed.
  async function reader(topic) {
    const socket = io(url, { forceNew: true, transports: ["websocket"], auth: { token: token("u1", {}, { secret: SECRET }) } });
    await next(socket, "connect");
    await subscribe(socket, topic);
    return socket;
  }

  const publish = (topic, payload) =>
    fetch(`${url}/v1/channels/${topic}/publish`, {
      method: "POST", headers: { authorization: `Bearer ${KEYS.backend}` }, body: JSON.stringify(payload),
    }).then(({ status }) => status);

  // A ConfigMap's data as `kubectl` makes it from a directory.
  function configMap(directory) {
    const made = execFileSync(
      program("kubectl", "kubernetes-client"),
      ["create", "configmap", "made", `--from-file=${directory}`, "--dry-run=client", "-o", "yaml"],
      { encoding: "utf8", cwd: repository },
    );
    return parse(made).data;
  }

  test("serves what its ConfigMaps declare, without a right and without a writable root", async () => {
    const socket = await reader("news.sport");
    const arrived = next(socket, "news.sport");
    assert.equal(await publish("news.sport", { id: "1", title: "First" }), 202);
    assert.deepEqual((await arrived)[0], { id: "1", title: "First" });
    assert.equal(await publish("news.sport", { id: 1 }), 422);
    const status = readFileSync(`/proc/${pod.process.pid}/status`, "utf8");
    assert.match(status, /^NoNewPrivs:\t1$/m);
    const [, healthcheck] = /HEALTHCHECK [^]*?CMD (\[.*\])$/m.exec(readFileSync(join(repository, "config/deploy/Containerfile"), "utf8"));
    assert.equal(pod.run(...JSON.parse(healthcheck)), "live\n");
    if (process.getuid() === 0) assert.match(status, /^Uid:\t65532\t65532\t65532\t65532$[^]*^CapEff:\t0+$/m);
    socket.close();
  });

  test("serves a new channel and a new schema after their volumes were swapped, and drops no socket", async () => {
    const socket = await reader("news.sport");
    socket.on("disconnect", (reason) => assert.fail(reason));
    // The shipped channels: made into ConfigMaps by the commands of the manual, and with a plugin of the image.
    const channels = configMap("channels");
    delete channels["vault.yaml"];
    pod.volumes.schemas.swap({ ...pod.all.get("ConfigMap/tidegate-schemas").data, ...configMap("channels/schemas") });
    pod.volumes.channels.swap({ ...pod.all.get("ConfigMap/tidegate-channels").data, ...channels });
    // The volumes are swapped one after the other: two reloads, or one.
    await until("the new channel", async () => (await ask(socket, "subscribe", { channel: "blog.article.feed" })).ok).catch((error) => {
      throw new Error(`${error.message}\n${pod.lines.slice(-20).join("\n")}`);
    });
    const article = next(socket, "blog.article.feed");
    assert.equal(await publish("blog.article.feed", { id: "7", title: "Seventh" }), 202);
    assert.equal((await article)[0].id, "7");
    await subscribe(socket, "realtime-ping");
    assert.equal((await ask(socket, "realtime-ping", { n: 1 })).ok, true, "the plugin of the image answers");
    socket.removeAllListeners("disconnect").close();
  });

  test("serves the generation before while a new version is wrong, and says what is wrong in the log and the metrics", async () => {
    const socket = await reader("news.sport");
    socket.on("disconnect", (reason) => assert.fail(reason));
    const good = pod.all.get("ConfigMap/tidegate-channels").data;
    pod.volumes.channels.swap({ "news.yaml": good["news.yaml"].replace("scope: authenticated", "scope: everybody") });
    const { first } = await pod.logged("reload.rejected");
    assert.match(first, /news\.yaml:\d+:\d+.*everybody/s);
    const metrics = await fetch(`${url}/metrics`).then((response) => response.text());
    assert.match(metrics, /^tidegate_reloads_total\{outcome="rejected"\} [1-9]/m);
    const arrived = next(socket, "news.sport");
    assert.equal(await publish("news.sport", { id: "2", title: "Second" }), 202);
    assert.equal((await arrived)[0].id, "2");
    assert.equal((await fetch(`${url}/readyz`)).status, 200);
    pod.volumes.channels.swap({ "news.yaml": good["news.yaml"].replace("news.{section}", "late.{section}") });
    await until("the next good version", async () => (await publish("late.sport", { id: "3", title: "Third" })) === 202);
    socket.removeAllListeners("disconnect").close();
    assert.equal(await publish("news.sport", { id: "3", title: "Third" }), 404);
  });

  test("ends in order within its grace", async () => {
    const socket = await reader("late.sport");
    const told = next(socket, "tidegate");
    const ended = pod.terminate();
    assert.equal((await told)[0].type, "draining");
    assert.equal(await ended, 0);
    socket.close();
  });

  test("does not start while a secret is empty, and says which", async () => {
    const empty = new Pod(pods("127.0.0.1:0", {}), "tidegate", { "/etc/tidegate/plugins": null });
    empty.start();
    assert.equal(await empty.exited, 78);
    assert.match(empty.lines.join("\n"), /TIDEGATE_JWT_SECRET/);
    await empty.stop();
  });
});
