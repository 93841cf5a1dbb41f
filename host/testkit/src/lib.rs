//! The kit of the Rust tests: a server of gates and fakes, declared inline, and clients that speak to it.
//!
//! ```ignore
//! let server = Server::declaring(CHANNELS).plugins(FakePlugins::replying(json!({ "pong": 1 }))).start();
//! let alice = server.client(user("alice"));
//! alice.subscribe("realtime-ping").await.unwrap();
//! assert_eq!(alice.send("realtime-ping", json!({ "n": 1 })).await, Ok(Some(json!({ "pong": 1 }))));
//! ```

#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "a test fails by panicking")]

mod client;
mod declared;
mod fake_broker;
mod fake_history;
mod fake_http;
mod fake_idempotency_keys;
mod fake_plugins;
mod fake_ports;
mod fake_queries;
mod fake_retained;
mod fake_revocation_store;
mod fake_roster;
mod fake_sessions;
mod fake_shared_members;
mod fake_watch;
mod server;
mod services;
mod web;

pub use client::Client;
pub use declared::{CHANNELS, code, connection};
pub use fake_broker::{FakeBroker, FakeNode};
pub use fake_history::FakeHistory;
pub use fake_http::{FakeHttp, Reply};
pub use fake_idempotency_keys::FakeIdempotencyKeys;
pub use fake_plugins::{Call, FakePlugins, Latch, emit, publish};
pub use fake_ports::{
    FakeBus, FakeBusSources, FakeClients, FakeClock, FakeDeadLetters, FakeProvider, FakeRooms, FakeStoreHealth, Told,
};
pub use fake_queries::FakeQueries;
pub use fake_retained::FakeRetained;
pub use fake_revocation_store::FakeRevocationStore;
pub use fake_roster::FakeRoster;
pub use fake_sessions::FakeSessions;
pub use fake_shared_members::FakeSharedMembers;
pub use fake_watch::FakeWatch;
pub use server::{Server, ServerBuilder, catalog, event, user};
pub use services::{BrokerKind, BrokerServer, Cable, NatsCluster, NatsServer, PostgresServer, RedisServer};
pub use web::Web;
