//! Transforms: they make the payload of a bridge rule from a bus event.

use std::time::Duration;

use super::functions::{Function, called};
use super::{Caller, EndedCall, Question, checks, failed};
use crate::contract::{deadline_ms, transform};
use crate::plugin::Plugin;
use crate::run::{Failure, Ready};
use crate::vectors::Question as Owned;
use tidegate_core::channels::PluginKind;
use tidegate_core::flow::ports::{Fault, TransformCall};
use tidegate_core::protocol::Payload;

type Said = Result<Option<String>, String>;
/// `apply` of the contract.
pub(super) type Apply = Function<(&'static transform::Crossing,), Said>;

impl Plugin {
    /// Asks for the payload of a bridge rule; `None` when the event should not cross.
    ///
    /// # Errors
    /// [`Fault`], logged and counted.
    pub async fn transform(&self, call: TransformCall<'_>) -> Result<Option<Payload>, Fault> {
        self.ask(call).await
    }
}

impl Question for TransformCall<'_> {
    const KIND: PluginKind = PluginKind::Transform;
    type Given = transform::Crossing;
    type Said = Said;
    type Answer = Option<Payload>;

    fn caller(&self) -> Caller<'_> {
        let is_about_own = self.event.is_own();
        Caller { channel: Some(self.channel), user: None, input: Some(self.payload), is_about_own }
    }

    fn given(&self, wall: Duration) -> transform::Crossing {
        let event = self.event;
        transform::Crossing {
            event: transform::Event {
                kind: event.kind.clone(),
                source: event.source.clone(),
                id: event.id.clone(),
                subject: event.subject.clone(),
                time: event.time.clone(),
                data: event.data.as_str().to_owned(),
            },
            topic: self.topic.to_owned(),
            payload: self.payload.as_str().to_owned(),
            deadline_ms: deadline_ms(wall),
        }
    }

    fn owned(&self) -> Owned {
        Owned::Transform {
            channel: self.channel.to_owned(),
            topic: self.topic.to_owned(),
            event: Box::new(self.event.clone()),
            payload: self.payload.clone(),
        }
    }

    async fn call(&self, given: &transform::Crossing, instance: Ready<'_>) -> Option<wasmtime::Result<Said>> {
        Some(called(instance.functions.transform.as_ref()?, instance.store, (given,)).await)
    }

    fn answer(&self, said: Result<Said, Failure>, ended: &EndedCall<'_>) -> Result<Option<Payload>, Failure> {
        let Some(text) = said?.map_err(failed)? else { return Ok(None) };
        checks::size(text.len(), ended.manifest)?;
        checks::json(text, "the payload").map(Some)
    }
}
