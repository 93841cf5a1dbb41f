//! Bus event → allowlisted rules → publications; what matched and cannot cross becomes a dead letter.

use super::{DeadLetter, Effect, Gates, Publication, Serving};
use crate::channels::{BridgeRule, RuleId};
use crate::protocol::{BusEvent, Payload, Refusal};
use crate::telemetry;

impl Gates {
    /// Takes an event across: one effect for each rule that matched. An event that no rule lists goes no further.
    #[must_use]
    pub fn bridge(&self, event: &BusEvent) -> Vec<Effect> {
        let serving = self.serving();
        let rules = serving.catalog.bridge().rules_for(&event.kind);
        rules.filter_map(|rule| self.cross(&serving, rule, event)).collect()
    }

    /// Takes a dead letter across again, by its own rule only. `None` when the table no longer has that rule.
    #[must_use]
    pub fn retry(&self, letter: &DeadLetter) -> Option<Vec<Effect>> {
        let serving = self.serving();
        let mut rules = serving.catalog.bridge().rules_for(&letter.event.kind);
        let rule = rules.find(|rule| *rule.id() == letter.rule)?;
        Some(self.cross(&serving, rule, &letter.event).into_iter().collect())
    }

    fn cross(&self, serving: &Serving, rule: &BridgeRule, event: &BusEvent) -> Option<Effect> {
        let crossed = match rule.apply(event) {
            Ok(None) => {
                telemetry::bridged(&rule.id().on, &rule.id().to, "skipped");
                return None;
            }
            Ok(Some((topic, payload))) => self
                .clear_broadcast(serving, &topic, Payload::from(&payload))
                .map_err(|refusal| not_cleared(&topic, &refusal))
                .and_then(|publication| stays_in_channel(rule, publication)),
            Err(error) => Err(error.to_string()),
        };
        match crossed {
            Ok(publication) => {
                telemetry::bridged(&rule.id().on, &rule.id().to, "crossed");
                Some(Effect::Deliver(publication))
            }
            Err(reason) => {
                telemetry::bridged(&rule.id().on, &rule.id().to, "dead");
                Some(Effect::Bury(self.dead_letter(rule.id(), event, reason)))
            }
        }
    }

    fn dead_letter(&self, rule: &RuleId, event: &BusEvent, reason: String) -> DeadLetter {
        DeadLetter {
            id: uuid::Uuid::now_v7().to_string(),
            rule: rule.clone(),
            reason,
            at_unix_s: self.ports.clock.now_unix_s(),
            event: event.clone(),
        }
    }
}

/// A static channel wins over a template: a param of the event must not lead into one that the rule does not name.
fn stays_in_channel(rule: &BridgeRule, publication: Publication) -> Result<Publication, String> {
    if publication.channel == rule.to().as_str() {
        return Ok(publication);
    }
    Err(format!(
        "topic `{}` is declared by channel `{}`, not by `{}`",
        publication.topic,
        publication.channel,
        rule.to()
    ))
}

fn not_cleared(topic: &str, refusal: &Refusal) -> String {
    match &refusal.details {
        Some(details) => format!("topic `{topic}`: {}: {details}", refusal.code.as_str()),
        None => format!("topic `{topic}`: {}", refusal.code.as_str()),
    }
}
