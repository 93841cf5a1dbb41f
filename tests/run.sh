#!/usr/bin/env bash
# Runs every test, installing what is missing. Needs rustup and Node 20 or later, nothing else.
#
#   tests/run.sh            everything
#   tests/run.sh e2e        only the stages named: lint rust plugins e2e examples
set -euo pipefail
cd "$(dirname "$0")/.."

export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/tidegate/target}"
export CARGO_TERM_COLOR="${CARGO_TERM_COLOR:-never}"
stages=("${@:-all}")
started=$SECONDS

wanted() { [[ " ${stages[*]} " == *" all "* || " ${stages[*]} " == *" $1 "* ]]; }
step() { printf '\n=== %s (%ss)\n' "$1" "$((SECONDS - started))"; }

require() {
  command -v "$1" >/dev/null || { echo "error: \`$1\` is not installed" >&2; echo "hint: $2" >&2; exit 1; }
}

require cargo "install Rust with rustup: https://rustup.rs"
require node "install Node 20 or later: https://nodejs.org"
if command -v rustup >/dev/null; then
  toolchain=$(sed -n 's/^channel = "\(.*\)"/\1/p' rust-toolchain.toml)
  rustup target list --installed --toolchain "$toolchain" 2>/dev/null | grep -qx wasm32-wasip2 ||
    { step "install the toolchain's components and the wasm target"; rustup toolchain install --no-self-update; rustup target add wasm32-wasip2; }
fi

if wanted lint; then
  step "format"
  cargo fmt --all --check
  (cd plugins && cargo fmt --all --check)
  step "lints: host"
  cargo clippy --workspace --all-targets --locked -- -D warnings
  step "documentation"
  RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --locked --quiet
fi

if wanted rust; then
  step "tests: host"
  cargo test --workspace --locked
fi

if wanted plugins; then
  step "tests: plugins and SDK"
  (cd plugins && CARGO_TARGET_DIR="$CARGO_TARGET_DIR/plugins" cargo clippy --workspace --all-targets --locked -- -D warnings)
  (cd plugins && CARGO_TARGET_DIR="$CARGO_TARGET_DIR/plugins" cargo test --workspace --locked)
fi

if wanted e2e; then
  step "end to end: the stock client against the real binary"
  cargo build --locked
  (cd tests/e2e && npm ci --silent --no-audit --no-fund && npm test)
fi

if wanted examples; then
  step "examples"
  cargo build --locked
  for example in examples/*/; do
    [[ -f "$example/test.mjs" ]] || continue
    (cd "$example" && npm ci --silent --no-audit --no-fund && node --test test.mjs)
  done
fi

step "all passed"
