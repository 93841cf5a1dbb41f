#!/usr/bin/env bash
# One would guess: OTLP/JSON is the JSON form of its protobuf messages, so protobuf's own reader takes it or refuses it.
# Real: ids are hexadecimal in OTLP/JSON; protobuf reads them as base64, without an error, and a trace's 16 bytes become other 24.
# Why it matters here: a collector made of the messages and json_format files spans under traces that nobody has: so the server sends protobuf.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
export PIP_ROOT_USER_ACTION=ignore PYTHONPATH="$folder/packages"
python3 -m pip install --quiet --disable-pip-version-check --no-deps --target packages opentelemetry-proto==1.45.2 protobuf==7.36.2
cat > ask.py <<'PY'
import json, sys
from google.protobuf import __version__ as version
from google.protobuf.json_format import MessageToDict, Parse
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
# As the specification has it: https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding
sent = {"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": TRACE, "spanId": SPAN, "name": "x"}]}]}]}
read = Parse(json.dumps(sent), TracesData()).resource_spans[0].scope_spans[0].spans[0]
written = MessageToDict(read)
print(f"opentelemetry-proto 1.45.2, protobuf {version}")
print(f"traceId {TRACE} is read as {len(read.trace_id)} bytes, {read.trace_id.hex()}")
print(f"spanId {SPAN} is read as {len(read.span_id)} bytes, {read.span_id.hex()}")
print(f"and written back as {written['traceId']}, so that nobody notices who reads with the same library")
sys.exit(0 if len(read.trace_id) == 24 and len(read.span_id) == 12 and written["traceId"] == TRACE else 1)
PY
python3 ask.py
