//! From bus events to publications, by the rules of the bridge table. An event that matches a rule but cannot cross
//! becomes a dead letter.

use std::sync::Arc;

use super::effects::{Audience, PendingPublish, Untaken};
use super::ports::{Removal, TransformCall};
use super::publication::Unpublished;
use super::retained::removal;
use super::revoke::{Revocation, RevokeRequest};
use super::{DeadLetter, Effect, Gates, Publication, Serving};
use crate::channels::{BridgeRule, Channel, Ended, RuleId};
use crate::protocol::{BusEvent, Refusal, Topic};
use crate::telemetry::{self, Span, SpanKind};

/// The longest reason that may name an event. Longer ids are left out.
const REASON_BYTES_MAX: usize = 1024;

impl Gates {
    /// Applies the bridge table to an event: one effect for each matching rule, in table order. An event without a rule
    /// is dropped.
    pub async fn bridge(&self, event: &BusEvent) -> Vec<Effect> {
        let serving = self.serving();
        let mut effects = Vec::new();
        for rule in serving.catalog.bridge().rules_for(&event.kind) {
            effects.extend(self.cross(&serving, rule, event).await);
        }
        effects
    }

    /// Applies the bridge table to an event and starts its effects. End it with [`Gates::dead_letter_untaken`], at once
    /// or later: the publications have their place in the order already.
    ///
    /// # Errors
    /// As [`Gates::begin`].
    pub async fn carry(&self, event: &BusEvent, audience: Audience) -> Result<PendingPublish, Refusal> {
        let mut span = Span::begin("bus event", SpanKind::Consumer, event.trace.clone());
        span.describe(|| {
            let BusEvent { kind, id, source, .. } = event;
            [
                ("cloudevents.event_type", kind.clone().into()),
                ("cloudevents.event_id", id.clone().into()),
                ("cloudevents.event_source", source.clone().into()),
            ]
        });
        span.around(async { self.begin(self.bridge(event).await, audience) }).await
    }

    /// Waits until other nodes have the publications of an event. A publication that the broker did not accept becomes
    /// a dead letter: this node's subscribers may have it already, and reading the event again would deliver it to them
    /// twice. After this the caller can acknowledge the event at its source.
    pub async fn dead_letter_untaken(&self, event: &BusEvent, pending: PendingPublish) {
        for Untaken { rule, how_far } in pending.untaken().await {
            let Some(rule) = rule else { continue };
            let RuleId { on, to, .. } = rule.id();
            if event.is_own() {
                // It says how this node was a moment ago: sent later it would only push out what others need.
                telemetry::own_event(&event.kind, "here_only");
                continue;
            }
            telemetry::bridged(on, to, "dead");
            let reason = match how_far {
                Unpublished::Nowhere => "not published: the broker did not accept it",
                Unpublished::HereOnly if rule.id().publishes() => {
                    "delivered on one node only: the broker did not accept it"
                }
                Unpublished::HereOnly => "in force on one node, but not yet stored or sent to the others",
            };
            let reason = reason.to_owned();
            self.keep_dead_letter(self.dead_letter(rule.id(), event, reason));
        }
    }

    /// Applies only the letter's own rule again. `None` if the table no longer has this rule.
    pub async fn retry(&self, letter: &DeadLetter) -> Option<Vec<Effect>> {
        let serving = self.serving();
        let mut rules = serving.catalog.bridge().rules_for(&letter.event.kind);
        let rule = rules.find(|rule| *rule.id() == letter.rule)?;
        Some(self.cross(&serving, rule, &letter.event).await)
    }

    /// The effects of one rule for an event: none if its condition is false.
    async fn cross(&self, serving: &Serving, rule: &Arc<BridgeRule>, event: &BusEvent) -> Vec<Effect> {
        let RuleId { on, to, .. } = rule.id();
        let by = || Some(Arc::clone(rule));
        let outcome: Result<Vec<Effect>, String> = if rule.id().publishes() {
            let publication = self.publication(serving, rule, event).await;
            publication.map(|found| {
                let once = |found: &Publication| {
                    let BusEvent { source, id, .. } = event;
                    let name = || format!("{source} {id} {on} {to} {}", found.topic).into();
                    found.channel.is_ordered().then(name)
                };
                let of_rule = |found| Effect::Deliver(Publication { rule: by(), once: once(&found), ..found });
                found.into_iter().map(of_rule).collect()
            })
        } else if rule.id().removes {
            let removal = removal_of(serving, rule, event);
            removal.map(|found| found.map(|found| Effect::Remove(found, by())).into_iter().collect())
        } else {
            let revocations = self.revocations_of(serving, rule, event);
            revocations.map(|found| found.into_iter().map(|found| Effect::Revoke(Box::new(found), by())).collect())
        };
        match outcome {
            Ok(effects) => {
                let did = match rule.id() {
                    id if id.publishes() => "crossed",
                    RuleId { removes: true, .. } => "removed",
                    _ => "revoked",
                };
                telemetry::bridged(on, to, if effects.is_empty() { "skipped" } else { did });
                effects
            }
            Err(reason) => {
                telemetry::bridged(on, to, "dead");
                vec![Effect::DeadLetter(self.dead_letter(rule.id(), event, reason))]
            }
        }
    }

