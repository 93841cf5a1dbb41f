//! Every bound of the server that an operator can move, with its default.

use std::time::Duration;

/// SKELETON (serde, schemars and units come with the configuration work): the `limits:` section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Largest payload of a client, a backend or a plugin, in bytes. Default 64 KiB; refused `payload_too_large`.
    pub payload_bytes_max: usize,
    /// Largest Socket.IO message read at all, in bytes. Default 2 MiB; beyond it the transport closes.
    pub frame_bytes_max: usize,
    /// Topics one connection may hold. Default 128; refused `too_many_subscriptions`.
    pub subscriptions_per_connection_max: usize,
    /// Open connections. Default 100,000; refused `unavailable`.
    pub connections_max: usize,
    /// Client events of one connection waiting or being answered. Default 256; refused `rate_limited`.
    pub inbound_queue_max: usize,
    /// Packets waiting to be written to one connection. Default 1,024; beyond it the connection is closed.
    pub outbound_queue_max: usize,
    /// Bus events waiting for the bridge. Default 10,000; refused `unavailable`.
    pub bus_queue_max: usize,
    /// Events of one batch. Default 1,000; refused 413.
    pub events_per_batch_max: usize,
    /// Largest body of `POST /v1/events`, in bytes. Default 4 MiB; refused 413.
    pub batch_bytes_max: usize,
    /// How long an HTTP request's body may take to arrive. Default 10 s; refused 408.
    pub body_timeout: Duration,
    /// Dead letters kept; the oldest goes first. Default 1,000.
    pub dead_letters_max: usize,
    /// How long a drain may take before the process exits anyway. Default 10 s.
    pub drain_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            payload_bytes_max: 64 * 1024,
            frame_bytes_max: 2 * 1024 * 1024,
            subscriptions_per_connection_max: 128,
            connections_max: 100_000,
            inbound_queue_max: 256,
            outbound_queue_max: 1024,
            bus_queue_max: 10_000,
            events_per_batch_max: 1000,
            batch_bytes_max: 4 * 1024 * 1024,
            body_timeout: Duration::from_secs(10),
            dead_letters_max: 1000,
            drain_timeout: Duration::from_secs(10),
        }
    }
}
