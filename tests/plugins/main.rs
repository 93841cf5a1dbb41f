//! Plugins against the real engine: what the shipped ones do, what bad ones cannot do, what does not load.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod breaker;
mod bulkhead;
mod cannot_tell;
mod compiling;
mod contract;
mod decisions;
mod each_alone;
mod faults;
mod granted;
mod http;
mod identify;
mod instances;
mod inventory;
mod kinds;
mod kit;
mod kv;
mod loading;
mod nothing;
mod queries;
mod rollback;
mod self_test;
mod site;
mod staged;
mod states;
mod store;

#[path = "../manifests/holes.rs"]
mod holes;
