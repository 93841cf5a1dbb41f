#!/usr/bin/env bash
# Runs the tests of the Python publisher against the binary. The packages of requirements.txt are installed once, below the
# target directory.
set -euo pipefail
cd "$(dirname "$0")"

target="${CARGO_TARGET_DIR:-../../target}"
mkdir -p "$target"
name=$( (python3 --version; cat requirements.txt) | sha256sum | cut -c1-16)
packages=$(realpath "$target")/python-publisher-$name
if [[ ! -d "$packages" ]]; then
  aside=$(mktemp -d "$packages.XXXXXX")
  PIP_ROOT_USER_ACTION=ignore python3 -m pip install --quiet --disable-pip-version-check --no-deps \
    --target "$aside" --requirement requirements.txt
  mv -T "$aside" "$packages"
fi
export PYTHONPATH="$packages:$PWD/src" PYTHONDONTWRITEBYTECODE=1
exec python3 -m pytest -q "$@"
