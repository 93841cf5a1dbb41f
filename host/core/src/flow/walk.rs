//! The checks of gates 2 and 3, in their one order. The gates walk them for a client, and `explain` for a person: what
//! differs between the two is what a [`Walker`] answers.

use std::future::Future;
use std::sync::Arc;

use super::CallContext;
use super::Serving;
use super::inbound::{check, check_version, read, refuse_too_large};
use super::ports::Action;
use crate::channels::{Channel, Inbound, InboundAction, Rate, Resolved, Schema};
use crate::protocol::{Code, ConnectionId, Payload, Refusal, User};
use crate::telemetry::Gate;

/// Who walks through the checks.
pub(super) trait Walker: Send {
    /// What an authorizer's yes is worth.
    type Granted: Send;

    /// Makes a check. `looked` says at what, for whoever is told.
    ///
    /// # Errors
    /// The check's own.
    fn look<T>(&mut self, gate: Gate, at: Look<'_>, check: impl FnOnce() -> Result<T, Refusal>) -> Result<T, Refusal>;

    /// Who it is for. A connection that the server drains, and a credential that has ended, have no user.
    fn user(&mut self) -> Result<Option<Arc<User>>, Refusal>;

    /// The connection.
    fn connection(&self) -> ConnectionId;

    /// Whether scope and authorizer are not asked: a backend reads every topic.
    fn is_exempt(&self) -> bool;

    /// Whether the connection may hold one more topic, and takes what the user tells about itself there.
    fn has_room(&mut self, context: &CallContext) -> Result<(), Refusal>;

    /// Whether the channel's team may have one more subscription.
    fn has_budget(&mut self, serving: &Serving, context: &CallContext) -> Result<(), Refusal>;

    /// See [`Walker::has_room`].
    fn takes_info(&mut self, channel: &Channel) -> Result<(), Refusal>;

    /// Asks the authorizer, if the channel has one.
    fn authorize(
        &mut self,
        serving: &Serving,
        context: &CallContext,
        action: Action,
        payload: Option<&Payload>,
    ) -> impl Future<Output = Result<Self::Granted, Refusal>> + Send;

    /// Whether the connection holds the topic.
    fn holds(&mut self, context: &CallContext) -> Result<(), Refusal>;

    /// Most bytes of a payload.
    fn payload_bytes_max(&self) -> usize;

    /// Takes a message from the user's rate.
    fn take_rate(
        &mut self,
        context: &CallContext,
        rate: Option<Rate>,
    ) -> impl Future<Output = Result<(), Refusal>> + Send;

    /// Takes the publication of a relay from the budget of the channel's team.
    fn take_budget(&mut self, serving: &Serving, context: &CallContext) -> Result<(), Refusal>;
}

/// What a check looks at.
#[derive(Clone, Copy)]
pub(super) enum Look<'a> {
    /// The channel of a topic.
    Topic(&'a Serving, &'a str),
    /// The scope.
    Scope(&'a Channel),
    /// Whether clients may send.
    Inbound(&'a Channel),
    /// The size of a payload, and whether it can be read.
    Size(&'a Channel),
    /// A payload by a schema.
    Payload(&'a Channel),
    /// The version in a payload.
    Version(&'a Channel),
}

/// Gate 2: topic → channel and params → scope → room → budget of the team → authorizer → what the user tells about itself.
pub(super) async fn subscribe<W: Walker>(
    walker: &mut W,
    serving: &Serving,
    topic: &str,
    resolved: Option<Resolved>,
) -> Result<(CallContext, W::Granted), Refusal> {
    let context = enter(walker, Gate::Subscribe, serving, topic, resolved)?;
    // Before the authorizer, so that a client over its limit, and a team over its budget, cause no plugin call.
    walker.has_room(&context)?;
    walker.has_budget(serving, &context)?;
    let granted = walker.authorize(serving, &context, Action::Subscribe, None).await?;
    walker.takes_info(&context.resolved.channel)?;
    Ok((context, granted))
}

/// Gate 3: topic, scope → subscribed → size → authorizer → rate → schema; and for a relay what gate 4 checks of it, then the
/// budget of the team. The handler comes after. Without a payload all that needs one is left out.
pub(super) async fn send<W: Walker>(
    walker: &mut W,
    serving: &Serving,
    topic: &str,
    resolved: Option<Resolved>,
    payload: Option<&Payload>,
) -> Result<CallContext, Refusal> {
    let context = enter(walker, Gate::Inbound, serving, topic, resolved)?;
    walker.holds(&context)?;
    let channel = &*context.resolved.channel;
    let Inbound { payload: schema, action, rate } = walker
        .look(Gate::Inbound, Look::Inbound(channel), || channel.inbound.as_ref().ok_or(Code::NoHandler.into()))?;
    if let Some(payload) = payload {
        let bytes_max = walker.payload_bytes_max();
        walker.look(Gate::Inbound, Look::Size(channel), || {
            // The size comes first, before anything reads the payload: it limits the work of the authorizer and the
            // schema. The payload is read before the authorizer sees it: the authorizer must see the same value as the
            // schema and the handler.
            refuse_too_large(payload, bytes_max)?;
            if channel.authorizer.is_some() {
                read(payload)?;
            }
            Ok(())
        })?;
    }
    walker.authorize(serving, &context, Action::Send, payload).await?;
    walker.take_rate(&context, *rate).await?;
    judge(walker, Gate::Inbound, channel, schema.as_ref().unwrap_or(&channel.payload), payload)?;
    if let (InboundAction::Relay { .. }, true) = (action, schema.is_some()) {
        judge(walker, Gate::Broadcast, channel, &channel.payload, payload)?;
    }
    if let (InboundAction::Relay { .. }, Some(payload), true) = (action, payload, channel.delivery.version.is_some()) {
        walker.look(Gate::Broadcast, Look::Version(channel), || check_version(channel, payload))?;
    }
    if let InboundAction::Relay { .. } = action {
        walker.take_budget(serving, &context)?;
    }
    Ok(context)
}

/// Both gates begin so.
fn enter<W: Walker>(
    walker: &mut W,
    gate: Gate,
    serving: &Serving,
    topic: &str,
    resolved: Option<Resolved>,
) -> Result<CallContext, Refusal> {
    let resolved = walker.look(gate, Look::Topic(serving, topic), || resolved.ok_or(Code::UnknownChannel.into()))?;
    let user = walker.user()?;
    let context = CallContext { resolved, user, connection: walker.connection() };
    if !walker.is_exempt() {
        let channel = &*context.resolved.channel;
        walker.look(gate, Look::Scope(channel), || {
            Ok(channel.scope.admit(context.user.as_deref(), context.params())?)
        })?;
    }
    Ok(context)
}

fn judge<W: Walker>(
    walker: &mut W,
    gate: Gate,
    channel: &Channel,
    schema: &Schema,
    payload: Option<&Payload>,
) -> Result<(), Refusal> {
    walker.look(gate, Look::Payload(channel), || payload.map_or(Ok(()), |payload| check(schema, payload)))
}
