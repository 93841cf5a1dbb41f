//! Plugins in the real engine: the answers of good guests, and the limits that hold bad ones.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod breaker;
mod bulkhead;
mod contract;
mod decisions;
mod faults;
mod granted;
mod identify;
mod instances;
mod inventory;
mod kinds;
mod loading;
mod nothing;
mod staged;
mod teams;
mod watched;

#[path = "../manifests/holes.rs"]
mod holes;
#[path = "../plugins/kit.rs"]
#[allow(dead_code, reason = "the tests of the server use the rest")]
mod kit;
