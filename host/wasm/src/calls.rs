//! The calls of a plugin, one method for each kind, and their results.

use std::pin::{Pin, pin};
use std::time::Duration;

use tokio::time::error::Elapsed;
use tokio::time::{Instant as Moment, timeout_at};

use super::answer;
use super::contract::{self, authorizer, shorten};
use super::fault::Failure;
use super::plugin::{Lease, Plugin};
use super::room::Room;
use tidegate_core::channels::PluginKind;
use tidegate_core::flow::CallContext;
use tidegate_core::flow::ports::{
    Answer, AuthorizerCall, ConnectionCall, Decision, Exceeded, Fault, FaultKind, HandlerCall, IdentifyCall,
    PluginEffect, Recognition, TransformCall,
};
use tidegate_core::protocol::Payload;
use tidegate_core::telemetry;

/// The caller of a plugin.
#[derive(Clone, Copy)]
struct Caller<'a> {
    channel: &'a str,
    user: Option<&'a str>,
    /// The input of the call, for a fault that shows it.
    input: Option<&'a Payload>,
}

impl<'a> Caller<'a> {
    fn of(context: &'a CallContext, input: Option<&'a Payload>) -> Self {
        Self { channel: context.channel(), user: context.user_id(), input }
    }
}

/// An instance's answer: in time or not, with the export or without, successful or failed.
type Called<T> = Result<Option<wasmtime::Result<T>>, Elapsed>;

impl Plugin {
    /// Lets the handler answer a message.
    ///
    /// # Errors
    /// [`Fault`], logged and counted.
    pub async fn handle(&self, call: HandlerCall<'_>) -> Result<Answer, Fault> {
        let work = pin!(self.try_handle(call));
        self.observed(&self.workers, PluginKind::Handler, Caller::of(call.context, Some(call.payload)), work).await
    }

    /// Asks the authorizer.
    ///
    /// # Errors
    /// [`Fault`], logged and counted.
    pub async fn authorize(&self, call: AuthorizerCall<'_>) -> Result<Decision, Fault> {
        let work = pin!(self.try_authorize(call));
        self.observed(&self.authorizers, PluginKind::Authorizer, Caller::of(call.context, call.payload), work).await
    }

    /// Asks the authorizer to identify the user of a credential.
    ///
    /// # Errors
    /// [`Fault`], logged and counted.
    pub async fn identify(&self, call: IdentifyCall<'_>) -> Result<Recognition, Fault> {
        // A credential is never logged.
        let caller = Caller { channel: telemetry::NO_CHANNEL, user: None, input: None };
        let work = pin!(self.try_identify(call));
        self.observed(&self.authorizers, PluginKind::Authorizer, caller, work).await
    }

    /// Asks the snapshot plugin for a topic's state.
    ///
    /// # Errors
    /// [`Fault`], logged and counted.
    pub async fn provide(&self, context: &CallContext) -> Result<Vec<Payload>, Fault> {
        let work = pin!(self.try_provide(context));
        self.observed(&self.workers, PluginKind::Snapshot, Caller::of(context, None), work).await
    }

    /// Lets the transform make the payload of a bridge rule; `None` if the event should not cross.
    ///
    /// # Errors
    /// [`Fault`], logged and counted.
    pub async fn transform(&self, call: TransformCall<'_>) -> Result<Option<Payload>, Fault> {
        let caller = Caller { channel: call.channel, user: None, input: Some(call.payload) };
        let work = pin!(self.try_transform(call));
        self.observed(&self.workers, PluginKind::Transform, caller, work).await
    }

    /// Announces an opened or closed connection.
    ///
    /// # Errors
    /// [`Fault`], logged and counted.
    pub async fn changed(&self, call: ConnectionCall<'_>) -> Result<Vec<PluginEffect>, Fault> {
        let user = call.user.map(|user| user.id.as_str());
        let caller = Caller { channel: telemetry::NO_CHANNEL, user, input: None };
        let work = pin!(self.try_changed(call));
        self.observed(&self.workers, PluginKind::Connection, caller, work).await
    }

