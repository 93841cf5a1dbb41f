#!/bin/sh
# Makes a component of a module: `sh build.sh plugin.py plugin.wasm handler authorizer`, the kinds it exports last.
# The toolchain is installed on first use, once for all plugins: ${XDG_CACHE_HOME:-~/.cache}/tidegate/toolchains.
set -eu

VERSION=0.25.1
KINDS="handler authorizer snapshot transform connection"

fail() { # exit code, error, hint
  printf 'error: %s\nhint: %s\n' "$2" "$3" >&2
  exit "$1"
}

[ $# -ge 3 ] || fail 64 "usage: build.sh <module.py> <component.wasm> <kind>..." "the kinds are $KINDS"
module=$1 output=$2
shift 2
for kind; do
  case " $KINDS " in *" $kind "*) ;; *) fail 64 "there is no kind \`$kind\`" "the kinds are $KINDS" ;; esac
done
[ -f "$module" ] || fail 66 "there is no file $module" "name the module of the plugin, with its path"
name=$(basename "$module" .py)
case $name in
  *[!a-zA-Z0-9_]* | [0-9]*) fail 64 "\`$name\` is no name of a module" "letters, digits and _ only: plugin.py" ;;
  tidegate_*) fail 64 "\`$name\` is taken" "call it plugin.py" ;;
esac

python=${PYTHON:-python3}
command -v "$python" >/dev/null || fail 69 "\`$python\` is not installed" "install Python 3.11 or later and its venv module (Debian, Ubuntu: apt install python3-venv)"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
  fail 69 "\`$python\` is $("$python" --version 2>&1)" "install Python 3.11 or later, or name one in \$PYTHON"

toolchain="${XDG_CACHE_HOME:-$HOME/.cache}/tidegate/toolchains/componentize-py-$VERSION"
if [ ! -d "$toolchain" ]; then
  mkdir -p "$(dirname "$toolchain")"
  # Made aside and moved in one step, by one build at a time: an interrupted one leaves no half of it, and no lock.
  "$python" - "$toolchain" "componentize-py==$VERSION" <<'EOF_PYTHON' || case $? in
import fcntl
import os
import shutil
import subprocess
import sys

toolchain, requirement = sys.argv[1:]
with open(f"{toolchain}.lock", "w") as lock:
    fcntl.flock(lock, fcntl.LOCK_EX)
    if not os.path.isdir(toolchain):
        aside = f"{toolchain}.aside"
        # What is left of a build that was killed.
        shutil.rmtree(aside, ignore_errors=True)
        print(f"installing {requirement} into {toolchain}", file=sys.stderr)
        if subprocess.run([sys.executable, "-m", "venv", aside], stdout=sys.stderr).returncode:
            sys.exit(3)
        pip = [f"{aside}/bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", requirement]
        if subprocess.run(pip, stdout=sys.stderr).returncode:
            shutil.rmtree(aside)
            sys.exit(4)
        os.rename(aside, toolchain)
EOF_PYTHON
    3) fail 69 "\`$python -m venv\` does not work" "install Python's venv module (Debian, Ubuntu: apt install python3-venv)" ;;
    *) fail 69 "componentize-py $VERSION cannot be installed" "it comes from the Python Package Index: is there a network, and what does pip say above?" ;;
  esac
fi

sdk=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/app"
# The interpreter that imports the module writes `__pycache__` where it can: into copies, not beside the source.
cp -R "$(cd "$(dirname "$module")" && pwd)/." "$work/plugin"
cp -R "$sdk/tidegate_plugin" "$work/app/tidegate_plugin"
contract="$sdk/wit"
[ -d "$contract" ] || contract="$sdk/../../../wit"
cp -R "$contract" "$work/wit"

# The component imports what its world names. What needs a grant is in it only where the module imports it.
granted=$(cd "$work/plugin" && PYTHONDONTWRITEBYTECODE=1 "$toolchain/bin/python" - "$name" "$work/app" <<'EOF_PYTHON'
import importlib
import sys

name, app = sys.argv[1:]
sys.path[:0] = [app, "."]
stdout, sys.stdout = sys.stdout, sys.stderr
importlib.import_module(name)
worlds = {"secrets": "host/secrets", "kv": "kv/store", "queries": "sql/queries", "http": "http/client"}
for module, interface in worlds.items():
    if f"tidegate_plugin.{module}" in sys.modules:
        print(f"    import tidegate:{interface}@0.1.0;", file=stdout)
EOF_PYTHON
) || fail 1 "$module cannot be imported" "what Python says is above; the module is run while the component is built"
{
  printf 'package tidegate:plugin@0.3.0;\n\nworld built {\n%s\n' "$granted"
  for kind; do printf '    include %s-plugin;\n' "$kind"; done
  printf '}\n'
} >"$work/wit/built.wit"
{
  printf 'import %s\n' "$name"
  for kind; do
    class=$(printf '%s' "$kind" | cut -c1 | tr a-z A-Z)$(printf '%s' "$kind" | cut -c2-)
    printf 'from tidegate_plugin.component.%s import %s\n' "$kind" "$class"
  done
} >"$work/app/tidegate_app.py"

# Beside the output first: nobody loads half a component.
"$toolchain/bin/python" -c 'import sys; from componentize_py import script; sys.argv[0] = "componentize-py"; sys.exit(script())' \
  -d "$work/wit" -w built componentize tidegate_app \
  -p "$work/app" -p "$work/plugin" -o "$work/component.wasm" >&2 ||
  fail 1 "componentize-py failed on $module" "what it says is above; the module is run while the component is built"
aside="${output%.wasm}.$$.wasm"
mv "$work/component.wasm" "$aside"
mv "$aside" "$output"
