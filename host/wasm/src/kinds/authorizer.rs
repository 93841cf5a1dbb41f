//! Authorizers: they decide who may subscribe and send. `identify.rs` asks them who a visitor is.

use std::time::Duration;

use wasmtime::Store;
use wasmtime::component::{ComponentType, Lift};

use super::functions::{Function, Loading, Misfit, called};
use super::{Caller, EndedCall, Question, failed};
use crate::contract::{Contract, authorizer, context, shorten, types};
use crate::plugin::Plugin;
use crate::run::{Failure, Guest, Ready};
use tidegate_core::channels::PluginKind;
use tidegate_core::flow::ports::{Action, AuthorizerCall, Decision, Fault};

/// The parameters of `authorize`.
type Given<'a> = (&'a types::Context, authorizer::Action, Option<&'a str>);
/// The result of `authorize`, in the words of the current contract.
pub(super) type Said = Result<authorizer::Decision, String>;

/// `authorize` of every version of the contract.
pub(super) enum Authorize {
    /// Of 0.1.
    First(Function<Given<'static>, Result<FirstDecision, String>>),
    /// Of 0.2 and later.
    Current(Function<Given<'static>, Said>),
}

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

impl Authorize {
    /// The function of the version that the component follows; `None` when it is not an authorizer.
    ///
    /// # Errors
    /// [`Misfit`] when the type of the function differs from the contract.
    pub(super) fn load(loading: &mut Loading<'_>) -> Result<Option<Self>, Misfit> {
        Ok(match loading.contract(PluginKind::Authorizer) {
            None => None,
            Some(Contract::First) => loading.typed(PluginKind::Authorizer)?.map(Self::First),
            Some(Contract::Second | Contract::Current) => loading.typed(PluginKind::Authorizer)?.map(Self::Current),
        })
    }

    /// Calls the function, and puts its result into the words of the current contract.
    pub(super) async fn call(&self, store: &mut Store<Guest>, given: Given<'_>) -> wasmtime::Result<Said> {
        match self {
            Self::First(function) => Ok(called(function, store, given).await?.map(Into::into)),
            Self::Current(function) => called(function, store, given).await,
        }
    }
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

    async fn call(&self, given: &types::Context, instance: Ready<'_>) -> Option<wasmtime::Result<Said>> {
        let payload = self.payload.map(|payload| payload.as_str());
        Some(instance.functions.authorizer.as_ref()?.call(instance.store, (given, self.action.into(), payload)).await)
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
