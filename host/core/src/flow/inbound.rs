//! Gate 3: scope and authorizer again → rate → schema → handler or relay → reply and effects.

use std::collections::BTreeMap;

use super::live::Live;
use super::ports::{Fault, FaultKind, HandlerCall, Outcome, PluginEffect, PluginRefusal, PluginVersion};
use super::retained::removal;
use super::subscribe::denied;
use super::{CallContext, Effect, Gates, Passage, Publication, Serving, Session, walk};
use crate::channels::{Channel, Inbound, InboundAction, Resolved, Schema, Violation};
use crate::config::TeamId;
use crate::protocol::{BusEvent, Code, ConnectionId, Key, Payload, PluginName, Refusal};
use crate::telemetry::{self, Gate, current_trace};

/// The result of a message that cleared gate 3. The caller performs the effects, then acknowledges with the reply.
#[derive(Debug, Clone, Default)]
pub struct Receipt {
    /// The handler's reply to the sender.
    pub reply: Option<Payload>,
    /// The effects; all of them cleared gate 4.
    pub effects: Vec<Effect>,
}

impl Gates {
    /// Gate 3.
    ///
    /// # Errors
    /// Every code but those of gate 1; after any of them nothing has happened.
    pub async fn inbound(&self, session: &Session, topic: &str, payload: &Payload) -> Result<Receipt, Refusal> {
        let passage = Passage::begin(Gate::Inbound);
        let serving = self.serving();
        let resolved = serving.catalog.resolve(topic);
        let place = resolved.as_ref().map(|resolved| (resolved.channel.clone(), resolved.topic.clone()));
        let result = passage.span.around(self.take(&serving, session, topic, resolved, payload)).await;
        passage.end(place.as_ref().map(|(channel, topic)| (channel.as_ref(), topic)), &result);
        result
    }

    async fn take(
        &self,
        serving: &Serving,
        session: &Session,
        topic: &str,
        resolved: Option<Resolved>,
        payload: &Payload,
    ) -> Result<Receipt, Refusal> {
        self.refuse_while_draining()?;
        let mut client = Live { gates: self, session, info: None, is_look: false };
        let context = walk::send(&mut client, serving, topic, resolved, Some(payload)).await?;
        let inbound = context.resolved.channel.inbound.as_ref().ok_or(Code::NoHandler)?;
        self.answer(serving, &context, inbound, payload).await
    }

    /// What happens with a message that cleared the checks.
    async fn answer(
        &self,
        serving: &Serving,
        context: &CallContext,
        inbound: &Inbound,
        payload: &Payload,
    ) -> Result<Receipt, Refusal> {
        match &inbound.action {
            InboundAction::Relay { others_only } => {
                let sender = others_only.then(|| context.connection.clone());
                let publication = Publication::new(&context.resolved, payload.clone());
                let publication = publication.except(sender).traced(current_trace());
                Ok(Receipt { reply: None, effects: vec![Effect::Deliver(publication)] })
            }
            InboundAction::Handler(plugin) => {
                let answer = serving.plugins.handle(plugin, HandlerCall { context, payload }).await;
                match answer.map_err(|fault| refusal_of(&fault))? {
                    Ok(Outcome { reply, effects }) => {
                        let effects = self.clear(serving, plugin, &context.connection, context.channel(), effects)?;
                        Ok(Receipt { reply, effects })
                    }
                    Err(refusal) => Err(translate(plugin, context, refusal)),
                }
            }
        }
    }

    /// Gate 4 for every effect of a plugin, before any of them happens; and the budgets of the teams on whose channels it
    /// publishes, for all publications of the call at once. An emit to the others leaves out `connection`;
    /// `channel` is the template for counting faults.
    pub(super) fn clear(
        &self,
        serving: &Serving,
        plugin: &PluginName,
        connection: &ConnectionId,
        channel: &str,
        wanted: Vec<PluginEffect>,
    ) -> Result<Vec<Effect>, Refusal> {
        let mut effects = Vec::with_capacity(wanted.len());
        for effect in wanted {
            let cleared = match effect {
                PluginEffect::Publish { kind, .. } if !serving.catalog.bridge().lists(&kind) => {
                    telemetry::bus_unlisted(1);
                    continue;
                }
                PluginEffect::Emit { topic, payload, others_only } => self
                    .clear_broadcast(serving, &topic, payload)
                    .map(|publication| Effect::Deliver(publication.except(others_only.then(|| connection.clone()))))
                    .map_err(|refusal| emitted_badly(&topic, &refusal)),
                PluginEffect::Publish { kind, subject, data } => bus_event(plugin, kind, subject, data),
                PluginEffect::Remove { topic, key } => clear_removal(serving, &topic, key),
            };
            effects.push(cleared.map_err(|detail| {
                let fault = Fault { plugin: plugin.clone(), kind: FaultKind::InvalidOutput, detail };
                let version = serving.plugins.version(plugin).map(PluginVersion::short);
                fault.tell(version.as_deref(), channel, None);
                self.saw(fault.event(version.as_deref(), channel, None));
                refusal_of(&fault)
            })?);
        }
        self.take_budgets(&effects)?;
        Ok(effects)
    }

