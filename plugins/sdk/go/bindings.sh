#!/bin/sh
# Makes `internal/gen/` of `wit/`, with wit-bindgen-cli 0.63.0
# (`cargo install --locked wit-bindgen-cli@0.63.0 --no-default-features --features go`).
# `internal/wit/` is the generator's own run-time support, of the same version, without futures and streams.
# Both become packages of this module, so that a plugin needs no other.
set -eu
cd "$(dirname "$0")"
gen=internal/gen
wit=$(mktemp)
trap 'rm -f "$wit"' EXIT
node ../componentize/wit.mjs > "$wit"
find "$gen" -mindepth 1 -maxdepth 1 ! -name 'export_*' -exec rm -r {} +
wit-bindgen go "$wit" --world guest --out-dir "$gen"
rm "$gen/go.mod"
mkdir "$gen/exports"
# A plugin has a `main` of its own.
sed -e 's/^package main$/package exports/' -e '/^func main() {}$/d' "$gen/wit_exports.go" > "$gen/exports/wit_exports.go"
rm "$gen/wit_exports.go"
find "$gen" -name '*.go' -exec sed -i -e 's#"wit_component/#"tidegate/internal/gen/#' \
  -e 's#"go.bytecodealliance.org/pkg/wit/#"tidegate/internal/wit/#' {} +
