#!/usr/bin/env bash
# One would guess: each event that a client sends with a callback gets the ack that the server gave to this event; the number in the packet ties them.
# Real: rust_socketio 0.6 draws the number at random below 999, also one that still waits: with 300 events under way dozens share a number, their callbacks get the ack of another event, and the ack that follows finds nobody.
# Here: a client of Tidegate in Rust has to keep one event under way at a time, as the e2e client does; many at once look like a server that mixes up its acks.
set -euo pipefail
folder=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$folder"' EXIT
cd "$folder"
echo '{"private":true,"type":"module"}' > package.json
npm install --silent --no-audit --no-fund --save-exact socket.io@4.8.4
cat > server.mjs <<'JS'
import { Server } from "socket.io";
// Answers each event with its own number, once all of them are there.
const EVENTS = 300;
const io = new Server(0);
io.on("connection", (socket) => {
  const acks = [];
  socket.on("ask", (number, ack) => {
    acks.push(() => ack(number));
    if (acks.length === EVENTS) acks.forEach((answer) => answer());
  });
});
console.log(io.httpServer.address().port);
JS
node server.mjs > port &
server=$!
until [ -s port ]; do sleep 0.1; done
mkdir src
cat > Cargo.toml <<'TOML'
[package]
name = "asks"
version = "0.0.0"
edition = "2021"
[dependencies]
rust_socketio = "=0.6.0"
serde_json = "1"
[profile.dev]
debug = false
TOML
cat > src/main.rs <<'RUST'
use std::sync::mpsc::channel;
use std::time::Duration;

use rust_socketio::{ClientBuilder, Event, Payload};
use serde_json::{json, Value};

fn main() {
    let url = std::env::args().nth(1).unwrap();
    let (connected, is_connected) = channel();
    let socket = ClientBuilder::new(url).on(Event::Connect, move |_, _| connected.send(()).unwrap()).connect().unwrap();
    is_connected.recv().unwrap();
    let (answers, answered) = channel();
    for number in 0..300 {
        let answers = answers.clone();
        let callback = move |ack: Payload, _| {
            let Payload::Text(arguments) = ack else { return };
            // The arguments come as one list.
            let told = arguments.first().and_then(|list| list.get(0)).and_then(Value::as_u64);
            let _ = answers.send((number, told));
        };
        socket.emit_with_ack("ask", json!(number), Duration::from_secs(60), callback).unwrap();
    }
    let (mut own, mut other) = (0, 0);
    // All answers are sent together: after five quiet seconds there are no more.
    while let Ok((number, told)) = answered.recv_timeout(Duration::from_secs(5)) {
        if told == Some(number) { own += 1 } else { other += 1 }
    }
    println!("300 events under way: {own} got their ack, {other} that of another event, {} none", 300 - own - other);
    std::process::exit(i32::from(other == 0));
}
RUST
cargo build --quiet
echo "rust_socketio 0.6.0, socket.io 4.8.4, $(node --version)"
./target/debug/asks "http://127.0.0.1:$(cat port)"
