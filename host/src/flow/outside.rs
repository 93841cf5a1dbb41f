//! Events of sources outside: each crosses the bridge once, and what is no event is kept for whoever looks after it.

use super::{DeadLetter, Gates};
use crate::channels::RuleId;
use crate::protocol::{BusEvent, Refusal};
use crate::telemetry;

/// What a dead letter names where no rule made it: the thing was no event, so no rule was asked.
const NO_RULE: &str = "-";

impl Gates {
    /// Takes an event of a source across and performs what it leads to, unless it was taken before (by `source` and
    /// `id`) or no rule lists it. Once this returns, the event can be acknowledged where it came from.
    ///
    /// # Errors
    /// When what it leads to was refused: it was not taken then, and can be brought again.
    pub async fn accept(&self, from: &str, event: &BusEvent) -> Result<(), Refusal> {
        if !self.serving().catalog.bridge().lists(&event.kind) {
            telemetry::bus_unlisted(1);
            telemetry::bus_events(from, "unlisted", 1);
            return Ok(());
        }
        if !self.taken.take(event) {
            telemetry::bus_events(from, "duplicate", 1);
            return Ok(());
        }
        let performed = self.perform(self.bridge(event).await);
        match &performed {
            Ok(()) => telemetry::bus_events(from, "taken", 1),
            Err(_) => self.taken.give_back(event),
        }
        performed
    }

    /// Keeps what a source held and is no event, as far as it can be shown. No retry can mend it.
    pub fn bury_unreadable(&self, from: &str, shown: BusEvent, reason: String) {
        telemetry::bus_events(from, "unreadable", 1);
        self.ports.dead_letters.bury(DeadLetter {
            id: uuid::Uuid::now_v7().to_string(),
            rule: RuleId { on: NO_RULE.to_owned(), to: NO_RULE.to_owned() },
            reason,
            at_unix_s: self.ports.clock.now_unix_s(),
            event: shown,
        });
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub fn now_unix_ms(&self) -> u64 {
        self.ports.clock.now_unix_ms()
    }
}
