//! Listeners: they learn of opened and closed connections.

use std::time::Duration;

use super::effects::{self, FirstEffect};
use super::functions::Changed;
use super::{Caller, EndedCall, Question, checks, failed};
use crate::contract::{connection, deadline_ms, now_ms, types, user};
use crate::plugin::Plugin;
use crate::run::{Failure, Ready};
use crate::vectors::Question as Owned;
use tidegate_core::channels::PluginKind;
use tidegate_core::flow::ports::{ConnectionCall, Fault, Phase, PluginEffect};

/// The parameters of `changed`.
type Given<'a> = (&'a connection::Peer, connection::Phase);
/// The result of `changed`, in the words of the current contract.
type Said = Result<Vec<types::Effect>, String>;

/// `changed` of 0.1 and 0.2, or of 0.3.
pub(super) type Listen = Changed<Given<'static>, Result<Vec<FirstEffect>, String>, Said>;

impl Plugin {
    /// Tells the listener of an opened or closed connection, and gives the effects that it asks for.
    ///
    /// # Errors
    /// [`Fault`], logged and counted.
    pub async fn changed(&self, call: ConnectionCall<'_>) -> Result<Vec<PluginEffect>, Fault> {
        self.ask(call).await
    }
}

impl Question for ConnectionCall<'_> {
    const KIND: PluginKind = PluginKind::Connection;
    type Given = connection::Peer;
    type Said = Said;
    type Answer = Vec<PluginEffect>;

    fn caller(&self) -> Caller<'_> {
        Caller { channel: None, user: self.user.map(|user| user.id.as_str()), input: None, is_about_own: false }
    }

    fn given(&self, wall: Duration) -> connection::Peer {
        connection::Peer {
            connection_id: self.connection.as_str().to_owned(),
            user: self.user.map(user),
            received_at_ms: now_ms(),
            deadline_ms: deadline_ms(wall),
        }
    }

    fn owned(&self) -> Owned {
        Owned::Connection { connection: self.connection.clone(), user: self.user.cloned(), phase: self.phase }
    }

    async fn call(&self, given: &connection::Peer, instance: Ready<'_>) -> Option<wasmtime::Result<Said>> {
        let now = |said: Result<Vec<FirstEffect>, _>| said.map(|effects| effects.into_iter().map(Into::into).collect());
        let listen = instance.functions.connection.as_ref()?;
        Some(listen.call(instance.store, (given, self.phase.into()), now).await)
    }

    fn answer(&self, said: Result<Said, Failure>, ended: &EndedCall<'_>) -> Result<Vec<PluginEffect>, Failure> {
        let effects = said?.map_err(failed)?;
        checks::size(effects::bytes(&effects), ended.manifest)?;
        effects::granted(effects, ended.manifest)
    }
}

impl From<Phase> for connection::Phase {
    fn from(phase: Phase) -> Self {
        match phase {
            Phase::Connected => Self::Connected,
            Phase::Disconnected => Self::Disconnected,
        }
    }
}
