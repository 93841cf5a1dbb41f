//! Gate 2: topic → channel and params → scope → authorizer → the session holds the topic.

use std::sync::Arc;

use tokio::time::Instant;

use super::decisions::{Asked, Granted};
use super::ports::{Action, AuthorizerCall, Decision};
use super::session::Authorized;
use super::snapshot::{Joined, Owed};
use super::{CallContext, Gates, Serving, Session, observe};
use crate::channels::Resolved;
use crate::protocol::{Code, Payload, Refusal, SubscribeReceipt, SubscribeRequest, Topic};
use crate::telemetry::{self, Gate};

impl Gates {
    /// Gate 2. On success the session holds the topic; the caller lets the connection into the room and then ends the
    /// subscription with [`Gates::complete`].
    ///
    /// # Errors
    /// `unknown_channel`, `unauthenticated`, `forbidden`, `token_expired`, `too_many_subscriptions`, `unavailable` (an
    /// authorizer that cannot tell), `draining`.
    pub async fn subscribe(&self, session: &Session, request: &SubscribeRequest) -> Result<Joined, Refusal> {
        let started = Instant::now();
        let serving = self.serving();
        let resolved = serving.catalog.resolve(&request.channel);
        let channel = resolved.as_ref().map(|resolved| resolved.channel.clone());
        let result = self.join(&serving, session, request, resolved).await;
        observe(Gate::Subscribe, channel.as_ref().map(|channel| channel.template.as_str()), started, &result);
        result
    }

    async fn join(
        &self,
        serving: &Arc<Serving>,
        session: &Session,
        request: &SubscribeRequest,
        resolved: Option<Resolved>,
    ) -> Result<Joined, Refusal> {
        self.refuse_while_draining()?;
        let resolved = resolved.ok_or(Code::UnknownChannel)?;
        let user = self.user_of(session)?;
        let context = CallContext { resolved, user, connection: session.connection().clone() };
        context.resolved.channel.scope.admit(context.user.as_deref(), context.params())?;
        // Before the authorizer, so that a client over its limit costs no plugin call; `hold` decides again.
        let max = self.limits.subscriptions_per_connection_max;
        if session.topics_count() >= max && !session.holds(context.topic()) {
            return Err(Code::TooManySubscriptions.into());
        }
        let granted = self.ask_authorizer(serving, &context, Action::Subscribe, None).await?;
        let authorized = Authorized { by: serving.authorizer(&context.resolved), granted };
        let is_renewed =
            session.hold(context.topic(), context.user.as_ref(), serving.catalog.generation(), authorized, max)?;
        let receipt = SubscribeReceipt {
            channel: context.topic().clone(),
            params: context.params().clone(),
            // No channel keeps history: whoever asks for what it missed is told that it is gone.
            unrecovered: request.since.as_ref().map(|_| "expired"),
            snapshot: None,
        };
        let plugin = context.resolved.channel.snapshot.clone();
        let owed = plugin.map(|plugin| Owed { serving: serving.clone(), context, plugin });
        Ok(Joined { receipt, is_renewed, owed })
    }

    /// Takes a topic from a session that was revoked from it. False when it does not hold it; otherwise the caller takes
    /// the connection out of the room and tells the client, who may subscribe again if the gates let it.
    #[must_use]
    pub fn withdraw(&self, session: &Session, topic: &Topic) -> bool {
        session.release(topic)
    }

    /// `unsubscribe`. On success the caller takes the connection out of the room.
    ///
    /// # Errors
    /// `not_subscribed` when the session does not hold the topic.
    pub fn unsubscribe(&self, session: &Session, channel: &str) -> Result<Topic, Refusal> {
        // Whoever it is may leave; but it is a word of the user like any other.
        let _ = self.user_of(session);
        match Topic::parse(channel) {
            Ok(topic) if session.release(&topic) => Ok(topic),
            _ => Err(Code::NotSubscribed.into()),
        }
    }
}

impl Gates {
    /// Asks the channel's authorizer, if it has one, unless it has granted this very question for a time that is not
    /// over. Fails closed: a fault of its own denies; where it cannot tell, or could not be asked, that is `unavailable`.
    pub(super) async fn ask_authorizer(
        &self,
        serving: &Serving,
        context: &CallContext,
        action: Action,
        payload: Option<&Payload>,
    ) -> Result<Granted, Refusal> {
        self.ask_authorizer_after(serving, context, action, payload, None).await
    }

    /// The same, not content with an answer that holds no longer than until `known`.
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
        match serving.plugins.authorize(plugin, AuthorizerCall { context, action, payload }).await {
            Ok(Decision::Allow(grant)) => Ok(self.decisions.keep(asked, asked_at, grant.ttl)),
            Ok(Decision::Deny { reason }) => {
                tracing::debug!(%plugin, channel = context.channel(), action = action.as_str(), reason, "authorizer denied");
                Err(denied(context))
            }
            Ok(Decision::CannotTell { reason }) => {
                let (channel, user) = (context.channel(), context.user_id());
                telemetry::cannot_tell(plugin.as_str(), channel, action.as_str(), user, &reason);
                Err(Code::Unavailable.into())
            }
            Err(fault) if fault.kind.is_its_own() => Err(denied(context)),
            Err(_not_its_own) => Err(Code::Unavailable.into()),
        }
    }
}

/// A gate that needs a user and has none says `unauthenticated`; one that has a user and refuses says `forbidden`.
pub(super) fn denied(context: &CallContext) -> Refusal {
    if context.user.is_some() { Code::Forbidden.into() } else { Code::Unauthenticated.into() }
}
