//! Fuzz target: `sessions::posts`.
#![no_main]

#[path = "../../transport/lives.rs"]
mod lives;
#[path = "../sessions.rs"]
#[expect(dead_code, reason = "each target runs one of them")]
mod sessions;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sessions::posts(bytes));