    async fn try_handle(&self, call: HandlerCall<'_>) -> Result<Answer, Failure> {
        let limits = &self.manifest.limits;
        let context = contract::context(call.context, limits.wall);
        let room = &self.workers;
        let (mut lease, deadline) = self.lease(room).await?;
        let called = timeout_at(deadline, room.run(lease.instance.handle(&context, call.payload.as_str()))).await;
        match self.settle(lease, called, PluginKind::Handler)? {
            Ok(outcome) => Ok(Ok(answer::take(outcome, &self.manifest.grants, limits)?)),
            Err(refusal) => Ok(Err(refusal.into())),
        }
    }

    async fn try_authorize(&self, call: AuthorizerCall<'_>) -> Result<Decision, Failure> {
        let context = contract::context(call.context, self.manifest.limits.wall);
        let payload = call.payload.map(|payload| payload.as_str());
        let room = &self.authorizers;
        let (mut lease, deadline) = self.lease(room).await?;
        let called =
            timeout_at(deadline, room.run(lease.instance.authorize(&context, call.action.into(), payload))).await;
        match self.settle_decision(lease, called)? {
            authorizer::Decision::Allow(grant) => Ok(Decision::allow_for(Duration::from_millis(grant.ttl_ms.into()))),
            authorizer::Decision::Deny(reason) => Ok(Decision::Deny { reason: shorten(reason) }),
            authorizer::Decision::CannotTell(reason) => Ok(Decision::CannotTell { reason: shorten(reason) }),
        }
    }

    async fn try_identify(&self, call: IdentifyCall<'_>) -> Result<Recognition, Failure> {
        let context = contract::entrance(call.connection, self.manifest.limits.wall);
        let (action, credential) = (authorizer::Action::Connect, Some(call.credential.as_str()));
        let room = &self.authorizers;
        let (mut lease, deadline) = self.lease(room).await?;
        let called = timeout_at(deadline, room.run(lease.instance.authorize(&context, action, credential))).await;
        match self.settle_decision(lease, called)? {
            authorizer::Decision::Allow(authorizer::Grant { ttl_ms, user }) => {
                let user = user.map(answer::take_user).transpose()?;
                Ok(Recognition::Admitted { user, ttl: Duration::from_millis(ttl_ms.into()) })
            }
            authorizer::Decision::Deny(reason) => Ok(Recognition::Refused { reason: shorten(reason) }),
            authorizer::Decision::CannotTell(reason) => Ok(Recognition::Unknown { reason: shorten(reason) }),
        }
    }

    async fn try_provide(&self, context: &CallContext) -> Result<Vec<Payload>, Failure> {
        let limits = &self.manifest.limits;
        let context = contract::context(context, limits.wall);
        let room = &self.workers;
        let (mut lease, deadline) = self.lease(room).await?;
        let called = timeout_at(deadline, room.run(lease.instance.provide(&context))).await;
        let exceeded = lease.instance.guest().host.exceeded();
        match (self.settle(lease, called, PluginKind::Snapshot), exceeded) {
            (Ok(Ok(payloads)), _) => answer::take_snapshot(payloads, limits.snapshot_bytes_max),
            // Whether the plugin returns the error or fails on it: there is more than it may read.
            (Ok(Err(reason)), Some(exceeded)) => Err(too_large(exceeded, &reason)),
            (Err(Failure { kind: FaultKind::Trap, detail, .. }), Some(exceeded)) => Err(too_large(exceeded, &detail)),
            (Ok(Err(reason)), None) => Err(failed(reason)),
            (Err(failure), _) => Err(failure),
        }
    }

    async fn try_transform(&self, call: TransformCall<'_>) -> Result<Option<Payload>, Failure> {
        let limits = &self.manifest.limits;
        let crossing = contract::crossing(&call, limits.wall);
        let room = &self.workers;
        let (mut lease, deadline) = self.lease(room).await?;
        let called = timeout_at(deadline, room.run(lease.instance.apply(call.channel, &crossing))).await;
        let payload = self.settle(lease, called, PluginKind::Transform)?.map_err(failed)?;
        payload.map(|text| answer::take_payload(text, limits.output_bytes_max)).transpose()
    }

