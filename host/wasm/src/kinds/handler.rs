//! Handlers: they answer the messages of clients.

use std::time::Duration;

use wasmtime::component::{ComponentType, Lift};

use super::effects::{self, FirstEffect};
use super::functions::Changed;
use super::{Caller, EndedCall, Question, checks};
use crate::contract::{context, shorten, types};
use crate::plugin::Plugin;
use crate::run::{Failure, Ready};
use crate::vectors::Question as Owned;
use tidegate_core::channels::PluginKind;
use tidegate_core::flow::ports::{Answer, Fault, HandlerCall, Outcome, PluginRefusal};

/// The parameters of `handle`.
type Given<'a> = (&'a types::Context, &'a str);
/// The result of `handle`, in the words of the current contract.
type Said = Result<types::Outcome, types::Refusal>;

/// `handle` of 0.1 and 0.2, or of 0.3.
pub(super) type Handle = Changed<Given<'static>, Result<FirstOutcome, types::Refusal>, Said>;

/// The outcome of a handler of 0.1 or 0.2.
#[derive(Debug, Clone, ComponentType, Lift)]
#[component(record)]
pub(super) struct FirstOutcome {
    reply: Option<String>,
    effects: Vec<FirstEffect>,
}

impl From<FirstOutcome> for types::Outcome {
    fn from(FirstOutcome { reply, effects }: FirstOutcome) -> Self {
        Self { reply, effects: effects.into_iter().map(Into::into).collect() }
    }
}

impl Plugin {
    /// Asks the handler to answer a message.
    ///
    /// # Errors
    /// [`Fault`], logged and counted.
    pub async fn handle(&self, call: HandlerCall<'_>) -> Result<Answer, Fault> {
        self.ask(call).await
    }
}

impl Question for HandlerCall<'_> {
    const KIND: PluginKind = PluginKind::Handler;
    type Given = types::Context;
    type Said = Said;
    type Answer = Answer;

    fn caller(&self) -> Caller<'_> {
        Caller::of(self.context, Some(self.payload))
    }

    fn given(&self, wall: Duration) -> types::Context {
        context(self.context, wall)
    }

    fn owned(&self) -> Owned {
        Owned::Handler { context: self.context.clone(), payload: self.payload.clone() }
    }

    async fn call(&self, given: &types::Context, instance: Ready<'_>) -> Option<wasmtime::Result<Said>> {
        Some(
            instance
                .functions
                .handler
                .as_ref()?
                .call(instance.store, (given, self.payload.as_str()), |said| said.map(Into::into))
                .await,
        )
    }

    fn answer(&self, said: Result<Said, Failure>, ended: &EndedCall<'_>) -> Result<Answer, Failure> {
        let types::Outcome { reply, effects } = match said? {
            Ok(outcome) => outcome,
            Err(refusal) => return Ok(Err(refusal.into())),
        };
        let reply_bytes = reply.as_ref().map_or(0, String::len);
        checks::size(reply_bytes + effects::bytes(&effects), ended.manifest)?;
        let reply = reply.map(|text| checks::json(text, "the reply")).transpose()?;
        Ok(Ok(Outcome { reply, effects: effects::granted(effects, ended.manifest)? }))
    }
}

impl From<types::Refusal> for PluginRefusal {
    fn from(refusal: types::Refusal) -> Self {
        match refusal {
            types::Refusal::InvalidPayload(reason) => Self::InvalidPayload(shorten(reason)),
            types::Refusal::Forbidden(reason) => Self::Forbidden(shorten(reason)),
            types::Refusal::Unavailable(reason) => Self::Unavailable(shorten(reason)),
            types::Refusal::Failed(reason) => Self::Failed(shorten(reason)),
        }
    }
}
