#!/usr/bin/env bash
# Guess: Math.random() in a component of componentize-qjs draws other numbers in every instance, as in every page and process.
# Real: the generator's state is in the snapshot that the build takes; all instances of a component draw the same, for ever.
# Here: two users, two nodes and two restarts would get the same "random" ids; the SDK seeds it from the host in each instance.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
echo '{"private":true,"type":"module"}' > package.json
npm install --silent --no-audit --no-fund --save-exact componentize-qjs@0.4.5
python3 -m pip install --quiet --disable-pip-version-check --target python wasmtime==48.0.0
cat > draw.wit <<'WIT'
package a:b;
world draws { export draw: func() -> string; }
WIT
echo 'export const draw = () => `${Math.random()} ${Math.random()}`;' > draw.js
npx --no-install componentize-qjs --wit draw.wit --world draws --js draw.js --sync --output draw.wasm > /dev/null
echo "componentize-qjs 0.4.5, wasmtime 48.0.0"
PYTHONPATH=python python3 - <<'PYTHON'
from wasmtime import Engine, Store, WasiConfig
from wasmtime.component import Component, Linker

engine = Engine()
linker = Linker(engine)
# With the randomness of the machine.
linker.add_wasip2()
component = Component.from_file(engine, "draw.wasm")

def draw():
    store = Store(engine)
    store.set_wasi(WasiConfig())
    instance = linker.instantiate(store, component)
    return instance.get_func(store, "draw")(store)

first, second = draw(), draw()
print("first instance: ", first)
print("second instance:", second)
raise SystemExit(first != second)
PYTHON
