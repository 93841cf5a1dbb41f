//! What stores, buses and brokers promise: in memory, and beside a real Redis, NATS and PostgreSQL that are started here,
//! killed, frozen and started again.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod broker;
mod broker_measures;
mod broker_nats;
mod broker_redis;
mod histories;
mod idempotency;
mod memory_bus;
mod nats_messages;
mod nats_streams;
mod outbox;
mod own_events;
mod presence;
mod retained;
mod servers;
mod sources;
mod store_kit;
mod store_kv;
mod store_letters;
mod store_outages;
mod store_queries;
mod store_revocations;
mod store_sessions;
mod store_tables;
mod streams;
