#!/usr/bin/env bash
# One would guess: the parser of AsyncAPI keeps the keywords beside a `$ref`, as JSON Schema 2020-12 does, and checks a schema whose `schemaFormat` says 2020-12.
# Real: what stands beside a `$ref` is gone, and a 2020-12 schema of nonsense is taken. Neither gives an error or a warning about it.
# Here: `tidegate asyncapi` writes `allOf` in place of keywords beside a `$ref`, and translates schemas to draft-07 wherever draft-07 can say them.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{"private":true,"type":"module","scarfSettings":{"enabled":false}}' > package.json
npm install --silent --no-audit --no-fund --save-exact @asyncapi/parser@3.6.6
cat > dialect.mjs <<'JS'
import { Parser } from "@asyncapi/parser";

const document = (payload) => ({
  asyncapi: "3.0.0",
  info: { title: "t", version: "1" },
  channels: { a: { address: "a", messages: { m: { payload } } } },
  components: { schemas: { Named: { type: "object" } } },
});
console.log(`node ${process.versions.node}, @asyncapi/parser 3.6.6`);
for (const [what, payload] of [
  ["beside a $ref", { $ref: "#/components/schemas/Named", required: ["name"] }],
  ["2020-12", { schemaFormat: "application/schema+json;version=draft-2020-12", schema: { type: "nonsense" } }],
  ["draft-07", { schemaFormat: "application/schema+json;version=draft-07", schema: { type: "nonsense" } }],
]) {
  const { document: read, diagnostics } = await new Parser().parse(document(payload));
  const errors = diagnostics.filter(({ severity }) => severity === 0).length;
  const payloadRead = read?.channels().get("a").messages().get("m").payload().json();
  const schema = payloadRead?.schema ?? payloadRead;
  console.log(`${what}: ${errors ? "errors" : "no error"}, ${JSON.stringify(schema && { type: schema.type, required: schema.required })}`);
}
JS
node dialect.mjs | tee seen
tail -n 3 seen | diff - <(printf '%s\n' 'beside a $ref: no error, {"type":"object"}' '2020-12: no error, {"type":"nonsense"}' 'draft-07: errors, undefined')
