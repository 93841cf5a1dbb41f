// What examples start with starts, and is gone afterwards.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import { test } from "node:test";

import { startPostgres } from "./postgres.mjs";
import { startRedis } from "./redis.mjs";
import { tidegate } from "./tidegate.mjs";

const answers = (url) =>
  new Promise((resolve) => {
    const { hostname, port } = new URL(url);
    const socket = connect(Number(port), hostname, () => resolve(true));
    socket.once("error", () => resolve(false)).once("connect", () => socket.destroy());
  });

for (const [name, start] of [["PostgreSQL", startPostgres], ["Redis", startRedis]]) {
  test(`a ${name} of this machine runs until it is stopped`, async () => {
    const server = await start("");
    assert.equal(server.isLocal, true);
    assert.equal(await answers(server.url), true);
    await server.stop();
    assert.equal(await answers(server.url), false);
  });

  test(`a ${name} that runs already is taken, and not stopped`, async () => {
    const url = `${name.toLowerCase()}://127.0.0.1:1/`;
    const server = await start(url);
    assert.deepEqual([server.url, server.isLocal], [url, false]);
    await server.stop();
  });
}

test("a server that is not installed: the error names the package and the variable, and ends what ran already", async () => {
  const here = (name) => JSON.stringify(new URL(name, import.meta.url).href);
  const script = `
    import { findProgram } from ${here("local-server.mjs")};
    import { startRedis } from ${here("redis.mjs")};
    import { together } from ${here("together.mjs")};
    await together(async (add) => {
      console.log(add(await startRedis("")).url);
      findProgram("no-such-server", { packageName: "such-servers", variable: "SUCH_URL" });
    });`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", script], { stdio: ["ignore", "pipe", "pipe"] });
  let [printed, said] = ["", ""];
  child.stdout.on("data", (chunk) => (printed += chunk));
  child.stderr.on("data", (chunk) => (said += chunk));
  const [code] = await once(child, "close");
  assert.equal(code, 1);
  assert.match(said, /^error: `no-such-server` is not installed\nhint: .*apt-get install such-servers.*SUCH_URL/);
  assert.equal(await answers(printed.trim()), false);
});

test("TIDEGATE_BIN names the binary, and its commands print", () => {
  process.env.TIDEGATE_BIN = process.execPath;
  assert.equal(tidegate("--version").trim(), process.version);
});
