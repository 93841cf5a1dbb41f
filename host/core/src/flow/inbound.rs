//! Gate 3: scope and authorizer again → rate → schema → handler or relay → reply and effects.

use tokio::time::Instant;

use super::ports::{Action, Fault, FaultKind, HandlerCall, Outcome, PluginEffect, PluginRefusal, PluginVersion};
use super::subscribe::denied;
use super::{CallContext, Effect, Gates, Publication, Serving, Session, observe};
use crate::channels::{Inbound, InboundAction, Resolved, Schema};
use crate::protocol::{BusEvent, Code, ConnectionId, Payload, PluginName, ReadPayload, Refusal};
use crate::telemetry::{self, Gate};

/// What a message that cleared gate 3 leads to. The caller performs the effects, then acks the reply.
#[derive(Debug, Clone, Default)]
pub struct Receipt {
    /// The handler's receipt for the sender.
    pub reply: Option<Payload>,
    /// What should happen; all of it cleared gate 4.
    pub effects: Vec<Effect>,
}

impl Gates {
    /// Gate 3.
    ///
    /// # Errors
    /// Every code but those of gate 1; after any of them nothing has happened.
    pub async fn inbound(&self, session: &Session, topic: &str, payload: &Payload) -> Result<Receipt, Refusal> {
        let started = Instant::now();
        let serving = self.serving();
        let resolved = serving.catalog.resolve(topic);
        let channel = resolved.as_ref().map(|resolved| resolved.channel.clone());
        let result = self.take(&serving, session, resolved, payload).await;
        observe(Gate::Inbound, channel.as_ref().map(|channel| channel.template.as_str()), started, &result);
        result
    }

    async fn take(
        &self,
        serving: &Serving,
        session: &Session,
        resolved: Option<Resolved>,
        payload: &Payload,
    ) -> Result<Receipt, Refusal> {
        self.refuse_while_draining()?;
        let resolved = resolved.ok_or(Code::UnknownChannel)?;
        let channel = resolved.channel.clone();
        let user = self.user_of(session)?;
        let context = &CallContext { resolved, user, connection: session.connection().clone() };
        channel.scope.admit(context.user.as_deref(), context.params())?;
        if !session.holds(context.topic()) {
            return Err(Code::NotSubscribed.into());
        }
        let inbound = channel.inbound.as_ref().ok_or(Code::NoHandler)?;
        // Size before anything that reads the payload: it bounds what the authorizer and the schema work on.
        self.refuse_too_large(payload)?;
        // Before the authorizer, where there is one: it must not read another value than the schema and the handler do.
        let value = channel.authorizer.as_ref().map(|_| read(payload)).transpose()?;
        self.ask_authorizer(serving, context, Action::Send, Some(payload)).await?;
        if let Some(rate) = inbound.rate {
            self.rates.take(channel.template.as_str(), rate, context)?;
            // A connection without a user is on this node alone, and so is its window.
            if let Some(user) = &context.user
                && let Some(asked) = self.ports.broker.take(channel.template.as_str(), user, rate)
                && !asked.await
            {
                return Err(Code::RateLimited.into());
            }
        }
        let value = value.map_or_else(|| read(payload), Ok)?;
        check_value(inbound.payload.as_ref().unwrap_or(&channel.payload), &value)?;
        self.answer(serving, context, inbound, payload).await
    }

    async fn answer(
        &self,
        serving: &Serving,
        context: &CallContext,
        inbound: &Inbound,
        payload: &Payload,
    ) -> Result<Receipt, Refusal> {
        match &inbound.action {
            InboundAction::Relay { others_only } => {
                if inbound.payload.is_some() {
                    check(&context.resolved.channel.payload, payload)?;
                }
                let publication = Publication::new(&context.resolved, payload.clone());
                let publication = publication.sent_by(&context.connection, *others_only);
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

    /// Gate 4 for every effect of a plugin, before any of them happens. `connection` is whom an emit to the others
    /// leaves out, `channel` the template that a fault is counted under.
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
                    .map(|publication| Effect::Deliver(publication.sent_by(connection, others_only)))
                    .map_err(|refusal| emitted_badly(&topic, &refusal)),
                PluginEffect::Publish { kind, subject, data } => bus_event(plugin, kind, subject, &data),
            };
            effects.push(cleared.map_err(|detail| {
                let fault = Fault { plugin: plugin.clone(), kind: FaultKind::InvalidOutput, detail };
                let version = serving.plugins.version(plugin).map(PluginVersion::short);
                fault.tell(version.as_deref(), channel, None);
                refusal_of(&fault)
            })?);
        }
        Ok(effects)
    }

    pub(super) fn refuse_too_large(&self, payload: &Payload) -> Result<(), Refusal> {
        let bytes_max = self.limits.payload_bytes_max;
        if payload.as_str().len() <= bytes_max {
            return Ok(());
        }
        let details = serde_json::json!({ "bytes": payload.as_str().len(), "bytes_max": bytes_max });
        Err(Refusal::new(Code::PayloadTooLarge).with_details(details))
    }
}

/// Judges a payload by a schema; the violations go to whoever sent it.
pub(super) fn check(schema: &Schema, payload: &Payload) -> Result<(), Refusal> {
    check_value(schema, &read(payload)?)
}

/// The value of a payload. A text that the parser skips over may still be none: nested too deep, a number out of range, half a
/// surrogate, a name twice in one object.
fn read(payload: &Payload) -> Result<serde_json::Value, Refusal> {
    payload.to_value().map_err(|error| Refusal::because(Code::InvalidPayload, error.to_string()))
}

/// Judges a payload that was read.
pub(super) fn check_value(schema: &Schema, value: &serde_json::Value) -> Result<(), Refusal> {
    schema.check(value).map_err(|violations| {
        Refusal::new(Code::InvalidPayload).with_details(serde_json::json!({ "violations": violations }))
    })
}

fn emitted_badly(topic: &str, refusal: &Refusal) -> String {
    let details = refusal.details.as_ref().map(ToString::to_string).unwrap_or_default();
    format!("emit to `{topic}`: {} {details}", refusal.code.as_str())
}

fn bus_event(plugin: &PluginName, kind: String, subject: Option<String>, data: &Payload) -> Result<Effect, String> {
    let data = ReadPayload::read(data.clone()).map_err(|error| format!("publish `{kind}`: {error}"))?;
    let id = uuid::Uuid::now_v7().to_string();
    let mut event = BusEvent::new(id, format!("/plugins/{plugin}"), kind, data);
    event.subject = subject.filter(|subject| !subject.is_empty());
    Ok(Effect::Publish(event))
}

/// The code a fault shows to the client; its detail stays inside.
pub(super) fn refusal_of(fault: &Fault) -> Refusal {
    match fault.kind {
        FaultKind::Cpu | FaultKind::Timeout => Code::HandlerTimeout.into(),
        FaultKind::TooLarge(exceeded) => Refusal::new(Code::PayloadTooLarge).with_details(exceeded.details()),
        FaultKind::Missing | FaultKind::Overloaded | FaultKind::Paused => Code::Unavailable.into(),
        FaultKind::Trap | FaultKind::Memory | FaultKind::InvalidOutput | FaultKind::NotGranted | FaultKind::Failed => {
            Code::HandlerFailed.into()
        }
    }
}

/// The code a handler's own no shows to the client; only what is meant for the client goes with it.
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
