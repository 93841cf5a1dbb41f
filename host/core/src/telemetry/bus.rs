//! Metrics and log events of the sources of bus events. `source` is a configured one, or `http`.

use std::time::Duration;

use super::names;
use super::registry::{counter, gauge, seconds};

/// Counts the results of received events: `taken`, `duplicate`, `unlisted` or `unreadable`.
pub fn bus_events(source: &str, outcome: &'static str, events: usize) {
    if events > 0 {
        counter(names::BUS_EVENTS, &[("source", source), ("outcome", outcome)]).increment(events as u64);
    }
}

/// Counts an event of the server itself that a rule wants, by its type and what became of it: `queued`, `suppressed`,
/// `dropped` or `here_only`.
pub fn own_event(own: &str, outcome: &'static str) {
    counter(names::OWN_EVENTS, &[("type", own), ("outcome", outcome)]).increment(1);
}

/// Records how long ago an event was written that has now crossed.
pub fn bus_delay(source: &str, delay: Duration) {
    seconds(names::BUS_DELAY, &[("source", source)]).record(delay);
    gauge(names::BUS_LAG, &[("source", source)]).set(delay.as_secs_f64());
}

/// Records how many events are remembered to ignore duplicates.
pub fn bus_remembered(events: usize) {
    gauge(names::BUS_REMEMBERED, &[]).set(events as f64);
}

/// `bus.away`: a source cannot be read; the server tries again.
pub fn bus_away(source: &str, why: &str) {
    gauge(names::BUS_SOURCE_UP, &[("source", source)]).set(0.0);
    tracing::error!(event = names::BUS_AWAY, source, why, "a source of bus events is away");
}

/// `bus.back`: the source is read, for the first time or again.
pub fn bus_back(source: &str, from: &str) {
    gauge(names::BUS_SOURCE_UP, &[("source", source)]).set(1.0);
    tracing::info!(event = names::BUS_BACK, source, from, "reading a source of bus events");
}

/// Records that another node reads a shared source: the source is up.
pub fn bus_stands_by(source: &str) {
    gauge(names::BUS_SOURCE_UP, &[("source", source)]).set(1.0);
}

/// `bus.outdated`: functions of the server in a source's database are missing or from an earlier version, and could not
/// be updated.
pub fn bus_outdated(source: &str, why: &str) {
    tracing::warn!(event = names::BUS_OUTDATED, source, why, "the functions of an outbox could not be updated");
}

/// `bus.missed`: events were lost that this node had not read.
pub fn bus_missed(source: &str, events: u64, why: &str) {
    counter(names::BUS_MISSED, &[("source", source)]).increment(events.max(1));
    tracing::error!(event = names::BUS_MISSED_EVENT, source, events, why, "bus events were missed");
}

/// Counts topics whose subscribers received a gap because of a source's missed events.
pub fn bus_gaps(source: &str, topics: usize) {
    counter(names::BUS_GAPS, &[("source", source)]).increment(topics as u64);
}

/// `bus.forgotten`: the state of a node that is gone was removed.
pub fn bus_forgotten(source: &str, node: &str) {
    tracing::info!(event = names::BUS_FORGOTTEN, source, node, "removed the state of a node that is gone");
}
