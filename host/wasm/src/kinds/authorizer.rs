//! Authorizers: they decide who may subscribe and send. `identify.rs` asks them who a visitor is.

use std::time::Duration;

use wasmtime::component::{ComponentType, Lift};

use super::functions::Changed;
use super::{Caller, EndedCall, Question, failed};
use crate::contract::{authorizer, context, shorten, types};
use crate::plugin::Plugin;
use crate::run::{Failure, Ready};
use crate::vectors::Question as Owned;
use tidegate_core::channels::PluginKind;
use tidegate_core::flow::ports::{Action, AuthorizerCall, Decision, Fault};

/// The parameters of `authorize`.
type Given<'a> = (&'a types::Context, authorizer::Action, Option<&'a str>);
/// The result of `authorize`, in the words of the current contract.
pub(super) type Said = Result<authorizer::Decision, String>;

/// `authorize` of 0.1, or of 0.2 and later.
pub(super) type Authorize = Changed<Given<'static>, Result<FirstDecision, String>, Said>;

/// The decision of an authorizer of 0.1.
#[derive(Debug, Clone, ComponentType, Lift)]
#[component(variant)]
pub(super) enum FirstDecision {
    /// Yes.
    #[component(name = "allow")]
    Allow(authorizer::Grant),
    /// No.
    #[component(name = "deny")]
    Deny(String),
}

/// An answer of 0.1, in the words of the current contract.
pub(super) fn now(said: Result<FirstDecision, String>) -> Said {
    said.map(Into::into)
}

impl Plugin {
    /// Asks the authorizer for a decision.
    ///
    /// # Errors
    /// [`Fault`], logged and counted.
    pub async fn authorize(&self, call: AuthorizerCall<'_>) -> Result<Decision, Fault> {
        self.ask(call).await
    }
}

impl Question for AuthorizerCall<'_> {
    const KIND: PluginKind = PluginKind::Authorizer;
    type Given = types::Context;
    type Said = Said;
    type Answer = Decision;

    fn caller(&self) -> Caller<'_> {
        Caller::of(self.context, self.payload)
    }

    fn given(&self, wall: Duration) -> types::Context {
        context(self.context, wall)
    }

    fn owned(&self) -> Owned {
        let (context, payload) = (self.context.clone(), self.payload.cloned());
        Owned::Authorizer { context, action: self.action, payload }
    }

    async fn call(&self, given: &types::Context, instance: Ready<'_>) -> Option<wasmtime::Result<Said>> {
        let payload = self.payload.map(|payload| payload.as_str());
        Some(
            instance
                .functions
                .authorizer
                .as_ref()?
                .call(instance.store, (given, self.action.into(), payload), now)
                .await,
        )
    }

    fn answer(&self, said: Result<Said, Failure>, ended: &EndedCall<'_>) -> Result<Decision, Failure> {
        Ok(match decision(said, ended)? {
            authorizer::Decision::Allow(grant) => Decision::allow_for(Duration::from_millis(grant.ttl_ms.into())),
            authorizer::Decision::Deny(reason) => Decision::Deny { reason: shorten(reason) },
            authorizer::Decision::CannotTell(reason) => Decision::CannotTell { reason: shorten(reason) },
        })
    }
}

/// The decision that the component made. If the component gives up because the host did not answer it, it cannot tell.
pub(super) fn decision(said: Result<Said, Failure>, ended: &EndedCall<'_>) -> Result<authorizer::Decision, Failure> {
    match (said?, ended.unanswered.away) {
        (Ok(decision), _) => Ok(decision),
        (Err(reason), Some(away)) => Ok(authorizer::Decision::CannotTell(format!("{away}: {reason}"))),
        (Err(reason), None) => Err(failed(reason)),
    }
}

impl From<FirstDecision> for authorizer::Decision {
    fn from(decision: FirstDecision) -> Self {
        match decision {
            FirstDecision::Allow(grant) => Self::Allow(grant),
            FirstDecision::Deny(reason) => Self::Deny(reason),
        }
    }
}

impl From<Action> for authorizer::Action {
    fn from(action: Action) -> Self {
        match action {
            Action::Subscribe => Self::Subscribe,
            Action::Send => Self::Send,
        }
    }
}
