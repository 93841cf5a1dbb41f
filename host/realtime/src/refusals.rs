//! The last refusals of one connection, for operators. They are few, so that a client that is refused all the time costs
//! no more than another.

use std::collections::VecDeque;

use serde::Serialize;

use tidegate_core::protocol::{Code, TOPIC_BYTES_MAX};
use tidegate_core::telemetry::Gate;

/// Most refusals that a connection remembers.
const REFUSALS_MAX: usize = 8;

/// A refusal of an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refused {
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// The gate.
    pub gate: &'static str,
    /// The topic, if the event names one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<Box<str>>,
    /// What the client was told.
    pub code: &'static str,
}

impl Refused {
    /// A refusal. What is too long for a topic is cut.
    pub(super) fn new(at_ms: u64, gate: Gate, topic: &str, code: Code) -> Self {
        let end = topic.floor_char_boundary(TOPIC_BYTES_MAX);
        let topic = (!topic.is_empty()).then(|| topic[..end].into());
        Self { at_ms, gate: gate.as_str(), topic, code: code.as_str() }
    }
}

/// The last refusals of a connection; nothing is allocated before the first.
#[derive(Debug, Default)]
pub(super) struct Refusals(VecDeque<Refused>);

impl Refusals {
    /// Remembers one in the place of the oldest.
    pub(super) fn note(&mut self, refused: Refused) {
        if self.0.len() == REFUSALS_MAX {
            self.0.pop_front();
        }
        self.0.push_back(refused);
    }

    /// The newest first.
    pub(super) fn newest_first(&self) -> Vec<Refused> {
        self.0.iter().rev().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_refusals_stay_and_a_long_name_is_cut() {
        let mut refusals = Refusals::default();
        assert_eq!(refusals.newest_first(), []);
        (0..100)
            .for_each(|at_ms| refusals.note(Refused::new(at_ms, Gate::Inbound, &"é".repeat(1000), Code::Forbidden)));
        let kept = refusals.newest_first();
        assert_eq!(kept.iter().map(|refused| refused.at_ms).collect::<Vec<_>>(), [99, 98, 97, 96, 95, 94, 93, 92]);
        assert_eq!(kept[0].topic.as_deref(), Some("é".repeat(127).as_str()));
        assert!(refusals.0.capacity() <= 2 * REFUSALS_MAX);
        assert_eq!(Refused::new(1, Gate::Connect, "", Code::Unauthenticated).topic, None);
    }
}
