//! Events from outside, over HTTP or from a source: each crosses the bridge once, and what is not an event is kept for the
//! operator.

use std::collections::BTreeSet;

use super::{Audience, DeadLetter, Gates, PendingPublish};
use crate::channels::RuleId;
use crate::protocol::{BusEvent, Refusal, TraceContext};
use crate::telemetry::{self, current_trace};

/// The label of events that come over HTTP, next to the configured sources.
const HTTP: &str = "http";

/// The rule name in a dead letter of an entry that was not an event: no rule was asked.
const NO_RULE: &str = "-";

impl DeadLetter {
    /// Whether a rule failed on the event, so that the rule can be retried. An entry that was not an event has no rule.
    #[must_use]
    pub fn has_rule(&self) -> bool {
        self.rule.on != NO_RULE
    }
}

/// The place in a trace of an event that a request brought: the event's own, unless the request is a later step of the
/// same trace.
fn brought(own: Option<TraceContext>, request: Option<TraceContext>) -> Option<TraceContext> {
    match (own, request) {
        (Some(own), Some(request)) if own.trace_id != request.trace_id => Some(own),
        (own, request) => request.or(own),
    }
}

impl Gates {
    /// Puts the events with a bridge rule on the bus, all or none. The others cannot cross: they are counted and use no
    /// room on the bus. The same goes for duplicates.
    ///
    /// # Errors
    /// `unavailable` if the bus has no room for all events, `draining` if the server is about to stop.
    pub fn publish_events(&self, mut events: Vec<BusEvent>) -> Result<(), Refusal> {
        let offered = events.len();
        let serving = self.serving();
        events.retain(|event| serving.catalog.bridge().lists(&event.kind));
        telemetry::bus_unlisted(offered - events.len());
        telemetry::bus_events(HTTP, "unlisted", offered - events.len());
        let listed = events.len();
        for event in &mut events {
            event.trace = brought(event.trace.take(), current_trace());
        }
        let taken = self.taken.take_all(events, |fresh| {
            let taken = fresh.len();
            self.put_on_bus(fresh).map(|()| taken)
        })?;
        telemetry::bus_events(HTTP, "taken", taken);
        telemetry::bus_events(HTTP, "duplicate", listed - taken);
        Ok(())
    }

    /// Takes an event from a source across the bridge, as [`Gates::carry`] does, unless it is a duplicate (by `source`
    /// and `id`) or has no rule.
    ///
    /// # Errors
    /// If its effects were refused: then the event was not taken and can be delivered again.
    pub async fn accept(&self, from: &str, event: &BusEvent, audience: Audience) -> Result<PendingPublish, Refusal> {
        if !self.serving().catalog.bridge().lists(&event.kind) {
            telemetry::bus_unlisted(1);
            telemetry::bus_events(from, "unlisted", 1);
            return self.begin(Vec::new(), audience);
        }
        if !self.taken.take(event) {
            telemetry::bus_events(from, "duplicate", 1);
            return self.begin(Vec::new(), audience);
        }
        let pending = self.carry(event, audience).await;
        match &pending {
            Ok(_) => telemetry::bus_events(from, "taken", 1),
            Err(_) => self.taken.give_back(event),
        }
        pending
    }

    /// Sends a gap to the subscribers of every channel that a bridge rule publishes on: events of a source were lost,
    /// and nobody knows which. With [`Audience::EveryNode`] to the subscribers of all nodes, or of this node if the
    /// broker refuses it.
    pub async fn tell_gap_of(&self, from: &str, audience: Audience) {
        let told = match audience {
            Audience::EveryNode => self.tell_nodes_missed(from),
            Audience::ThisNode => None,
        };
        let is_told = match told {
            Some(told) => told.await.is_ok(),
            None => false,
        };
        // If the broker accepts it, this node receives it, too.
        if !is_told {
            self.tell_gap_here(from);
        }
    }

    /// Sends the gap to this node's subscribers.
    pub(super) fn tell_gap_here(&self, from: &str) {
        let serving = self.serving();
        let rules = serving.catalog.bridge().rules().filter(|rule| rule.id().publishes() || rule.id().removes);
        let channels: BTreeSet<&str> = rules.filter_map(|rule| Some(rule.to()?.as_str())).collect();
        telemetry::bus_gaps(from, self.ports.rooms.tell_gap_in(&channels));
    }

    /// Keeps an entry of a source that is not an event, as far as it can be shown. A retry cannot succeed.
    pub fn dead_letter_unreadable(&self, from: &str, shown: BusEvent, reason: String) {
        telemetry::bus_events(from, "unreadable", 1);
        self.keep_dead_letter(DeadLetter {
            id: uuid::Uuid::now_v7().to_string(),
            rule: RuleId {
                on: NO_RULE.to_owned(),
                to: NO_RULE.to_owned(),
                revokes: false,
                ends_sessions: false,
                removes: false,
            },
            reason,
            at_unix_s: self.ports.clock.now_unix_s(),
            event: shown,
            share: None,
        });
    }

    /// Waits, for a limited time, until the dead letters are stored where they survive the process.
    pub async fn flush_dead_letters(&self) {
        self.ports.dead_letters.flush().await;
    }

    /// Milliseconds since the Unix epoch, by the wall clock.
    #[must_use]
    pub fn now_unix_ms(&self) -> u64 {
        self.ports.clock.now_unix_ms()
    }
}
