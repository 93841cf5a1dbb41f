// What `tidegate asyncapi` prints: the official parser takes it, and its schemas judge payloads as the server does.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";

import { Parser } from "@asyncapi/parser";
import Ajv from "ajv";
import Ajv2020 from "ajv/dist/2020.js";

import { binary, repository } from "@tidegate/kit/paths.mjs";

const DRAFT_2020 = "application/schema+json;version=draft-2020-12";
// Formats are the server's to check.
const options = { strict: false, validateFormats: false };

let directory;
before(() => {
  directory = mkdtempSync(join(tmpdir(), "tidegate-asyncapi-"));
});
after(() => rmSync(directory, { recursive: true, force: true }));

// A project with the manifests of a directory of the tests.
function project(of) {
  const root = join(directory, of);
  mkdirSync(join(root, "config"), { recursive: true });
  cpSync(join(repository, "tests", of, "channels"), join(root, "channels"), { recursive: true });
  writeFileSync(join(root, "config/tidegate.yaml"), "store: 'sqlite::memory:'\nauth: { cookie: sid }\n");
  return root;
}

const tidegate = (root, ...args) => execFileSync(binary(), args, { cwd: root, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });

async function parsed(text) {
  const { document, diagnostics } = await new Parser().parse(text);
  const errors = diagnostics.filter(({ severity }) => severity === 0).map(({ message, path }) => `${path.join("/")}: ${message}`);
  assert.deepEqual(errors, []);
  assert.ok(document, "an error means no document");
  return document;
}

// The message of a channel: what subscribers receive, or what clients send.
function payloadOf(document, channel, what) {
  const declared = Object.values(document.channels).find(({ address }) => address === channel);
  return declared.messages[what === "payload" ? "publication" : "message"].payload;
}

// Judges payloads as a tool would that reads the document.
function judge(document, payload) {
  const text = payload["x-json-schema"];
  if (text) {
    const ajv = new Ajv2020(options);
    for (const [path, file] of Object.entries(text.files)) ajv.addSchema(JSON.parse(file), `file:///${path}`);
    return { form: "text", valid: ajv.compile({ $id: "file:///-", ...JSON.parse(text.schema) }) };
  }
  const components = document.components;
  const [, name] = payload.$ref.match(/^#\/components\/schemas\/(\w+)$/);
  const component = components.schemas[name];
  if (component.schemaFormat === DRAFT_2020) {
    assert.ok(component["x-reason"], name);
    return { form: "2020-12", valid: new Ajv2020(options).compile({ $ref: `#/components/schemas/${name}/schema`, components }) };
  }
  return { form: "draft-07", valid: new Ajv(options).compile({ allOf: [payload], components }) };
}

// Tools drop what stands beside a reference.
function lonely(value, path = "") {
  if (typeof value !== "object" || value === null) return;
  if (typeof value.$ref === "string") assert.deepEqual(Object.keys(value), ["$ref"], path);
  for (const [key, inside] of Object.entries(value)) lonely(inside, `${path}/${key}`);
}

for (const [of, kept] of [
  ["types", {}],
  ["asyncapi", { "words.counted": "2020-12", "words.closed": "2020-12", "words.dynamic": "text" }],
]) {
  describe(`the channels of tests/${of}`, () => {
    const examples = JSON.parse(readFileSync(join(repository, "tests", of, "examples.json"), "utf8"));
    let root;
    let document;
    before(() => {
      root = project(of);
      document = JSON.parse(tidegate(root, "asyncapi"));
    });

    test("are a document that the official parser takes without an error", async () => {
      const seen = await parsed(JSON.stringify(document));
      const addresses = seen.channels().all().map((channel) => channel.address());
      assert.deepEqual(addresses.filter((address) => address in examples).sort(), Object.keys(examples).sort());
      lonely(document);
    });

    test("have schemas that judge every example as the server does", () => {
      for (const [channel, kinds] of Object.entries(examples)) {
        for (const [what, { accepts, refuses }] of Object.entries(kinds)) {
          const { form, valid } = judge(document, payloadOf(document, channel, what));
          assert.equal(form, kept[channel] ?? "draft-07", channel);
          for (const payload of accepts) assert.ok(valid(payload), `${channel} ${what} ${JSON.stringify(payload)}`);
          for (const payload of refuses) assert.ok(!valid(payload), `${channel} ${what} ${JSON.stringify(payload)}`);
        }
      }
      // The server's own word.
      mkdirSync(join(root, "channels/tests"), { recursive: true });
      for (const [number, [channel, kinds]] of Object.entries(examples).entries()) {
        const topic = channel.replace(/\{\w+\}/g, "x1");
        writeFileSync(join(root, `channels/tests/${number}.json`), JSON.stringify({ topic, ...kinds }));
      }
      tidegate(root, "check");
    });
  });
}

test("a document is written in YAML, for some channels, for the server's address and its credentials", async () => {
  const root = project("asyncapi");
  const said = tidegate(root, "asyncapi", "--format", "yaml", "--out", "channels.yaml", "--channel", "words.reference", "--url", "https://rt.example.com");
  assert.equal(said, "wrote channels.yaml\n");
  const document = await parsed(readFileSync(join(root, "channels.yaml"), "utf8"));
  const addresses = document.channels().all().map((channel) => channel.address());
  assert.deepEqual(addresses.sort(), ["authenticate", "subscribe", "tidegate", "unsubscribe", "words.reference"]);
  const [server] = document.servers().all();
  assert.deepEqual([server.host(), server.pathname(), server.protocol()], ["rt.example.com", "/socket.io/", "socketio-secure"]);
  const schemes = document.securitySchemes().all().map((scheme) => [scheme.type(), scheme.in(), scheme.name()]);
  assert.deepEqual(schemes, [["http", undefined, undefined], ["httpApiKey", "cookie", "sid"]]);
  const operations = document.operations().all().map((operation) => [operation.id(), operation.action(), operation.reply()?.messages().length ?? 0]);
  assert.deepEqual(operations.filter(([id]) => id.includes("Words")), [["publishWordsReference", "send", 0], ["receiveWordsReference", "receive", 1]]);
});

test("the shipped channels are a document that the official parser takes", async () => {
  await parsed(tidegate(repository, "asyncapi"));
});