    async fn try_changed(&self, call: ConnectionCall<'_>) -> Result<Vec<PluginEffect>, Failure> {
        let limits = &self.manifest.limits;
        let peer = contract::peer(&call, limits.wall);
        let room = &self.workers;
        let (mut lease, deadline) = self.lease(room).await?;
        let called = timeout_at(deadline, room.run(lease.instance.changed(&peer, call.phase.into()))).await;
        let effects = self.settle(lease, called, PluginKind::Connection)?.map_err(failed)?;
        answer::take_effects(effects, &self.manifest.grants, limits)
    }

    /// Ends a call of an authorizer. If the authorizer reports that the host did not answer it, it cannot decide.
    fn settle_decision(
        &self,
        mut lease: Lease<'_>,
        called: Called<Result<authorizer::Decision, String>>,
    ) -> Result<authorizer::Decision, Failure> {
        let away = lease.instance.guest().host.away();
        match (self.settle(lease, called, PluginKind::Authorizer)?, away) {
            (Ok(decision), _) => Ok(decision),
            (Err(reason), Some(away)) => Ok(authorizer::Decision::CannotTell(format!("{away}: {reason}"))),
            (Err(reason), None) => Err(failed(reason)),
        }
    }

    /// Ends a call: after success the instance goes back to the pool, after a failure it is dropped.
    fn settle<T>(&self, mut lease: Lease<'_>, called: Called<T>, kind: PluginKind) -> Result<T, Failure> {
        let judged = self.judge(&mut lease, called, kind);
        if judged.is_ok() {
            lease.end()
        } else {
            lease.discard()
        }
        judged
    }

    fn judge<T>(&self, lease: &mut Lease<'_>, called: Called<T>, kind: PluginKind) -> Result<T, Failure> {
        let limits = &self.manifest.limits;
        let answered = called.map_err(|_| Failure::wall_of(lease.instance.guest(), limits))?;
        let answered = answered.ok_or_else(|| self.lacks(kind))?;
        answered.map_err(|error| Failure::of_guest(&error, lease.instance.guest(), limits))
    }

    /// Counts the call; logs and counts its fault.
    async fn observed<T>(
        &self,
        room: &Room,
        kind: PluginKind,
        caller: Caller<'_>,
        call: Pin<&mut impl Future<Output = Result<T, Failure>>>,
    ) -> Result<T, Fault> {
        if self.is_trial {
            return call.await.map_err(|failure| self.fault(failure));
        }
        let started = Moment::now();
        let result = self.admitted(room, call).await;
        let outcome = result.as_ref().map_or_else(|failure| failure.kind.as_str(), |_| "ok");
        telemetry::plugin_call(self.name.as_str(), kind.as_str(), outcome, started.elapsed());
        result.map_err(|failure| {
            let fault = self.fault(failure);
            let input = caller.input.filter(|_| self.shows_inputs).map(|input| shorten(input.as_str().to_owned()));
            fault.tell_with(Some(self.version()), caller.channel, caller.user, input.as_deref());
            fault
        })
    }

    fn fault(&self, failure: Failure) -> Fault {
        Fault { plugin: self.name.clone(), kind: failure.kind, detail: failure.detail }
    }

    fn lacks(&self, kind: PluginKind) -> Failure {
        Failure::new(FaultKind::Missing, format!("`{}` does not export `{}`", self.name, kind.as_str()))
    }
}

/// The failure of a snapshot plugin that did not get the whole answer of a query.
fn too_large(exceeded: Exceeded, reason: &str) -> Failure {
    let Exceeded { unit, max, .. } = exceeded;
    let detail = format!("the answer of a query has more than {max} {unit} (`limits.query_{unit}`): {reason}");
    Failure::new(FaultKind::TooLarge(exceeded), shorten(detail))
}

/// The failure of a plugin that reports itself that it could not do its work.
fn failed(reason: String) -> Failure {
    Failure::new(FaultKind::Failed, shorten(reason))
}
