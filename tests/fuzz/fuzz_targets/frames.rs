//! Fuzz target: `frames::frames`.
#![no_main]

#[path = "../frames.rs"]
mod frames;
#[path = "../../../host/transport/src/websocket/mod.rs"]
#[allow(dead_code, reason = "the handshake is for `requests`")]
mod websocket;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| frames::frames(bytes));
