//! Who may come in: every provider of gate 1 with the servers it asks, faked by the page or by a socket of the test.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod introspect;
mod issuer;
mod key_sets;
mod look;
mod session_query;
mod sessions;
mod tokens;
