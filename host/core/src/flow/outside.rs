//! Events of sources outside: each crosses the bridge once, and what is no event is kept for whoever looks after it.

use std::collections::BTreeSet;

use super::{Begun, DeadLetter, Gates, Reach};
use crate::channels::RuleId;
use crate::protocol::{BusEvent, Refusal};
use crate::telemetry;

/// What a dead letter names where no rule made it: the thing was no event, so no rule was asked.
const NO_RULE: &str = "-";

impl DeadLetter {
    /// Whether it died by a rule, by which it can be tried again. What was no event has none.
    #[must_use]
    pub fn has_rule(&self) -> bool {
        self.rule.on != NO_RULE
    }
}

impl Gates {
    /// Takes an event of a source across, as [`Gates::carry`] does, unless it was taken before (by `source` and `id`) or
    /// no rule lists it.
    ///
    /// # Errors
    /// When what it leads to was refused: it was not taken then, and can be brought again.
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

    /// Tells the subscribers of every channel that a bridge rule publishes on that they may have missed publications: events
    /// of a source are gone, and nobody knows any more which. With [`Reach::EveryNode`] those of all nodes, or of this one
    /// where the broker does not take it.
    pub async fn tell_gap_of(&self, from: &str, reach: Reach) {
        let told = match reach {
            Reach::EveryNode => self.tell_nodes_missed(from),
            Reach::ThisNode => None,
        };
        let is_told = match told {
            Some(told) => told.await.is_ok(),
            None => false,
        };
        // Where it is, this node hears it, too.
        if !is_told {
            self.tell_gap_here(from);
        }
    }

    /// Tells those of this node.
    pub(super) fn tell_gap_here(&self, from: &str) {
        let serving = self.serving();
        let rules = serving.catalog.bridge().rules().filter(|rule| rule.id().publishes());
        let channels: BTreeSet<&str> = rules.filter_map(|rule| Some(rule.to()?.as_str())).collect();
        telemetry::bus_gaps(from, self.ports.rooms.tell_gap_in(&channels));
    }

    /// Keeps what a source held and is no event, as far as it can be shown. No retry can mend it.
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

    /// Waits, a while at most, until dead letters are where they outlive the process.
    pub async fn letters_settled(&self) {
        self.ports.dead_letters.settled().await;
    }

    /// Milliseconds since the Unix epoch, by the wall clock.
    #[must_use]
    pub fn now_unix_ms(&self) -> u64 {
        self.ports.clock.now_unix_ms()
    }
}
