//! Events of external sources: each of them crosses the bridge once. An entry that is not an event is kept as a dead
//! letter for the operator.

use std::collections::BTreeSet;

use super::{Begun, DeadLetter, Gates, Reach};
use crate::channels::RuleId;
use crate::protocol::{BusEvent, Refusal};
use crate::telemetry;

/// The rule name in a dead letter of an entry that was not an event: no rule was asked.
const NO_RULE: &str = "-";

impl DeadLetter {
    /// Whether a rule failed on the event, so that the rule can be retried. An entry that was not an event has no rule.
    #[must_use]
    pub fn has_rule(&self) -> bool {
        self.rule.on != NO_RULE
    }
}

impl Gates {
    /// Takes an event from a source across the bridge, as [`Gates::carry`] does, unless it is a duplicate (by `source`
    /// and `id`) or has no rule.
    ///
    /// # Errors
    /// If its effects were refused: then the event was not taken and can be delivered again.
    pub async fn accept(&self, from: &str, event: &BusEvent, reach: Reach) -> Result<Begun, Refusal> {
        if !self.serving().catalog.bridge().lists(&event.kind) {
            telemetry::bus_unlisted(1);
            telemetry::bus_events(from, "unlisted", 1);
            return self.begin(Vec::new(), reach);
        }
        if !self.taken.take(event) {
            telemetry::bus_events(from, "duplicate", 1);
            return self.begin(Vec::new(), reach);
        }
        let begun = self.carry(event, reach).await;
        match &begun {
            Ok(_) => telemetry::bus_events(from, "taken", 1),
            Err(_) => self.taken.give_back(event),
        }
        begun
    }

    /// Sends a gap to the subscribers of every channel that a bridge rule publishes on: events of a source were lost,
    /// and nobody knows which. With [`Reach::EveryNode`] to the subscribers of all nodes, or of this node if the broker
    /// refuses it.
    pub async fn tell_gap_of(&self, from: &str, reach: Reach) {
        let told = match reach {
            Reach::EveryNode => self.tell_nodes_missed(from),
            Reach::ThisNode => None,
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
        let rules = serving.catalog.bridge().rules().filter(|rule| rule.id().publishes());
        let channels: BTreeSet<&str> = rules.filter_map(|rule| Some(rule.to()?.as_str())).collect();
        telemetry::bus_gaps(from, self.ports.rooms.tell_gap_in(&channels));
    }

    /// Keeps an entry of a source that is not an event, as far as it can be shown. A retry cannot succeed.
    pub fn bury_unreadable(&self, from: &str, shown: BusEvent, reason: String) {
        telemetry::bus_events(from, "unreadable", 1);
        self.ports.dead_letters.bury(DeadLetter {
            id: uuid::Uuid::now_v7().to_string(),
            rule: RuleId { on: NO_RULE.to_owned(), to: NO_RULE.to_owned(), revokes: false, ends_sessions: false },
            reason,
            at_unix_s: self.ports.clock.now_unix_s(),
            event: shown,
        });
    }

    /// Waits, for a limited time, until the dead letters are stored where they survive the process.
    pub async fn letters_settled(&self) {
        self.ports.dead_letters.settled().await;
    }

    /// Milliseconds since the Unix epoch, by the wall clock.
    #[must_use]
    pub fn now_unix_ms(&self) -> u64 {
        self.ports.clock.now_unix_ms()
    }
}
