#!/bin/sh
# One would guess: `when: && event.data.x`, a condition whose first half was lost, is not YAML, and every parser says so.
# Real: `&` may be the name of an anchor. yaml, js-yaml and ruamel.yaml read `event.data.x`, without a warning; PyYAML refuses.
# Here: a bridge rule would let more cross than its author meant, so an anchor that nothing refers to is a mistake.
set -eu
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
cd "$here"
npm init -y >/dev/null
npm install --silent yaml@2.9.1 js-yaml@5.5.0
python3 -m venv python
python/bin/pip install --quiet --disable-pip-version-check ruamel.yaml==0.19.1 PyYAML==6.0.4

cat >read.mjs <<'JS'
import { parseDocument } from "yaml";
import { load } from "js-yaml";
const text = "when: && event.data.x\n";
const document = parseDocument(text);
console.log("yaml 2.9.1", JSON.stringify(document.toJS()), document.errors.length + document.warnings.length, "mistakes");
console.log("js-yaml 5.5.0", JSON.stringify(load(text)));
JS
cat >read.py <<'PY'
import json
import ruamel.yaml
import yaml
text = "when: && event.data.x\n"
print("ruamel.yaml 0.19.1", json.dumps(ruamel.yaml.YAML(typ="safe").load(text), separators=(",", ":")))
try:
    print("PyYAML 6.0.4", yaml.safe_load(text))
except yaml.YAMLError as error:
    print("PyYAML 6.0.4", type(error).__name__)
PY

{ node read.mjs; python/bin/python read.py; } | tee seen
cat >expected <<'SEEN'
yaml 2.9.1 {"when":"event.data.x"} 0 mistakes
js-yaml 5.5.0 {"when":"event.data.x"}
ruamel.yaml 0.19.1 {"when":"event.data.x"}
PyYAML 6.0.4 ScannerError
SEEN
diff expected seen
