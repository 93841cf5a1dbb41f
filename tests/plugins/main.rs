//! Plugins in the server: with a store, HTTP, a child process that compiles, and reloads.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod cannot_tell;
mod compiling;
mod each_alone;
mod http;
#[allow(dead_code, reason = "the tests of the plugin host use the rest")]
mod kit;
mod kv;
mod proof;
mod queries;
mod rollback;
mod self_test;
mod shadow;
mod site;
mod states;
mod store;