    fn take_budgets(&self, effects: &[Effect]) -> Result<(), Refusal> {
        if self.ports.budgets.is_empty() {
            return Ok(());
        }
        let mut counts: BTreeMap<TeamId, u32> = BTreeMap::new();
        for effect in effects {
            if let Effect::Deliver(Publication { channel, .. }) = effect
                && let Some(team) = channel.team
            {
                *counts.entry(team).or_default() += 1;
            }
        }
        counts.into_iter().try_for_each(|(team, count)| self.ports.budgets.take_publications(Some(team), count))
    }

    pub(super) fn refuse_too_large(&self, payload: &Payload) -> Result<(), Refusal> {
        refuse_too_large(payload, self.limits.payload_bytes_max)
    }
}

/// Refuses a payload of more bytes.
pub(super) fn refuse_too_large(payload: &Payload, bytes_max: usize) -> Result<(), Refusal> {
    let bytes = payload.as_str().len();
    if bytes <= bytes_max {
        return Ok(());
    }
    let details = serde_json::json!({ "bytes": bytes, "bytes_max": bytes_max });
    Err(Refusal::new(Code::PayloadTooLarge).with_details(details))
}

/// Checks a payload against a schema. The violations go to the sender.
pub(super) fn check(schema: &Schema, payload: &Payload) -> Result<(), Refusal> {
    schema.check(read(payload)?).map_err(|violations| violated(&violations))
}

/// Checks a payload that is to be published: against the channel's schema, and for its version. The violations go to the
/// sender.
pub(super) fn check_publication(channel: &Channel, payload: &Payload) -> Result<(), Refusal> {
    check(&channel.payload, payload)?;
    check_version(channel, payload)
}

pub(super) fn check_version(channel: &Channel, payload: &Payload) -> Result<(), Refusal> {
    channel.delivery.version_of(payload).map(drop).map_err(|violation| violated(&[violation]))
}

fn violated(violations: &[Violation]) -> Refusal {
    Refusal::new(Code::InvalidPayload).with_details(serde_json::json!({ "violations": violations }))
}

/// Reads the value of a payload. A text that passed the parser before may still not be a value: it may be nested too
/// deep, or have a number out of range, half a surrogate, or the same name twice in an object.
pub(super) fn read(payload: &Payload) -> Result<&serde_json::Value, Refusal> {
    payload.value().map_err(|error| Refusal::because(Code::InvalidPayload, error.to_string()))
}

/// A removal of a channel that retains values.
fn clear_removal(serving: &Serving, topic: &str, key: Option<Key>) -> Result<Effect, String> {
    let resolved = serving.catalog.resolve(topic).ok_or(Code::UnknownChannel.into());
    let removal = resolved.and_then(|resolved| removal(&resolved, key));
    removal
        .map(|removal| Effect::Remove(removal, None))
        .map_err(|refusal: Refusal| format!("remove of `{topic}`: {}", refusal.code.as_str()))
}

fn emitted_badly(topic: &str, refusal: &Refusal) -> String {
    let details = refusal.details.as_ref().map(ToString::to_string).unwrap_or_default();
    format!("emit to `{topic}`: {} {details}", refusal.code.as_str())
}

fn bus_event(plugin: &PluginName, kind: String, subject: Option<String>, data: Payload) -> Result<Effect, String> {
    data.value().map_err(|error| format!("publish `{kind}`: {error}"))?;
    let id = uuid::Uuid::now_v7().to_string();
    let mut event = BusEvent::new(id, format!("/plugins/{plugin}"), kind, data);
    event.subject = subject.filter(|subject| !subject.is_empty());
    event.trace = current_trace();
    Ok(Effect::Publish(event))
}

/// The code that the client sees for a fault; the detail stays inside.
pub(super) fn refusal_of(fault: &Fault) -> Refusal {
    match fault.kind {
        FaultKind::Cpu | FaultKind::Timeout => Code::HandlerTimeout.into(),
        FaultKind::TooLarge(exceeded) => Refusal::new(Code::PayloadTooLarge).with_details(exceeded.details()),
        FaultKind::OverBudget => Code::OverBudget.into(),
        FaultKind::Missing | FaultKind::Overloaded | FaultKind::Paused | FaultKind::Unanswered => {
            Code::Unavailable.into()
        }
        FaultKind::Trap | FaultKind::Memory | FaultKind::InvalidOutput | FaultKind::NotGranted | FaultKind::Failed => {
            Code::HandlerFailed.into()
        }
    }
}

/// The code that the client sees for a handler's refusal, with only the part that is meant for the client.
fn translate(plugin: &PluginName, context: &CallContext, refusal: PluginRefusal) -> Refusal {
    let (code, detail) = match refusal {
        PluginRefusal::InvalidPayload(message) => {
            return Refusal::new(Code::InvalidPayload).with_details(serde_json::json!({ "reason": message }));
        }
        PluginRefusal::Forbidden(detail) => (denied(context).code, detail),
        PluginRefusal::Unavailable(detail) => (Code::Unavailable, detail),
        PluginRefusal::Failed(detail) => (Code::HandlerFailed, detail),
    };
    tracing::info!(%plugin, channel = context.channel(), code = code.as_str(), detail, "handler refused");
    code.into()
}
