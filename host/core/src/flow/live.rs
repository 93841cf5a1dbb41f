//! A client at the gates: what only a live connection knows of the checks.

use std::sync::Arc;

use super::decisions::Granted;
use super::ports::Action;
use super::walk::{Look, Walker};
use super::{CallContext, Gates, Serving, Session};
use crate::channels::{Channel, Rate};
use crate::protocol::{Code, ConnectionId, Payload, Refusal, User};
use crate::telemetry::Gate;

/// A client that walks through the checks.
pub(super) struct Live<'a> {
    pub(super) gates: &'a Gates,
    pub(super) session: &'a Session,
    /// What the user tells about itself.
    pub(super) info: Option<&'a Payload>,
    /// It is no subscription: the client looks at the topic once.
    pub(super) is_look: bool,
}

impl Walker for Live<'_> {
    type Granted = Granted;

    fn look<T>(&mut self, _: Gate, _: Look<'_>, check: impl FnOnce() -> Result<T, Refusal>) -> Result<T, Refusal> {
        check()
    }

    fn user(&mut self) -> Result<Option<Arc<User>>, Refusal> {
        self.gates.user_of(self.session)
    }

    fn connection(&self) -> ConnectionId {
        self.session.connection().clone()
    }

    fn is_exempt(&self) -> bool {
        self.session.is_backend()
    }

    /// [`Session::hold`] looks at the limit again.
    fn has_room(&mut self, context: &CallContext) -> Result<(), Refusal> {
        let max = self.gates.limits.subscriptions_per_connection_max;
        if self.session.topics_count() >= max && !self.session.holds(context.topic()) {
            return Err(Code::TooManySubscriptions.into());
        }
        Ok(())
    }

    /// Taking the subscription looks at the budget again.
    fn has_budget(&mut self, _: &Serving, context: &CallContext) -> Result<(), Refusal> {
        if self.is_look || self.session.holds(context.topic()) {
            return Ok(());
        }
        self.gates.ports.budgets.has_subscription(context.resolved.channel.team)
    }

    fn takes_info(&mut self, channel: &Channel) -> Result<(), Refusal> {
        self.gates.check_info(channel, self.info)
    }

    async fn authorize(
        &mut self,
        serving: &Serving,
        context: &CallContext,
        action: Action,
        payload: Option<&Payload>,
    ) -> Result<Granted, Refusal> {
        if self.is_exempt() {
            return Ok(Granted::to_everyone(self.gates.decisions.age()));
        }
        self.gates.ask_authorizer(serving, context, action, payload).await
    }

    fn holds(&mut self, context: &CallContext) -> Result<(), Refusal> {
        if self.session.holds(context.topic()) { Ok(()) } else { Err(Code::NotSubscribed.into()) }
    }

    fn payload_bytes_max(&self) -> usize {
        self.gates.limits.payload_bytes_max
    }

    async fn take_rate(&mut self, context: &CallContext, rate: Option<Rate>) -> Result<(), Refusal> {
        let Some(rate) = rate else { return Ok(()) };
        self.gates.rates.take(context.channel(), rate, context)?;
        // A connection without a user exists on this node only, and so does its window.
        if let Some(user) = &context.user
            && let Some(asked) = self.gates.ports.broker.take(context.channel(), user, rate)
            && !asked.await
        {
            return Err(Code::RateLimited.into());
        }
        Ok(())
    }

    fn take_budget(&mut self, _: &Serving, context: &CallContext) -> Result<(), Refusal> {
        self.gates.ports.budgets.take_publications(context.resolved.channel.team, 1)
    }
}
