#!/usr/bin/env bash
# The wheel, by maturin. maturin has cargo build the program, with settings of its own; ours is built, and cargo.mjs says so.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
command -v python3 >/dev/null || { echo "error: \`python3\` is not installed" >&2; echo "hint: install Python 3.8 or later with its venv module" >&2; exit 1; }

# One environment for all runs, for the version of maturin that pyproject.toml names.
pinned=$(sed -n 's/^requires = \["\(.*\)"\]/\1/p' "$here/pyproject.toml")
environment=${TARGET_DIRECTORY:?}/packages-$pinned
[[ -x $environment/bin/maturin ]] || { python3 -m venv "$environment" && "$environment/bin/pip" install --quiet "$pinned"; }

cp "$FILES"/{LICENSE,README.txt,THIRD-PARTY.txt} "$here/pyproject.toml" "$WORK/wheel"
cd "$WORK/wheel"
printf 'manifest-path = "%s"\n' "$ROOT/host/server/Cargo.toml" >> pyproject.toml
REAL_CARGO=$(command -v cargo) CARGO=$here/cargo.mjs "$environment/bin/maturin" build --quiet --release --out "$OUT"
# What it knows of the program's libraries is for who installs another package, too.
python3 - "$OUT" "$VERSION" <<'PYTHON'
import glob, sys, zipfile
out, version = sys.argv[1:]
[wheel] = glob.glob(f"{out}/tidegate-{version}-*.whl")
with zipfile.ZipFile(wheel) as files:
    [name] = [name for name in files.namelist() if name.endswith(".dist-info/sboms/tidegate.cyclonedx.json")]
    with open(f"{out}/tidegate-{version}.cyclonedx.json", "wb") as sbom:
        sbom.write(files.read(name))
PYTHON