    /// The publication of one rule for an event; `None` if the rule's condition or transform drops it.
    async fn publication(
        &self,
        serving: &Serving,
        rule: &BridgeRule,
        event: &BusEvent,
    ) -> Result<Option<Publication>, String> {
        let Some((topic, payload)) = rule.apply(event).map_err(|error| error.to_string())? else { return Ok(None) };
        let cleared = match rule.transform() {
            None => self.clear_one(serving, &topic, payload),
            Some(plugin) => {
                let call = TransformCall { channel: &rule.id().to, event, topic: &topic, payload: &payload };
                match serving.plugins.transform(plugin, call).await.map_err(|fault| fault.to_string())? {
                    Some(made) => self.clear_one(serving, &topic, made),
                    None => return Ok(None),
                }
            }
        };
        let publication = cleared.map_err(|refusal| not_cleared(&topic, &refusal))?;
        in_channel(rule, &publication.topic, &publication.channel)?;
        Ok(Some(publication))
    }

    /// The revocations of a rule that revokes or ends sessions; none if its condition is false.
    fn revocations_of(
        &self,
        serving: &Serving,
        rule: &BridgeRule,
        event: &BusEvent,
    ) -> Result<Vec<Revocation>, String> {
        let requests = if rule.id().ends_sessions {
            match rule.apply_ending(event).map_err(|error| error.to_string())? {
                None => return Ok(Vec::new()),
                Some(Ended::User(user)) => vec![RevokeRequest { user: Some(user), ..RevokeRequest::default() }],
                Some(Ended::Token(token)) => {
                    let ids = self.auth.token_ids(&token).into_iter();
                    ids.map(|id| RevokeRequest { token: Some(id), ..RevokeRequest::default() }).collect()
                }
            }
        } else {
            let Some((topic, user)) = rule.apply_revoking(event).map_err(|error| error.to_string())? else {
                return Ok(Vec::new());
            };
            let resolved = serving.catalog.resolve(&topic).ok_or_else(|| format!("`{topic}` is not a valid topic"))?;
            in_channel(rule, &resolved.topic, &resolved.channel)?;
            vec![RevokeRequest { user, topic: Some(topic), ..RevokeRequest::default() }]
        };
        if !self.has_room_for_revocations() {
            return Err("the limit of revocations is reached, in force or waiting to be stored (`limits.revocations`)"
                .to_owned());
        }
        let reason = Some(format!("event {} `{}`", event.kind, event.id)).filter(|text| text.len() <= REASON_BYTES_MAX);
        let revocation = |request: RevokeRequest| -> Result<Revocation, String> {
            let revocation = self.revocation(RevokeRequest { reason: reason.clone(), ..request });
            Ok(revocation.map_err(|error| error.to_string())?.said_by(event, rule.id()))
        };
        requests.into_iter().map(revocation).collect()
    }

    fn dead_letter(&self, rule: &RuleId, event: &BusEvent, reason: String) -> DeadLetter {
        DeadLetter {
            id: uuid::Uuid::now_v7().to_string(),
            rule: rule.clone(),
            reason,
            at_unix_s: self.ports.clock.now_unix_s(),
            event: event.clone(),
            share: None,
        }
    }
}

/// The removal of a rule that takes a retained value away; `None` if its condition is false.
fn removal_of(serving: &Serving, rule: &BridgeRule, event: &BusEvent) -> Result<Option<Removal>, String> {
    let Some((topic, key)) = rule.apply_removing(event).map_err(|error| error.to_string())? else { return Ok(None) };
    let resolved = serving.catalog.resolve(&topic).ok_or_else(|| format!("`{topic}` is not a valid topic"))?;
    in_channel(rule, &resolved.topic, &resolved.channel)?;
    let removal = removal(&resolved, Some(key)).map_err(|refusal| not_cleared(&topic, &refusal))?;
    let BusEvent { source, id, .. } = event;
    let RuleId { on, to, .. } = rule.id();
    Ok(Some(Removal { once: Some(format!("{source} {id} {on} {to} {topic} remove").into()), ..removal }))
}

/// Refuses a topic of another channel. A channel without params wins over a template, so a param from the event could
/// otherwise lead into a channel that the rule does not name.
fn in_channel(rule: &BridgeRule, topic: &Topic, channel: &Channel) -> Result<(), String> {
    let (to, template) = (&rule.id().to, channel.template.as_str());
    if template == to {
        return Ok(());
    }
    Err(format!("topic `{topic}` belongs to channel `{template}`, not to `{to}`"))
}

fn not_cleared(topic: &str, refusal: &Refusal) -> String {
    match &refusal.details {
        Some(details) => format!("topic `{topic}`: {}: {details}", refusal.code.as_str()),
        None => format!("topic `{topic}`: {}", refusal.code.as_str()),
    }
}
