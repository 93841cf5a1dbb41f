//! Every bound of the server that an operator can move, with its default.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};

use super::{ByteSize, HumanDuration};

/// The `limits:` section.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Largest payload of a client, a backend or a plugin, in bytes. Default 64 KiB; refused `payload_too_large`.
    #[serde(rename = "payload", with = "bytes")]
    #[schemars(with = "ByteSize")]
    pub payload_bytes_max: usize,
    /// Largest Socket.IO message read at all, in bytes. Default 2 MiB; beyond it the transport closes.
    #[serde(rename = "frame", with = "bytes")]
    #[schemars(with = "ByteSize")]
    pub frame_bytes_max: usize,
    /// Largest head of an HTTP request, its line and its headers, in bytes. Default 64 KiB, from 16 KiB to 256 KiB; beyond
    /// it 431, and the connection is closed.
    #[serde(rename = "headers", with = "bytes")]
    #[schemars(with = "ByteSize")]
    pub headers_bytes_max: usize,
    /// Topics one connection may hold. Default 128; refused `too_many_subscriptions`.
    #[serde(rename = "subscriptions_per_connection", deserialize_with = "count")]
    #[schemars(range(min = 1))]
    pub subscriptions_per_connection_max: usize,
    /// TCP connections open at once, those of websockets included. Default: what the descriptors of the process are enough
    /// for. Beyond it a connection is answered 503 and closed; `/healthz`, `/readyz` and `/metrics` still answer.
    #[serde(rename = "tcp_connections", deserialize_with = "some_count")]
    #[schemars(range(min = 1))]
    pub tcp_connections_max: Option<usize>,
    /// Open connections. Default 100,000; refused `unavailable`.
    #[serde(rename = "connections", deserialize_with = "count")]
    #[schemars(range(min = 1))]
    pub connections_max: usize,
    /// Credentials that are no good, of one address (of IPv6: one /64) in a minute; then its new connections and its
    /// `authenticate` are refused `rate_limited` until the minute is over. Default 60; 0 counts none. Behind a proxy list
    /// it in `auth.trusted_proxies`.
    #[serde(rename = "failed_connects")]
    pub failed_connects_max: u32,
    /// HTTP requests of providers (`jwks`, `introspect`) under way at once. Default 256; those beyond wait, and who waits
    /// longer than the provider's `timeout` is refused `unavailable`.
    #[serde(rename = "auth_requests", deserialize_with = "count")]
    #[schemars(range(min = 1))]
    pub auth_requests_max: usize,
    /// Tokens with an unknown key that wait for the issuer's keys (`jwks`) to be read again. Default 1,024; one more is
    /// refused `unavailable` at once.
    #[serde(rename = "auth_waiting", deserialize_with = "count")]
    #[schemars(range(min = 1))]
    pub auth_waiting_max: usize,
    /// How long a client may take to send the head of a request: of the first from when it connected, of others from
    /// their first byte. Default 10 s; then the connection is closed.
    #[serde(with = "time")]
    #[schemars(with = "HumanDuration")]
    pub head_timeout: Duration,
    /// How long a client may take between an answer and its next request. Default 75 s, longer than most proxies keep
    /// connections; then the connection is closed.
    #[serde(with = "time")]
    #[schemars(with = "HumanDuration")]
    pub idle_timeout: Duration,
    /// How long a client may take none of the bytes that wait for it. Default 30 s; then the connection is closed.
    #[serde(with = "time")]
    #[schemars(with = "HumanDuration")]
    pub write_timeout: Duration,
    /// How long a client may take from opening a transport to its handshake. Default 10 s; then it is closed.
    #[serde(with = "time")]
    #[schemars(with = "HumanDuration")]
    pub handshake_timeout: Duration,
    /// Client events of one connection waiting or being answered. Default 256; refused `rate_limited`.
    #[serde(rename = "inbound_queue", deserialize_with = "count")]
    #[schemars(range(min = 1))]
    pub inbound_queue_max: usize,
    /// Packets waiting to be written to one connection. Default 1,024; beyond it the connection is closed.
    #[serde(rename = "outbound_queue", deserialize_with = "count")]
    #[schemars(range(min = 1))]
    pub outbound_queue_max: usize,
    /// Bus events waiting for the bridge. Default 10,000; refused `unavailable`.
    #[serde(rename = "bus_queue", deserialize_with = "count")]
    #[schemars(range(min = 1))]
    pub bus_queue_max: usize,
    /// Bus events remembered so that the same one, by `source` and `id`, is taken once. Default 100,000; the oldest are
    /// forgotten first, and with 0 every one is taken.
    #[serde(rename = "duplicates")]
    pub duplicates_max: usize,
    /// How long they are remembered. Default 10 min.
    #[serde(with = "time")]
    #[schemars(with = "HumanDuration")]
    pub duplicates_window: Duration,
    /// Publications and other words waiting for the broker's Redis. Default 10,000; refused `unavailable`.
    #[serde(rename = "broker_queue", deserialize_with = "count")]
    #[schemars(range(min = 1))]
    pub broker_queue_max: usize,
    /// Bytes of them. Default 64 MiB, no less than `payload`; refused `unavailable`.
    #[serde(rename = "broker_queue_bytes", with = "bytes")]
    #[schemars(with = "ByteSize")]
    pub broker_queue_bytes_max: usize,
    /// How long the broker's Redis may take to answer, and a link to it to be made. Default 2 s; then the link is given
    /// up, and who waits is refused `unavailable`.
    #[serde(with = "time")]
    #[schemars(with = "HumanDuration")]
    pub broker_timeout: Duration,
    /// How long a node still hears of a topic whose last subscriber left. Default 5 s.
    #[serde(with = "time")]
    #[schemars(with = "HumanDuration")]
    pub broker_linger: Duration,
    /// Events of one batch. Default 1,000; refused 413.
    #[serde(rename = "events_per_batch", deserialize_with = "count")]
    #[schemars(range(min = 1))]
    pub events_per_batch_max: usize,
    /// Largest body of `POST /v1/events`, in bytes. Default 4 MiB; refused 413.
    #[serde(rename = "batch", with = "bytes")]
    #[schemars(with = "ByteSize")]
    pub batch_bytes_max: usize,
    /// How long an HTTP request's body may take to arrive, that of a client that polls included. Default 10 s; refused 408.
    #[serde(with = "time")]
    #[schemars(with = "HumanDuration")]
    pub body_timeout: Duration,
    /// Dead letters kept; the oldest goes first. Default 1,000.
    #[serde(rename = "dead_letters")]
    pub dead_letters_max: usize,
    /// Connections to a PostgreSQL `store` of this node, besides those for named queries. Default 8; a call that finds
    /// none free waits `store_timeout` and is then told `unavailable`.
    #[serde(rename = "store_connections", deserialize_with = "connections")]
    #[schemars(range(min = 1, max = 1000))]
    pub store_connections_max: u32,
    /// Connections to a PostgreSQL `store` that answer named queries of plugins. Default 4; one more query waits, as long
    /// as it may take.
    #[serde(rename = "store_query_connections", deserialize_with = "connections")]
    #[schemars(range(min = 1, max = 1000))]
    pub store_query_connections_max: u32,
    /// How long a call of a PostgreSQL `store` may take, the wait for a connection included. Default 3 s; then it is told
    /// `unavailable`.
    #[serde(with = "time")]
    #[schemars(with = "HumanDuration")]
    pub store_timeout: Duration,
    /// Plugin instances alive at once, all plugins together. Default 256; a call that finds none free waits for its
    /// wall time and is then refused `unavailable`.
    #[serde(rename = "plugin_instances", deserialize_with = "count")]
    #[schemars(range(min = 1))]
    pub plugin_instances_max: usize,
    /// Of those, the ones that only authorizers may have, fewer than all. Default: one in eight.
    #[serde(rename = "plugin_authorizer_instances")]
    pub plugin_authorizer_instances: Option<usize>,
    /// How long a version that was replaced may take to end its last call. Default 2 min; then it is told of.
    #[serde(rename = "plugin_drain", with = "time")]
    #[schemars(with = "HumanDuration")]
    pub plugin_drain_max: Duration,
    /// HTTP requests of plugins under way at once, all plugins together. Default 256; one more waits as long as its
    /// call has, and is then told `timeout`.
    #[serde(rename = "plugin_requests", deserialize_with = "count")]
    #[schemars(range(min = 1))]
    pub plugin_requests_max: usize,
    /// Memory (address space) of the process that compiles a plugin. Default 2 GiB; a component that needs more does
    /// not load.
    #[serde(rename = "plugin_compile_memory", with = "bytes")]
    #[schemars(with = "ByteSize")]
    pub plugin_compile_memory_bytes_max: usize,
    /// How long a plugin may take to compile. Default 60 s; a component that takes longer does not load.
    #[serde(rename = "plugin_compile_time", with = "time")]
    #[schemars(with = "HumanDuration")]
    pub plugin_compile_time_max: Duration,
    /// How long the golden vectors of one plugin may take, all together, before it serves. Default 10 s; a plugin that
    /// takes longer does not load.
    #[serde(rename = "plugin_self_test", with = "time")]
    #[schemars(with = "HumanDuration")]
    pub plugin_self_test_max: Duration,
    /// Size of the compiled plugins that are kept, in bytes; those not used for longest go first. Default 1 GiB.
    #[serde(rename = "plugin_cache", with = "bytes")]
    #[schemars(with = "ByteSize")]
    pub plugin_cache_bytes_max: usize,
    /// Answers of authorizers kept for the time they were granted for. Default 100,000; those used least give way, and
    /// with 0 every question is asked.
    #[serde(rename = "authorizer_cache")]
    pub authorizer_cache_max: usize,
    /// Revocations that still matter (`auth.revocations_kept`), and credentials that are remembered because an issuer's clock
    /// is ahead. Default 100,000; one revocation more is refused `unavailable`, the oldest credentials are forgotten.
    #[serde(rename = "revocations", deserialize_with = "count")]
    #[schemars(range(min = 1))]
    pub revocations_max: usize,
    /// Connections that plugins have not been told of yet. Default 10,000; beyond it a connection is announced neither
    /// when it comes nor when it goes.
    #[serde(rename = "connection_events", deserialize_with = "count")]
    #[schemars(range(min = 1))]
    pub connection_events_max: usize,
    /// Lines of the log, and of what `dev` prints, that wait for a reader of standard error or output. Default 8,192;
    /// beyond it new lines are dropped, and counted.
    #[serde(rename = "log_queue", deserialize_with = "count")]
    #[schemars(range(min = 1))]
    pub log_queue_max: usize,
    /// How long a drain may take before the process exits anyway. Default 10 s.
    #[serde(with = "time")]
    #[schemars(with = "HumanDuration")]
    pub drain_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            payload_bytes_max: 64 * 1024,
            frame_bytes_max: 2 * 1024 * 1024,
            headers_bytes_max: 64 * 1024,
            subscriptions_per_connection_max: 128,
            tcp_connections_max: None,
            connections_max: 100_000,
            failed_connects_max: 60,
            auth_requests_max: 256,
            auth_waiting_max: 1024,
            head_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            write_timeout: Duration::from_secs(30),
            handshake_timeout: Duration::from_secs(10),
            inbound_queue_max: 256,
            outbound_queue_max: 1024,
            bus_queue_max: 10_000,
            duplicates_max: 100_000,
            duplicates_window: Duration::from_secs(600),
            broker_queue_max: 10_000,
            broker_queue_bytes_max: 64 * 1024 * 1024,
            broker_timeout: Duration::from_secs(2),
            broker_linger: Duration::from_secs(5),
            events_per_batch_max: 1000,
            batch_bytes_max: 4 * 1024 * 1024,
            body_timeout: Duration::from_secs(10),
            dead_letters_max: 1000,
            store_connections_max: 8,
            store_query_connections_max: 4,
            store_timeout: Duration::from_secs(3),
            plugin_instances_max: 256,
            plugin_authorizer_instances: None,
            plugin_drain_max: Duration::from_secs(120),
            plugin_requests_max: 256,
            plugin_compile_memory_bytes_max: 2 << 30,
            plugin_compile_time_max: Duration::from_secs(60),
            plugin_self_test_max: Duration::from_secs(10),
            plugin_cache_bytes_max: 1 << 30,
            authorizer_cache_max: 100_000,
            revocations_max: 100_000,
            connection_events_max: 10_000,
            log_queue_max: 8192,
            drain_timeout: Duration::from_secs(10),
        }
    }
}

/// A size of at least one byte.
mod bytes {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::config::ByteSize;

    pub(super) fn serialize<S: Serializer>(bytes: &usize, serializer: S) -> Result<S::Ok, S::Error> {
        ByteSize::from_bytes(*bytes as u64).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
        match ByteSize::deserialize(deserializer)?.as_usize() {
            0 => Err(serde::de::Error::custom("expected at least 1 byte")),
            bytes => Ok(bytes),
        }
    }
}

/// A time span.
mod time {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::config::HumanDuration;

    pub(super) fn serialize<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        HumanDuration::new(*time).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        HumanDuration::deserialize(deserializer).map(HumanDuration::get)
    }
}

/// A number of connections.
fn connections<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    match u32::deserialize(deserializer)? {
        connections @ 1..=1000 => Ok(connections),
        _ => Err(serde::de::Error::custom("expected a number from 1 to 1000")),
    }
}

/// A number of at least one, where there is one.
fn some_count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<usize>, D::Error> {
    count(deserializer).map(Some)
}

/// A number of at least one.
fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    match usize::deserialize(deserializer)? {
        0 => Err(serde::de::Error::custom("expected at least 1")),
        count => Ok(count),
    }
}
