// The document that a server answers at /openapi.json: two validators of others take it, and schemathesis, which makes
// requests from it, finds no answer that it does not tell and none of 5xx.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { createConfig, lintFromString } from "@redocly/openapi-core";

import { Server } from "@tidegate/kit/harness.mjs";
import { repository } from "@tidegate/kit/paths.mjs";
import { pythonPackages } from "@tidegate/kit/python.mjs";

const kit = join(repository, "tests/kit");
// Requests for each operation: more by hand, with SCHEMATHESIS_EXAMPLES=1000.
const EXAMPLES = process.env.SCHEMATHESIS_EXAMPLES ?? "20";
const ROOT_KEY = "e2e-key-that-may-do-everything-0123456789";

const CHANNELS = `
feature: documents
channels:
  docs.kept.{room}:
    scope: public
    payload: { type: object, properties: { n: { type: integer } } }
    history: { messages: 20 }
    presence: true
  docs.values:
    scope: authenticated
    payload: {}
    delivery: { mode: latest, key: /id }
    snapshot: { retain: latest }
`;
// What valid requests get.
const SERVED = {
  "/v1/channels/{topic}/publish": 202,
  "/v1/channels/{topic}/history": 200,
  "/v1/channels/{topic}/presence": 200,
  "/v1/channels/{topic}/retained": 200,
  "/v1/publish": 200,
  "/v1/events": 202,
  "/v1/revoke": 202,
  "/v1/dead-letters": 200,
};
const BRIDGE = "rules:\n  - { on: docs.made, to: 'docs.kept.{room}', params: { room: event.data.room } }\n";

let server;
let environment;
before(async () => {
  server = await Server.start({
    plugins: false,
    channels: { "documents.yaml": CHANNELS },
    config: (config) => ({ ...config, api_keys: [...config.api_keys, { name: "everything", key: ROOT_KEY }] }),
    files: (directory) => writeFileSync(join(directory, "config/bridge.yaml"), BRIDGE),
  });
  environment = { ...process.env, PYTHONPATH: pythonPackages(join(kit, "requirements-documents.txt")), PYTHONDONTWRITEBYTECODE: "1" };
});
after(() => server?.stop());

test("Redocly's rules find nothing in the document", async () => {
  const source = await (await fetch(`${server.url}/openapi.json`)).text();
  // What is for everybody and takes nothing has no 4xx; an event of a stream has no place in a document of 3.1.
  const rules = { "operation-4xx-response": "off", "no-unused-components": "off" };
  const problems = await lintFromString({ source, config: await createConfig({ extends: ["recommended"], rules }) });
  assert.deepEqual(problems.map(({ ruleId, message, location }) => `${ruleId} ${location[0]?.pointer}: ${message}`), []);
});

test("openapi-spec-validator takes the document", async () => {
  const file = join(server.directory, "openapi.json");
  writeFileSync(file, await (await fetch(`${server.url}/openapi.json`)).text());
  const { status, stdout, stderr } = spawnSync("python3", ["-m", "openapi_spec_validator", file], { env: environment, encoding: "utf8" });
  assert.equal(status, 0, stdout + stderr);
});

test("schemathesis finds no answer that the document does not tell, and none of 5xx", async () => {
  const run = [
    "-c", "import sys; from schemathesis.cli import schemathesis; sys.exit(schemathesis())",
    "--config-file", join(kit, "schemathesis.toml"),
    "run", `${server.url}/openapi.json`, "--max-examples", EXAMPLES, "--workers", "1",
    "--header", `Authorization: Bearer ${ROOT_KEY}`,
  ];
  const { status, stdout, stderr } = spawnSync("python3", run, {
    cwd: server.directory,
    env: { ...environment, SCHEMATHESIS_HOOKS: "schemathesis_hooks", PYTHONPATH: `${kit}:${environment.PYTHONPATH}` },
    encoding: "utf8",
  });
  assert.equal(status, 0, stdout + stderr);
  // It came further than refusals.
  const metrics = (await (await fetch(`${server.url}/metrics`)).text()).split("\n");
  for (const [route, status] of Object.entries(SERVED)) {
    const counts = (line) => line.startsWith("tidegate_http_requests_total{") && line.includes(`"${route}"`) && line.includes(`"${status}"`);
    assert.ok(metrics.some(counts), `${route} was never answered with ${status}: ${metrics.filter((line) => line.includes(route)).join("\n")}`);
  }
});
