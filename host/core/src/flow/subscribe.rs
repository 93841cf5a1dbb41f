//! Gate 2: topic → channel and params → scope → authorizer → the session holds the topic.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::decisions::{Asked, Granted};
use super::live::Live;
use super::ports::{Action, AuthorizerCall, Decision, Fault, FaultKind};
use super::session::Authorized;
use super::snapshot::Owed;
use super::{CallContext, Gates, Passage, Serving, Session, walk};
use crate::channels::Resolved;
use crate::protocol::{Code, Payload, PluginName, Position, Refusal, SubscribeReceipt, SubscribeRequest};
use crate::telemetry::{self, Gate};

/// A subscription that cleared gate 2.
pub(super) struct Joined {
    pub(super) receipt: SubscribeReceipt,
    /// Whether the session held the topic before.
    pub(super) is_renewed: bool,
    /// `None` when the channel has no snapshot.
    pub(super) owed: Option<Owed>,
    pub(super) resolved: Resolved,
    /// What the user tells about itself, checked.
    pub(super) info: Option<Payload>,
    /// Where the client left off.
    pub(super) since: Option<Position>,
    /// See [`SubscribeRequest::reads_on`].
    pub(super) reads_on: bool,
}

impl Gates {
    /// Gate 2. On success the session holds the topic; `subscription.rs` does the rest.
    pub(super) async fn clear_subscribe(
        &self,
        session: &Session,
        request: &SubscribeRequest,
    ) -> Result<Joined, Refusal> {
        self.pass_subscribe(session, request, false).await
    }

    async fn pass_subscribe(
        &self,
        session: &Session,
        request: &SubscribeRequest,
        is_look: bool,
    ) -> Result<Joined, Refusal> {
        let passage = Passage::begin(Gate::Subscribe);
        let serving = self.serving();
        let resolved = serving.catalog.resolve(&request.topic);
        let place = resolved.as_ref().map(|resolved| (resolved.channel.clone(), resolved.topic.clone()));
        let result = passage.span.around(self.join(&serving, session, request, resolved, is_look)).await;
        passage.end(place.as_ref().map(|(channel, topic)| (channel.as_ref(), topic)), &result);
        result
    }

    /// Gate 2 for a client that only looks at a topic: what it may subscribe to, it may see.
    ///
    /// # Errors
    /// Those of gate 2.
    pub async fn clear_look(&self, session: &Session, topic: &str) -> Result<(), Refusal> {
        self.pass_subscribe(session, &SubscribeRequest::to(topic), true).await.map(drop)
    }

    async fn join(
        &self,
        serving: &Arc<Serving>,
        session: &Session,
        request: &SubscribeRequest,
        resolved: Option<Resolved>,
        is_look: bool,
    ) -> Result<Joined, Refusal> {
        self.refuse_while_draining()?;
        let mut client = Live { gates: self, session, info: request.info.as_ref(), is_look };
        let (context, granted) = walk::subscribe(&mut client, serving, &request.topic, resolved).await?;
        let max = self.limits.subscriptions_per_connection_max;
        let authorized = Authorized { by: serving.authorizer(&context.resolved), granted };
        let (resolved, generation) = (&context.resolved, serving.catalog.generation());
        let is_counted = !is_look && !session.holds(context.topic());
        let team = resolved.channel.team.filter(|_| is_counted);
        let seat = self.ports.budgets.take_subscription(team)?;
        let is_renewed = session.hold(resolved, context.user.as_ref(), generation, authorized, seat, max)?;
        let receipt = SubscribeReceipt {
            topic: context.topic().clone(),
            params: context.params().clone(),
            position: None,
            recovery: None,
            snapshot: None,
            presence: None,
            past: None,
        };
        let (resolved, info, since) = (context.resolved.clone(), request.info.clone(), request.since.clone());
        let plugin = context.resolved.channel.snapshot.clone();
        let owed = plugin.map(|plugin| Owed { serving: serving.clone(), context, plugin });
        Ok(Joined { receipt, is_renewed, owed, resolved, info, since, reads_on: request.reads_on })
    }

    /// Asks the channel's authorizer, if there is one, unless a valid grant for exactly this question exists. Fails closed:
    /// a fault of the plugin denies; an authorizer that cannot decide, or cannot be asked, means `unavailable`.
    pub(super) async fn ask_authorizer(
        &self,
        serving: &Serving,
        context: &CallContext,
        action: Action,
        payload: Option<&Payload>,
    ) -> Result<Granted, Refusal> {
        self.ask_authorizer_after(serving, context, action, payload, None).await
    }

    /// The same, but ignores a grant that ends no later than `known`.
    pub(super) async fn ask_authorizer_after(
        &self,
        serving: &Serving,
        context: &CallContext,
        action: Action,
        payload: Option<&Payload>,
        known: Option<Instant>,
    ) -> Result<Granted, Refusal> {
        let asked_at = self.decisions.age();
        let Some(plugin) = &context.resolved.channel.authorizer else { return Ok(Granted::to_everyone(asked_at)) };
        let asked = serving.plugins.version(plugin).map(|version| Asked::new(plugin, version, action, context));
        let found = asked.as_ref().and_then(|asked| self.decisions.find(asked));
        if let Some(granted) = found.filter(|granted| known.is_none_or(|known| granted.until > Some(known))) {
            return Ok(granted);
        }
        let answer = serving.plugins.authorize(plugin, AuthorizerCall { context, action, payload }).await;
        if let Some(refusal) = refused_by(context, &answer) {
            tell_refused(context, plugin, action, &answer);
            return Err(refusal);
        }
        let ttl = answer.map_or(Duration::ZERO, |decision| match decision {
            Decision::Allow(grant) => grant.ttl,
            Decision::Deny { .. } | Decision::CannotTell { .. } => Duration::ZERO,
        });
        Ok(self.decisions.keep(asked, asked_at, ttl))
    }
}

/// What a client is told for the answer of an authorizer; `None`: it may go on.
pub(super) fn refused_by(context: &CallContext, answer: &Result<Decision, Fault>) -> Option<Refusal> {
    match answer {
        Ok(Decision::Allow(_)) => None,
        Ok(Decision::Deny { .. }) => Some(denied(context)),
        Err(fault) if fault.kind.is_its_own() => Some(denied(context)),
        Err(fault) if fault.kind == FaultKind::OverBudget => Some(Code::OverBudget.into()),
        Ok(Decision::CannotTell { .. }) | Err(_) => Some(Code::Unavailable.into()),
    }
}

fn tell_refused(context: &CallContext, plugin: &PluginName, action: Action, answer: &Result<Decision, Fault>) {
    let (channel, action) = (context.channel(), action.as_str());
    match answer {
        Ok(Decision::Deny { reason }) => {
            tracing::debug!(%plugin, channel, action, reason, "authorizer denied");
        }
        Ok(Decision::CannotTell { reason }) => {
            telemetry::cannot_tell(plugin.as_str(), channel, action, context.user_id(), reason);
        }
        // A fault was logged where it occurred.
        Ok(Decision::Allow(_)) | Err(_) => {}
    }
}

/// A gate that needs a user but has none answers `unauthenticated`; a gate that refuses a user answers `forbidden`.
pub(super) fn denied(context: &CallContext) -> Refusal {
    if context.user.is_some() { Code::Forbidden.into() } else { Code::Unauthenticated.into() }
}
