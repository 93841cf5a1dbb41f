//! Snapshot providers: they give the state of a topic to a new subscriber.

use std::time::Duration;

use super::functions::{Function, called};
use super::{Caller, EndedCall, Question, checks, failed};
use crate::contract::{context, shorten, types};
use crate::plugin::Plugin;
use crate::run::{Failure, Ready};
use crate::vectors::Question as Owned;
use tidegate_core::channels::PluginKind;
use tidegate_core::flow::CallContext;
use tidegate_core::flow::ports::{Exceeded, Fault, FaultKind};
use tidegate_core::protocol::Payload;

type Said = Result<Vec<String>, String>;
/// `provide` of the contract.
pub(super) type Provide = Function<(&'static types::Context,), Said>;

/// For whom the state is.
struct SnapshotCall<'a>(&'a CallContext);

impl Plugin {
    /// Asks for the state of a topic.
    ///
    /// # Errors
    /// [`Fault`], logged and counted.
    pub async fn provide(&self, context: &CallContext) -> Result<Vec<Payload>, Fault> {
        self.ask(SnapshotCall(context)).await
    }
}

impl Question for SnapshotCall<'_> {
    const KIND: PluginKind = PluginKind::Snapshot;
    type Given = types::Context;
    type Said = Said;
    type Answer = Vec<Payload>;

    fn caller(&self) -> Caller<'_> {
        Caller::of(self.0, None)
    }

    fn given(&self, wall: Duration) -> types::Context {
        context(self.0, wall)
    }

    fn owned(&self) -> Owned {
        Owned::Snapshot { context: self.0.clone() }
    }

    async fn call(&self, given: &types::Context, instance: Ready<'_>) -> Option<wasmtime::Result<Said>> {
        Some(called(instance.functions.snapshot.as_ref()?, instance.store, (given,)).await)
    }

    fn answer(&self, said: Result<Said, Failure>, ended: &EndedCall<'_>) -> Result<Vec<Payload>, Failure> {
        match (said, ended.unanswered.exceeded) {
            (Ok(Ok(payloads)), _) => checked(payloads, ended.manifest.limits.snapshot_bytes_max),
            // Whether the plugin passes the host's error on or traps over it: there is more than the plugin may read.
            (Ok(Err(reason)), Some(exceeded)) => Err(too_large(exceeded, &reason)),
            (Err(Failure { kind: FaultKind::Trap, detail, .. }), Some(exceeded)) => Err(too_large(exceeded, &detail)),
            (Ok(Err(reason)), None) => Err(match ended.unanswered.away {
                Some(away) => Failure::new(FaultKind::Unanswered, shorten(format!("{away}: {reason}"))),
                None => failed(reason),
            }),
            (Err(failure), _) => Err(failure),
        }
    }
}

fn checked(payloads: Vec<String>, bytes_max: usize) -> Result<Vec<Payload>, Failure> {
    let bytes = payloads.iter().map(String::len).sum();
    if bytes > bytes_max {
        let detail = format!("the snapshot has {bytes} bytes, `limits.snapshot` is {bytes_max}");
        let exceeded = Exceeded { unit: "bytes", found: Some(bytes), max: bytes_max };
        return Err(Failure::new(FaultKind::TooLarge(exceeded), detail));
    }
    let numbered = payloads.into_iter().enumerate();
    numbered.map(|(at, text)| checks::json(text, &format!("payload {at} of the snapshot"))).collect()
}

/// A query of the provider had more to answer than the provider may read.
fn too_large(exceeded: Exceeded, reason: &str) -> Failure {
    let Exceeded { unit, max, .. } = exceeded;
    let detail = format!("the answer of a query has more than {max} {unit} (`limits.query_{unit}`): {reason}");
    Failure::new(FaultKind::TooLarge(exceeded), shorten(detail))
}
