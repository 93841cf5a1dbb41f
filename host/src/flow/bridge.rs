//! Bus event → allowlisted rules → publications; what matched and cannot cross becomes a dead letter.

use std::sync::Arc;

use super::effects::{Begun, Reach};
use super::ports::TransformCall;
use super::revoke::{Revocation, RevokeRequest};
use super::{DeadLetter, Effect, Gates, Publication, Serving};
use crate::channels::{BridgeRule, RuleId};
use crate::protocol::{BusEvent, Refusal, Topic};
use crate::telemetry;

/// Longest reason that an event is named in; the id of a longer one is not worth it.
const REASON_BYTES_MAX: usize = 1024;

impl Gates {
    /// Takes an event across: one effect for each rule that matched, in table order. An event that no rule lists goes
    /// no further.
    pub async fn bridge(&self, event: &BusEvent) -> Vec<Effect> {
        let serving = self.serving();
        let mut effects = Vec::new();
        for rule in serving.catalog.bridge().rules_for(&event.kind) {
            effects.extend(self.cross(&serving, rule, event).await);
        }
        effects
    }

    /// Takes an event across and begins what it leads to. End it with [`Gates::bury_untaken`], at once or later: the
    /// publications have their places already.
    ///
    /// # Errors
    /// As [`Gates::begin`].
    pub async fn carry(&self, event: &BusEvent, reach: Reach) -> Result<Begun, Refusal> {
        self.begin(self.bridge(event).await, reach)
    }

    /// Waits until other nodes have what an event led to. What the broker did not take becomes a dead letter: this
    /// node's subscribers have it, and an event that was read again would reach them twice. After this the event can
    /// be acknowledged where it came from.
    pub async fn bury_untaken(&self, event: &BusEvent, begun: Begun) {
        for rule in begun.untaken().await.into_iter().flatten() {
            let RuleId { on, to, revokes } = rule.id();
            telemetry::bridged(on, to, "dead");
            let reason = if *revokes {
                "in force on one node, and neither kept nor told to the others yet"
            } else {
                "delivered on one node only: the broker did not take it"
            };
            let reason = reason.to_owned();
            self.ports.dead_letters.bury(self.dead_letter(rule.id(), event, reason));
        }
    }

    /// Takes a dead letter across again, by its own rule only. `None` when the table no longer has that rule.
    pub async fn retry(&self, letter: &DeadLetter) -> Option<Vec<Effect>> {
        let serving = self.serving();
        let mut rules = serving.catalog.bridge().rules_for(&letter.event.kind);
        let rule = rules.find(|rule| *rule.id() == letter.rule)?;
        Some(self.cross(&serving, rule, &letter.event).await.into_iter().collect())
    }

    async fn cross(&self, serving: &Serving, rule: &Arc<BridgeRule>, event: &BusEvent) -> Option<Effect> {
        let RuleId { on, to, revokes } = rule.id();
        let outcome = if *revokes {
            let revocation = self.revocation_of(serving, rule, event);
            revocation.map(|found| found.map(|found| Effect::Revoke(Box::new(found), Some(Arc::clone(rule)))))
        } else {
            let publication = self.publication(serving, rule, event).await;
            let by = || Some(Arc::clone(rule));
            publication.map(|found| found.map(|found| Effect::Deliver(Publication { rule: by(), ..found })))
        };
        match outcome {
            Ok(None) => {
                telemetry::bridged(on, to, "skipped");
                None
            }
            Ok(Some(effect)) => {
                telemetry::bridged(on, to, if *revokes { "revoked" } else { "crossed" });
                Some(effect)
            }
            Err(reason) => {
                telemetry::bridged(on, to, "dead");
                Some(Effect::Bury(self.dead_letter(rule.id(), event, reason)))
            }
        }
    }

    /// What a rule makes of an event; `None` when its condition or its transform says that it should not cross.
    async fn publication(
        &self,
        serving: &Serving,
        rule: &BridgeRule,
        event: &BusEvent,
    ) -> Result<Option<Publication>, String> {
        let Some((topic, payload)) = rule.apply(event).map_err(|error| error.to_string())? else { return Ok(None) };
        let cleared = match rule.transform() {
            None => self.clear_read(serving, &topic, payload),
            Some(plugin) => {
                let call = TransformCall { channel: &rule.id().to, event, topic: &topic, payload: payload.as_ref() };
                match serving.plugins.transform(plugin, call).await.map_err(|fault| fault.to_string())? {
                    Some(made) => self.clear_broadcast(serving, &topic, made),
                    None => return Ok(None),
                }
            }
        };
        let publication = cleared.map_err(|refusal| not_cleared(&topic, &refusal))?;
        in_channel(rule, &publication.topic, &publication.channel)?;
        Ok(Some(publication))
    }

    /// What a rule that revokes makes of an event; `None` when its condition says no.
    fn revocation_of(
        &self,
        serving: &Serving,
        rule: &BridgeRule,
        event: &BusEvent,
    ) -> Result<Option<Revocation>, String> {
        let Some((topic, user)) = rule.apply_revoking(event).map_err(|error| error.to_string())? else {
            return Ok(None);
        };
        let resolved = serving.catalog.resolve(&topic).ok_or_else(|| format!("`{topic}` is no topic"))?;
        in_channel(rule, &resolved.topic, resolved.channel.template.as_str())?;
        if !self.has_room_for_revocations() {
            return Err("as many are revoked as there may be, or wait to be kept (`limits.revocations`)".to_owned());
        }
        let reason = Some(format!("event {} `{}`", event.kind, event.id)).filter(|text| text.len() <= REASON_BYTES_MAX);
        let request = RevokeRequest { user, topic: Some(topic), reason, ..RevokeRequest::default() };
        let revocation = self.revocation(request).map_err(|error| error.to_string())?;
        Ok(Some(revocation.said_by(event, rule.id())))
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
fn in_channel(rule: &BridgeRule, topic: &Topic, channel: &str) -> Result<(), String> {
    if channel == rule.to().as_str() {
        return Ok(());
    }
    Err(format!("topic `{topic}` is declared by channel `{channel}`, not by `{}`", rule.to()))
}

fn not_cleared(topic: &str, refusal: &Refusal) -> String {
    match &refusal.details {
        Some(details) => format!("topic `{topic}`: {}: {details}", refusal.code.as_str()),
        None => format!("topic `{topic}`: {}", refusal.code.as_str()),
    }
}
