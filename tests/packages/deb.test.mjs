// The Debian package: installed by dpkg in a fresh Debian, where systemd runs its service.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { copyFileSync, cpSync, existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";

import { token, until } from "@tidegate/kit/harness.mjs";
import { components, repository } from "@tidegate/kit/paths.mjs";
import { Machine } from "./machine.mjs";
import { packageFile, version } from "./made.mjs";

const DEB = () => packageFile(/\.deb$/);
const URL = "http://127.0.0.1:3000";
// Of 100, as `systemd-analyze security` counts: 14 is left, for the network and for compiling plugins.
const EXPOSURE_MAX = "15";

test("lintian has nothing to say about the package", () => {
  assert.equal(execFileSync("lintian", ["--allow-root", "--fail-on", "error,warning", DEB()], { encoding: "utf8" }), "");
});

describe("in a fresh Debian", { skip: process.getuid() !== 0 && "needs root" }, () => {
  let machine;
  before(() => {
    machine = new Machine();
  });
  after(() => machine.remove());

  const done = async (...command) => {
    const { code, stdout, stderr } = await machine.run(...command);
    assert.equal(code, 0, `${command.join(" ")}: ${stdout}${stderr}`);
    return stdout;
  };
  const property = async (name) => (await done("systemctl", "show", "--value", "-p", name, "tidegate")).trim();
  const client = async (...args) => {
    const { code, stdout, stderr } = await machine.runBeside(process.execPath, join(import.meta.dirname, "client.mjs"), URL, ...args);
    assert.equal(code, 0, stdout + stderr);
  };
  const served = () => client("greetings", '{"text":"hello"}', '{"text":"hello"}');
  const publish = async (topic, payload) => {
    const key = /^TIDEGATE_API_KEY=(.*)$/m.exec(machine.read("etc/tidegate/secrets.env"))[1];
    const headers = ["-H", `authorization: Bearer ${key}`, "-H", "content-type: application/json"];
    const url = `${URL}/v1/channels/${topic}/publish`;
    const { stdout } = await machine.runBeside("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", ...headers, "-d", payload, url);
    return Number(stdout);
  };

  // systemd says that the server was asked to reload; a moment later it has done it.
  const taken = (topic, payload) => until(`a publication on ${topic}`, async () => (await publish(topic, payload)) === 202);

  test("dpkg installs it, with a user and secrets of this installation", async () => {
    copyFileSync(DEB(), machine.path("tidegate.deb"));
    await done("dpkg", "-i", "/tidegate.deb");
    assert.match(await done("id", "tidegate"), /^uid=\d+\(tidegate\) gid=\d+\(tidegate\)/);
    assert.match(machine.read("etc/tidegate/secrets.env"), /^TIDEGATE_JWT_SECRET=[0-9a-f]{64}\nTIDEGATE_API_KEY=[0-9a-f]{64}$/m);
    assert.match(await done("stat", "-c", "%U:%G %a", "/etc/tidegate/secrets.env"), /^root:root 600\n$/);
    assert.ok((await done("tidegate", "--version")).startsWith(`tidegate ${version} (commit `));
  });

  test("systemd finds no fault with its unit, and little that the server could do besides its job", async () => {
    assert.deepEqual(await machine.run("systemd-analyze", "verify", "--man=no", "tidegate.service"), { code: 0, stdout: "", stderr: "" });
    await done("systemd-analyze", "security", "--no-pager", "--offline=yes", `--threshold=${EXPOSURE_MAX}`, "tidegate.service");
  });

  test("the service is there after the boot, for clients and for a backend", async () => {
    await machine.boot();
    assert.equal(await property("ActiveState"), "active");
    assert.equal(await property("StatusText"), "listens on 127.0.0.1:3000");
    assert.equal(await done("stat", "-c", "%U", `/proc/${await property("MainPID")}`), "tidegate\n");
    await served();
    assert.equal(await publish("greetings", '{"text":"good morning"}'), 202);
  });

  test("a plugin is compiled and called within what the unit allows", async () => {
    const etc = (path) => machine.path(join("etc/tidegate", path));
    mkdirSync(etc("plugins/ping"));
    cpSync(join(repository, "plugins/ping/plugin.yaml"), etc("plugins/ping/plugin.yaml"));
    cpSync(join(components.shipped.directory, "ping.wasm"), etc("plugins/ping/ping.wasm"));
    cpSync(join(repository, "channels/realtime-ping.yaml"), etc("channels/realtime-ping.yaml"));
    await done("systemctl", "reload", "tidegate");
    await taken("realtime-ping", '{"pong":1}');
    const secret = /^TIDEGATE_JWT_SECRET=(.*)$/m.exec(machine.read("etc/tidegate/secrets.env"))[1];
    await client("realtime-ping", '{"n":7}', '{"pong":7}', token("alice", {}, { secret }));
    assert.match(await done("journalctl", "-u", "tidegate", "-o", "cat"), /"plugin.compiled".*"cached":false/);
    assert.match(await done("stat", "-c", "%U %a", "/var/cache/tidegate"), /^tidegate 700\n$/);
  });

  test("a reload takes up what is right, and says what is wrong", async () => {
    writeFileSync(machine.path("etc/tidegate/channels/news.yaml"), "feature: news\nchannels:\n  news: { scope: public, payload: {} }\n");
    await done("systemctl", "reload", "tidegate");
    await taken("news", "1");
    writeFileSync(machine.path("etc/tidegate/channels/news.yaml"), "feature: news\nchannels:\n  news: { scop: public }\n");
    assert.notEqual((await machine.run("systemctl", "reload", "tidegate")).code, 0);
    assert.match(await done("journalctl", "-u", "tidegate", "-o", "cat"), /channels\/news\.yaml:3:\d+/);
    assert.equal(await publish("news", "2"), 202, "the server goes on with what it served before");
    writeFileSync(machine.path("etc/tidegate/channels/news.yaml"), "feature: news\nchannels:\n  news: { scope: public, payload: {} }\n");
  });

  test("installed again, it keeps what was changed, and is served again", async () => {
    const secrets = machine.read("etc/tidegate/secrets.env");
    const changed = machine.read("etc/tidegate/tidegate.yaml").replace("127.0.0.1:3000 ", "0.0.0.0:3000 ");
    writeFileSync(machine.path("etc/tidegate/tidegate.yaml"), changed);
    await done("dpkg", "-i", "/tidegate.deb");
    assert.equal(machine.read("etc/tidegate/tidegate.yaml"), changed);
    assert.equal(machine.read("etc/tidegate/secrets.env"), secrets);
    assert.equal(await property("StatusText"), "listens on 0.0.0.0:3000");
    await served();
  });

  test("a stop drains and ends well; a purge leaves nothing behind", async () => {
    await done("systemctl", "stop", "tidegate");
    assert.deepEqual([await property("Result"), await property("ExecMainStatus")], ["success", "0"]);
    assert.match(await done("journalctl", "-u", "tidegate", "-o", "cat"), /"server\.draining".*\n.*"server\.stopped"/);
    await done("dpkg", "--purge", "tidegate");
    for (const path of ["etc/tidegate/secrets.env", "etc/tidegate/tidegate.yaml", "var/lib/tidegate", "var/cache/tidegate", "usr/bin/tidegate"]) {
      assert.ok(!existsSync(machine.path(path)), path);
    }
  });
});
