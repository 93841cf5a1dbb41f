//! Every limit of the server that an operator can change, with its default.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};

use super::{ByteSize, HumanDuration};

/// The `limits:` section.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Largest payload of a client, a backend or a plugin, in bytes. Default 64 KiB; a larger one is refused with
    /// `payload_too_large`.
    #[serde(rename = "payload", with = "bytes")]
    #[schemars(with = "ByteSize")]
    pub payload_bytes_max: usize,
    /// Largest Socket.IO message that the server reads, in bytes. Default 2 MiB; a larger one closes the transport.
    #[serde(rename = "frame", with = "bytes")]
    #[schemars(with = "ByteSize")]
    pub frame_bytes_max: usize,
    /// Largest head of an HTTP request (request line and headers), in bytes. Default 64 KiB, from 16 KiB to 256 KiB; a
    /// larger one is answered with 431, and the connection is closed.
    #[serde(rename = "headers", with = "bytes")]
    #[schemars(with = "ByteSize")]
    pub headers_bytes_max: usize,
    /// Topics that one connection may hold. Default 128; one more is refused with `too_many_subscriptions`.
    #[serde(rename = "subscriptions_per_connection", deserialize_with = "count")]
    #[schemars(range(min = 1))]
    pub subscriptions_per_connection_max: usize,
    /// TCP connections open at once, websockets included. Default: as many as the file descriptors of the process
    /// allow. The server answers one more with 503 and closes it; `/healthz`, `/readyz` and `/metrics` still answer.
    #[serde(rename = "tcp_connections", deserialize_with = "some_count")]
    #[schemars(range(min = 1))]
    pub tcp_connections_max: Option<usize>,
    /// Open client connections. Default 100,000; one more is refused with `unavailable`.
    #[serde(rename = "connections", deserialize_with = "count")]
    #[schemars(range(min = 1))]
    pub connections_max: usize,
    /// Open streams (`GET /v1/channels/{topic}/history` with `Accept: text/event-stream`), which count in `connections`,
    /// too. Default 10,000; one more is refused with `unavailable`.
    #[serde(rename = "streams", deserialize_with = "count")]
    #[schemars(range(min = 1))]
    pub streams_max: usize,
    /// Failed logins (refused credentials) of one address in one minute; for IPv6, of one /64 network. After that the
    /// server refuses its new connections and its `authenticate` with `rate_limited` until the minute is over. Default
    /// 60; 0: no limit. Behind a proxy, list the proxy in `auth.trusted_proxies`.
    #[serde(rename = "failed_connects")]
    pub failed_connects_max: u32,
    /// HTTP requests of identity providers (`jwks`, `introspect`) at once. Default 256. More requests wait; a client
    /// that waits longer than the provider's `timeout` is refused with `unavailable`.
    #[serde(rename = "auth_requests", deserialize_with = "count")]
    #[schemars(range(min = 1))]
    pub auth_requests_max: usize,
    /// Tokens with an unknown key that wait for the next fetch of the issuer's keys (`jwks`). Default 1,024; one more
    /// is refused with `unavailable` at once.
    #[serde(rename = "auth_waiting", deserialize_with = "count")]
    #[schemars(range(min = 1))]
    pub auth_waiting_max: usize,
    /// How long a client may take to send the head of a request, counted from connecting for the first request and from
    /// the first byte for the others. Default 10 s; then the server closes the connection.
    #[serde(with = "time")]
    #[schemars(with = "HumanDuration")]
    pub head_timeout: Duration,
    /// How long a client may take between an answer and its next request. Default 75 s, longer than most proxies keep
    /// idle connections; then the server closes the connection.
    #[serde(with = "time")]
    #[schemars(with = "HumanDuration")]
    pub idle_timeout: Duration,
    /// How long a client may go without reading any of the bytes that wait for it. Default 30 s; then the server closes
    /// the connection.
    #[serde(with = "time")]
    #[schemars(with = "HumanDuration")]
    pub write_timeout: Duration,
    /// How long a client may take from opening a transport to its handshake. Default 10 s; then the server closes the
    /// transport.
    #[serde(with = "time")]
    #[schemars(with = "HumanDuration")]
    pub handshake_timeout: Duration,
    /// Client events of one connection that wait or are being answered. Default 256; then the server reads no further
    /// until one of them is answered.
    #[serde(rename = "inbound_queue", deserialize_with = "count")]
    #[schemars(range(min = 1))]
    pub inbound_queue_max: usize,
    /// Bytes that wait to be written to one connection. Default 1 MiB, at least `payload`; a client for which more would
    /// wait is a slow consumer, and the server closes its connection.
    #[serde(rename = "outbound_bytes", with = "bytes")]
    #[schemars(with = "ByteSize")]
    pub outbound_bytes_max: usize,
    /// Largest part of the answer to a `subscribe` that holds publications, a snapshot and members, in bytes; these do not
    /// count in `outbound_bytes`. Default 8 MiB, at least `payload`. What a client missed beyond that is not recovered
    /// (`too_many`); a subscription with a larger snapshot is refused with `payload_too_large`; members that do not fit are
    /// counted and not named. A client that has not taken answers of that size waits for the next one, and hears
    /// `unavailable` after 10 s.
    #[serde(rename = "ack_bytes", with = "bytes")]
    #[schemars(with = "ByteSize")]
    pub ack_bytes_max: usize,
    /// Memory of this node for the histories of all topics, in bytes. Default 256 MiB, at least `payload`; beyond that
    /// the oldest publications of the topics go that were published on longest ago, and who missed them is told
    /// `too_many`. With a broker the histories are in its Redis or NATS, and this limit does not count.
    #[serde(rename = "history_bytes", with = "bytes")]
    #[schemars(with = "ByteSize")]
    pub history_bytes_max: usize,
    /// Memory of this node for `delivery.at_most`, in bytes: the keys that were published within their interval, and the
    /// values that wait for its end. Default 64 MiB, at least `payload`; a publication for which there is no room goes out
    /// at once.
    #[serde(rename = "thinning_bytes", with = "bytes")]
    #[schemars(with = "ByteSize")]
    pub thinning_bytes_max: usize,
    /// Memory of this node for the retained values and the versions of all topics, in bytes. Default 256 MiB, at least
    /// `payload`; beyond that the oldest of the topics go that were published on longest ago. With a broker they are in
    /// its Redis or NATS, and this limit does not count.
    #[serde(rename = "retained_bytes", with = "bytes")]
    #[schemars(with = "ByteSize")]
    pub retained_bytes_max: usize,
    /// Bus events that wait for the bridge. Default 10,000; one more is refused with `unavailable`.
    #[serde(rename = "bus_queue", deserialize_with = "count")]
    #[schemars(range(min = 1))]
    pub bus_queue_max: usize,
    /// Events of the server itself (`tidegate.…`) that wait for the bridge. Default 1,000; one more is dropped and counted.
    #[serde(rename = "own_events", deserialize_with = "count")]
    #[schemars(range(min = 1))]
    pub own_events_max: usize,
    /// Bus events that the server remembers to ignore duplicates (same `source` and `id`). Default 100,000; the oldest
    /// are forgotten first. With 0 the server does not look for duplicates.
    #[serde(rename = "duplicates")]
    pub duplicates_max: usize,
    /// How long the server remembers a bus event to ignore duplicates. Default 10 min.
    #[serde(with = "time")]
    #[schemars(with = "HumanDuration")]
    pub duplicates_window: Duration,
    /// Publications and other commands that wait for the broker. Default 10,000; one more is refused with
    /// `unavailable`.
    #[serde(rename = "broker_queue", deserialize_with = "count")]
    #[schemars(range(min = 1))]
    pub broker_queue_max: usize,
    /// Bytes of the publications and commands that wait for the broker. Default 64 MiB, at least `payload`;
    /// more is refused with `unavailable`.
    #[serde(rename = "broker_queue_bytes", with = "bytes")]
    #[schemars(with = "ByteSize")]
    pub broker_queue_bytes_max: usize,
    /// How long the broker's Redis or NATS may take to answer or to accept a connection. Default 2 s; then the server drops
    /// the connection, and refuses what waits for it with `unavailable`.
    #[serde(with = "time")]
    #[schemars(with = "HumanDuration")]
    pub broker_timeout: Duration,
    /// How long a node keeps listening to a topic after its last subscriber left. Default 5 s.
    #[serde(with = "time")]
    #[schemars(with = "HumanDuration")]
    pub broker_linger: Duration,
    /// Events in one batch. Default 1,000; a larger batch is answered with 413.
    #[serde(rename = "events_per_batch", deserialize_with = "count")]
    #[schemars(range(min = 1))]
    pub events_per_batch_max: usize,
    /// Largest body of `POST /v1/events` and `POST /v1/publish`, in bytes. Default 4 MiB; a larger one is answered with 413.
    #[serde(rename = "batch", with = "bytes")]
    #[schemars(with = "ByteSize")]
    pub batch_bytes_max: usize,
    /// Sessions of clients whose transport is lost, kept for `transport.recovery`. Default 100,000; beyond that the oldest
    /// go, and their clients are told `unknown_session`.
    #[serde(rename = "parked_sessions", deserialize_with = "count")]
    #[schemars(range(min = 1))]
    pub parked_sessions_max: usize,
    /// Users and anonymous connections that are present on topics of this node, counted on each topic. Default 100,000;
    /// a subscription that would be one more is refused with `unavailable`.
    #[serde(rename = "presence_members", deserialize_with = "count")]
    #[schemars(range(min = 1))]
    pub presence_members_max: usize,
    /// Largest `info` of a subscribe, in bytes. Default 1 KiB; a larger one is refused with `payload_too_large`.
    #[serde(rename = "info_bytes", with = "bytes")]
    #[schemars(with = "ByteSize")]
    pub info_bytes_max: usize,
    /// Publications in one `POST /v1/publish`, whose body has at most `batch` bytes. Default 1,000; a larger list is
    /// answered with 413.
    #[serde(rename = "publications_per_batch", deserialize_with = "count")]
    #[schemars(range(min = 1))]
    pub publications_per_batch_max: usize,
    /// Idempotency keys of publishes that are remembered, over all nodes of a broker. Default 100,000; the oldest are
    /// forgotten first.
    #[serde(rename = "idempotency_keys", deserialize_with = "count")]
    #[schemars(range(min = 1))]
    pub idempotency_keys_max: usize,
    /// How long an idempotency key gives the first answer again. Default 5 min.
    #[serde(with = "time")]
    #[schemars(with = "HumanDuration")]
    pub idempotency_window: Duration,
    /// How long the body of an HTTP request may take to arrive, polling clients included. Default 10 s; then the server
    /// answers 408.
    #[serde(with = "time")]
    #[schemars(with = "HumanDuration")]
    pub body_timeout: Duration,
    /// Dead letters that the server keeps; the oldest are dropped first. Default 1,000.
    #[serde(rename = "dead_letters")]
    pub dead_letters_max: usize,
    /// This node's connections to a PostgreSQL `store`, without those for named queries. Default 8. A call that finds
    /// no free connection waits up to `store_timeout` and then fails with `unavailable`.
    #[serde(rename = "store_connections", deserialize_with = "connections")]
    #[schemars(range(min = 1, max = 1000))]
    pub store_connections_max: u32,
    /// This node's connections to a PostgreSQL `store` for named queries of plugins. Default 4; one more query waits,
    /// at most as long as the query may take.
    #[serde(rename = "store_query_connections", deserialize_with = "connections")]
    #[schemars(range(min = 1, max = 1000))]
    pub store_query_connections_max: u32,
    /// How long a call of a PostgreSQL `store` may take, including the wait for a connection. Default 3 s; then it
    /// fails with `unavailable`.
    #[serde(with = "time")]
    #[schemars(with = "HumanDuration")]
    pub store_timeout: Duration,
    /// Plugin instances alive at once, for all plugins together. Default 256. A call that finds no free instance waits,
    /// at most its wall time, and is then refused with `unavailable`.
    #[serde(rename = "plugin_instances", deserialize_with = "count")]
    #[schemars(range(min = 1))]
    pub plugin_instances_max: usize,
    /// How many of `plugin_instances` are reserved for authorizers; fewer than all. Default: one in eight.
    #[serde(rename = "plugin_authorizer_instances")]
    pub plugin_authorizer_instances: Option<usize>,
    /// How long a replaced plugin version may take to finish its last call. Default 2 min; then the server logs a
    /// warning.
    #[serde(rename = "plugin_drain", with = "time")]
    #[schemars(with = "HumanDuration")]
    pub plugin_drain_max: Duration,
    /// HTTP requests of plugins at once, for all plugins together. Default 256; one more waits as long as its call has
    /// time, and then fails with `timeout`.
    #[serde(rename = "plugin_requests", deserialize_with = "count")]
    #[schemars(range(min = 1))]
    pub plugin_requests_max: usize,
    /// Memory (address space) of the process that compiles a plugin. Default 2 GiB; a component that needs more is not
    /// loaded.
    #[serde(rename = "plugin_compile_memory", with = "bytes")]
    #[schemars(with = "ByteSize")]
    pub plugin_compile_memory_bytes_max: usize,
    /// How long a plugin may take to compile. Default 60 s; a component that takes longer is not loaded.
    #[serde(rename = "plugin_compile_time", with = "time")]
    #[schemars(with = "HumanDuration")]
    pub plugin_compile_time_max: Duration,
    /// How long all golden vectors of one plugin together may take before the plugin serves. Default 10 s; a plugin
    /// that takes longer is not loaded.
    #[serde(rename = "plugin_self_test", with = "time")]
    #[schemars(with = "HumanDuration")]
    pub plugin_self_test_max: Duration,
    /// Size of the cache of compiled plugins, in bytes; the least recently used are removed first. Default 1 GiB.
    #[serde(rename = "plugin_cache", with = "bytes")]
    #[schemars(with = "ByteSize")]
    pub plugin_cache_bytes_max: usize,
    /// Plugin instances of the candidates of shadows alive at once, beside `plugin_instances`. Default 8; the calls of one
    /// more candidate wait, and are dropped and counted when too many wait.
    #[serde(rename = "shadow_instances", deserialize_with = "count")]
    #[schemars(range(min = 1))]
    pub shadow_instances_max: usize,
    /// Recordings of the calls of plugins at once, one for each plugin at most. Default 0: nobody may record. One more is
    /// refused with `unavailable`.
    #[serde(rename = "recordings")]
    pub recordings_max: usize,
    /// Calls of one recording. Default 10,000; a recording with more is refused.
    #[serde(rename = "recording_calls", deserialize_with = "count")]
    #[schemars(range(min = 1))]
    pub recording_calls_max: usize,
    /// Size of the calls of one recording, all together. Default 64 MiB; a larger recording ends.
    #[serde(rename = "recording_bytes", with = "bytes")]
    #[schemars(with = "ByteSize")]
    pub recording_bytes_max: usize,
    /// How long a recording may take. Default 1 h; then it ends with the calls that there were.
    #[serde(rename = "recording_time", with = "time")]
    #[schemars(with = "HumanDuration")]
    pub recording_time_max: Duration,
    /// Answers of authorizers in the cache, each kept for the time that it was granted for. Default 100,000; the least
    /// used are dropped first. With 0 the server asks every time.
    #[serde(rename = "authorizer_cache")]
    pub authorizer_cache_max: usize,
    /// Revocations in force (`auth.revocations_kept`), plus credentials that the server remembers because their
    /// issuer's clock is ahead. Default 100,000; one more revocation is refused with `unavailable`, and the oldest
    /// credentials are forgotten.
    #[serde(rename = "revocations", deserialize_with = "count")]
    #[schemars(range(min = 1))]
    pub revocations_max: usize,
    /// Opened and closed connections that wait to be announced to plugins. Default 10,000; beyond that the server
    /// announces neither the opening nor the closing of a connection.
    #[serde(rename = "connection_events", deserialize_with = "count")]
    #[schemars(range(min = 1))]
    pub connection_events_max: usize,
    /// Lines of the log, and of the output of `dev`, that wait to be read from standard error or output. Default 8,192;
    /// beyond that the server drops new lines and counts them.
    #[serde(rename = "log_queue", deserialize_with = "count")]
    #[schemars(range(min = 1))]
    pub log_queue_max: usize,
    /// Spans of recorded traces that wait to be exported (`telemetry.otlp`). Default 8,192; one more is dropped and counted.
    #[serde(rename = "spans", deserialize_with = "count")]
    #[schemars(range(min = 1))]
    pub spans_max: usize,
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
            streams_max: 10_000,
            failed_connects_max: 60,
            auth_requests_max: 256,
            auth_waiting_max: 1024,
            head_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            write_timeout: Duration::from_secs(30),
            handshake_timeout: Duration::from_secs(10),
            inbound_queue_max: 256,
            outbound_bytes_max: 1024 * 1024,
            ack_bytes_max: 8 << 20,
            history_bytes_max: 256 << 20,
            thinning_bytes_max: 64 << 20,
            retained_bytes_max: 256 << 20,
            bus_queue_max: 10_000,
            own_events_max: 1000,
            duplicates_max: 100_000,
            duplicates_window: Duration::from_secs(600),
            broker_queue_max: 10_000,
            broker_queue_bytes_max: 64 * 1024 * 1024,
            broker_timeout: Duration::from_secs(2),
            broker_linger: Duration::from_secs(5),
            events_per_batch_max: 1000,
            batch_bytes_max: 4 * 1024 * 1024,
            parked_sessions_max: 100_000,
            presence_members_max: 100_000,
            info_bytes_max: 1024,
            publications_per_batch_max: 1000,
            idempotency_keys_max: 100_000,
            idempotency_window: Duration::from_secs(300),
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
            shadow_instances_max: 8,
            recordings_max: 0,
            recording_calls_max: 10_000,
            recording_bytes_max: 64 << 20,
            recording_time_max: Duration::from_secs(60 * 60),
            authorizer_cache_max: 100_000,
            revocations_max: 100_000,
            connection_events_max: 10_000,
            log_queue_max: 8192,
            spans_max: 8192,
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
