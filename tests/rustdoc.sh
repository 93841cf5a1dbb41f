#!/usr/bin/env bash
# Stands in for rustdoc while `cargo test` runs the examples of a crate: makes the crate's pages too, so that a link to
# nothing and every other warning fails. `cargo doc` would have every dependency checked for it.
set -euo pipefail
pages=()
skip=
for argument in "$@"; do
  if [[ -n $skip ]]; then skip=; continue; fi
  case $argument in
    --test) ;;
    --test-run-directory) skip=1 ;;
    *) pages+=("$argument") ;;
  esac
done
if [[ " $* " == *" --test "* ]]; then
  made=$(mktemp -d)
  trap 'rm -rf "$made"' EXIT
  rustdoc "${pages[@]}" -D warnings --out-dir "$made"
fi
rustdoc "$@"
