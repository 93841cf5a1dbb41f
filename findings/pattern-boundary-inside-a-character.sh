#!/usr/bin/env bash
# One would guess: with the `u` flag a JavaScript pattern works by code points, so no match begins inside a character.
# Real: V8 looks for `\B` between the two halves of a surrogate pair too, and finds it: replace() with /\B/gu cuts a letter in two.
# Why it matters here: a `pattern` with `\B` judges a text with a letter beyond U+FFFF otherwise in a page (ajv) than in the server, by ECMA-262.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund ajv@8.20.0
cat > ask.cjs <<'JS'
const Ajv = require("ajv/dist/2020");
const text = "a\u{20BB7}b";
const cut = text.replace(/\B/gu, "|");
const valid = new Ajv().compile({ type: "string", pattern: "\\B" })(text);
console.log(`node ${process.versions.node}, v8 ${process.versions.v8}, ajv 8.20.0`);
console.log(`${JSON.stringify(text)}.replace(/\\B/gu, "|") is ${JSON.stringify(cut)}`);
console.log(`ajv takes it for { pattern: "\\\\B" }: ${valid}`);
process.exit(cut === "a\ud842|\udfb7b" && valid ? 0 : 1);
JS
node ask.cjs
