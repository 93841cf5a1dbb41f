//! What a component exports, found once and loaded for each instance: one world a kind.

use wasmtime::Store;
use wasmtime::component::{Instance, InstancePre};

use super::contract::authorizer_world::{AuthorizerPlugin, AuthorizerPluginIndices};
use super::contract::connection_world::{ConnectionPlugin, ConnectionPluginIndices};
use super::contract::handler_world::{HandlerPlugin, HandlerPluginIndices};
use super::contract::snapshot_world::{SnapshotPlugin, SnapshotPluginIndices};
use super::contract::transform_world::{TransformPlugin, TransformPluginIndices};
use super::guest::Guest;
use crate::channels::{PluginKind, PluginKinds};

/// An export that is there and is not what the contract says.
#[derive(Debug, thiserror::Error)]
#[error("export `tidegate:plugin/{}`: {source:#}", kind.as_str())]
pub(super) struct Misfit {
    kind: PluginKind,
    source: wasmtime::Error,
}

/// Where the exports of a component are.
pub(super) struct Exports {
    handler: Option<HandlerPluginIndices>,
    authorizer: Option<AuthorizerPluginIndices>,
    snapshot: Option<SnapshotPluginIndices>,
    transform: Option<TransformPluginIndices>,
    connection: Option<ConnectionPluginIndices>,
}

/// The exports of one instance.
pub(super) struct Exported {
    pub(super) handler: Option<HandlerPlugin>,
    pub(super) authorizer: Option<AuthorizerPlugin>,
    pub(super) snapshot: Option<SnapshotPlugin>,
    pub(super) transform: Option<TransformPlugin>,
    pub(super) connection: Option<ConnectionPlugin>,
}

impl Exports {
    /// Finds the exports of these kinds.
    ///
    /// # Errors
    /// [`Misfit`] when one lacks its function.
    pub(super) fn find(pre: &InstancePre<Guest>, kinds: PluginKinds) -> Result<Self, Misfit> {
        use PluginKind::{Authorizer, Connection, Handler, Snapshot, Transform};
        Ok(Self {
            handler: of(Handler, kinds, || HandlerPluginIndices::new(pre))?,
            authorizer: of(Authorizer, kinds, || AuthorizerPluginIndices::new(pre))?,
            snapshot: of(Snapshot, kinds, || SnapshotPluginIndices::new(pre))?,
            transform: of(Transform, kinds, || TransformPluginIndices::new(pre))?,
            connection: of(Connection, kinds, || ConnectionPluginIndices::new(pre))?,
        })
    }

    /// Loads the exports of an instance.
    ///
    /// # Errors
    /// [`Misfit`] when one has another type than the contract says.
    pub(super) fn load(&self, store: &mut Store<Guest>, instance: &Instance) -> Result<Exported, Misfit> {
        use PluginKind::{Authorizer, Connection, Handler, Snapshot, Transform};
        Ok(Exported {
            handler: loaded(Handler, self.handler.as_ref().map(|export| export.load(&mut *store, instance)))?,
            authorizer: loaded(Authorizer, self.authorizer.as_ref().map(|export| export.load(&mut *store, instance)))?,
            snapshot: loaded(Snapshot, self.snapshot.as_ref().map(|export| export.load(&mut *store, instance)))?,
            transform: loaded(Transform, self.transform.as_ref().map(|export| export.load(&mut *store, instance)))?,
            connection: loaded(Connection, self.connection.as_ref().map(|export| export.load(&mut *store, instance)))?,
        })
    }
}

fn of<T>(
    kind: PluginKind,
    kinds: PluginKinds,
    find: impl FnOnce() -> wasmtime::Result<T>,
) -> Result<Option<T>, Misfit> {
    loaded(kind, kinds.has(kind).then(find))
}

fn loaded<T>(kind: PluginKind, export: Option<wasmtime::Result<T>>) -> Result<Option<T>, Misfit> {
    export.transpose().map_err(|source| Misfit { kind, source })
}
