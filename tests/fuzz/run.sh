#!/usr/bin/env bash
# Fuzzes one target, guided by what it covers, with the toolchain of the repository and a C++ compiler, nothing else.
#
#   tests/fuzz/run.sh TARGET [SECONDS] [libFuzzer's options]      TARGET is a file of fuzz_targets/, 60 seconds by default
#
# What is found is kept below the target directory, for the next run; an input that fails as well, and its path is printed.
set -euo pipefail
cd "$(dirname "$0")"

target=${1:?a target: $(cd fuzz_targets && echo *.rs | sed 's/\.rs//g')}
seconds=${2:-60}
shift $(( $# < 2 ? $# : 2 ))

# The coverage that libFuzzer asks for, without cargo-fuzz and a nightly toolchain. With `--target`, the flags are not for
# what runs while it compiles.
host=$(rustc -vV | sed -n 's/^host: //p')
sancov=(-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters
  -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1)
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/tidegate/target}/fuzz"
RUSTFLAGS="${sancov[*]} --cfg fuzzing" cargo build --release --target "$host" --bin "$target"

found="$CARGO_TARGET_DIR/corpus/$target"
mkdir -p "$found" "$CARGO_TARGET_DIR/failed/$target"
# libFuzzer's `main` does not ignore it, as that of Rust does: a client that is gone would end the run.
trap "" PIPE
exec "$CARGO_TARGET_DIR/$host/release/$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 \
  -artifact_prefix="$CARGO_TARGET_DIR/failed/$target/" "$@" "$found" "corpus/$target"
