//! The metrics of retained values and versions.

use super::names;
use super::registry::{counter, gauge};

/// Records the retained values of this node, and the bytes that they take.
pub fn retained(values: usize, bytes: usize) {
    gauge(names::RETAINED_VALUES, &[]).set(values as f64);
    gauge(names::RETAINED_BYTES, &[]).set(bytes as f64);
}

/// Counts a retained value that made room for others. `limit` is `keys`, `bytes` or `retained_bytes`.
pub fn retained_displaced(limit: &'static str) {
    counter(names::RETAINED_DISPLACED, &[("limit", limit)]).increment(1);
}

/// Counts a publication that was not newer than the last one of its key. `channel` is the template.
pub fn publication_stale(channel: &str) {
    counter(names::PUBLICATIONS_STALE, &[("channel", channel)]).increment(1);
}
