//! What sources of bus events tell: counted and logged. `source` is one of those configured, or `http`.

use std::time::Duration;

use super::names;
use super::registry::{counter, gauge, seconds};

/// Counts what became of events that came from outside: `taken`, `duplicate`, `unlisted` or `unreadable`.
pub fn bus_events(source: &str, outcome: &'static str, events: usize) {
    if events > 0 {
        counter(names::BUS_EVENTS, &[("source", source), ("outcome", outcome)]).increment(events as u64);
    }
}

/// Notes how long ago an event was written that has now crossed.
pub fn bus_delay(source: &str, delay: Duration) {
    seconds(names::BUS_DELAY, &[("source", source)]).record(delay);
}

/// Notes how many events are remembered, so that none is taken twice.
pub fn bus_remembered(events: usize) {
    gauge(names::BUS_REMEMBERED, &[]).set(events as f64);
}

/// `bus.away`: a source cannot be read; it is tried again.
pub fn bus_away(source: &str, why: &str) {
    gauge(names::BUS_SOURCE_UP, &[("source", source)]).set(0.0);
    tracing::error!(event = names::BUS_AWAY, source, why, "a source of bus events is away");
}

/// `bus.back`: it is read, for the first time or again.
pub fn bus_back(source: &str, from: &str) {
    gauge(names::BUS_SOURCE_UP, &[("source", source)]).set(1.0);
    tracing::info!(event = names::BUS_BACK, source, from, "reading a source of bus events");
}

/// Notes that another node reads a source that is shared: it is up.
pub fn bus_stands_by(source: &str) {
    gauge(names::BUS_SOURCE_UP, &[("source", source)]).set(1.0);
}

/// `bus.outdated`: what the server made in a source's database is missing or of an earlier version, and could not be renewed.
pub fn bus_outdated(source: &str, why: &str) {
    tracing::warn!(event = names::BUS_OUTDATED, source, why, "the functions of an outbox could not be updated");
}

/// `bus.missed`: events are gone that this node had not read.
pub fn bus_missed(source: &str, events: u64, why: &str) {
    counter(names::BUS_MISSED, &[("source", source)]).increment(events.max(1));
    tracing::error!(event = names::BUS_MISSED_EVENT, source, events, why, "bus events were missed");
}

/// Counts topics whose subscribers were told that they may have missed events of a source.
pub fn bus_gaps(source: &str, topics: usize) {
    counter(names::BUS_GAPS, &[("source", source)]).increment(topics as u64);
}

/// `bus.forgotten`: what was kept for a node that is gone was removed.
pub fn bus_forgotten(source: &str, node: &str) {
    tracing::info!(event = names::BUS_FORGOTTEN, source, node, "removed the state of a node that is gone");
}
