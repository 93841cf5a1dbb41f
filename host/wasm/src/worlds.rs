//! The exports of a component, found once and loaded for each instance: one function for each kind.

use wasmtime::component::{Component, ComponentExportIndex, ComponentNamedList, Instance, Lift, Lower, TypedFunc};
use wasmtime::{Result, Store};

use super::contract::{authorizer, connection, transform, types};
use super::guest::Guest;
use super::versions::{self, Contract, FirstDecision};
use tidegate_core::channels::{PluginKind, PluginKinds};

/// An export that exists but does not fit the contract.
#[derive(Debug, thiserror::Error)]
#[error("export `tidegate:plugin/{}`: {source:#}", kind.as_str())]
pub(super) struct Misfit {
    kind: PluginKind,
    source: wasmtime::Error,
}

/// Where the functions of a component are.
pub(super) struct Exports {
    handler: Option<ComponentExportIndex>,
    authorizer: Option<(Contract, ComponentExportIndex)>,
    snapshot: Option<ComponentExportIndex>,
    transform: Option<ComponentExportIndex>,
    connection: Option<ComponentExportIndex>,
}

/// An exported function, if the component has it.
type Export<Given, Said, No = String> = Option<TypedFunc<Given, (Result<Said, No>,)>>;

/// The functions of one instance. Their arguments are lent for the call, whatever the lifetimes say.
pub(super) struct Exported {
    pub(super) handler: Export<(&'static types::Context, &'static str), types::Outcome, types::Refusal>,
    pub(super) authorizer: Option<Authorize>,
    pub(super) snapshot: Export<(&'static types::Context,), Vec<String>>,
    pub(super) transform: Export<(&'static transform::Crossing,), Option<String>>,
    pub(super) connection: Export<(&'static connection::Peer, connection::Phase), Vec<types::Effect>>,
}

/// The question to an authorizer.
type Question<'a> = (&'a types::Context, authorizer::Action, Option<&'a str>);

/// An authorizer of either version of the contract.
pub(super) enum Authorize {
    /// Of 0.1.
    First(TypedFunc<Question<'static>, (Result<FirstDecision, String>,)>),
    /// Of 0.2.
    Current(TypedFunc<Question<'static>, (Result<authorizer::Decision, String>,)>),
}

impl Exports {
    /// Finds the exports of these kinds.
    ///
    /// # Errors
    /// [`Misfit`] if one lacks its function.
    pub(super) fn find(component: &Component, kinds: PluginKinds) -> Result<Self, Misfit> {
        use PluginKind::{Authorizer, Connection, Handler, Snapshot, Transform};
        let find = |kind: PluginKind, name: &str| {
            if !kinds.has(kind) {
                return Ok(None);
            }
            let lacks = || Misfit { kind, source: wasmtime::Error::msg(format!("has no function `{name}`")) };
            versions::function(component, kind, name).ok_or_else(lacks).map(Some)
        };
        let alike = |kind, name| -> Result<_, Misfit> { Ok(find(kind, name)?.map(|(_, function)| function)) };
        Ok(Self {
            handler: alike(Handler, "handle")?,
            authorizer: find(Authorizer, "authorize")?,
            snapshot: alike(Snapshot, "provide")?,
            transform: alike(Transform, "apply")?,
            connection: alike(Connection, "changed")?,
        })
    }

    /// Loads the exports of an instance.
    ///
    /// # Errors
    /// [`Misfit`] if one has another type than in the contract.
    pub(super) fn load(&self, store: &mut Store<Guest>, instance: &Instance) -> Result<Exported, Misfit> {
        use PluginKind::{Authorizer, Connection, Handler, Snapshot, Transform};
        let authorizer = match &self.authorizer {
            None => None,
            Some((Contract::First, export)) => {
                Some(Authorize::First(typed(Authorizer, export, &mut *store, instance)?))
            }
            Some((Contract::Current, export)) => {
                Some(Authorize::Current(typed(Authorizer, export, &mut *store, instance)?))
            }
        };
        Ok(Exported {
            handler: self.handler.as_ref().map(|export| typed(Handler, export, &mut *store, instance)).transpose()?,
            authorizer,
            snapshot: self
                .snapshot
                .as_ref()
                .map(|export| typed(Snapshot, export, &mut *store, instance))
                .transpose()?,
            transform: self
                .transform
                .as_ref()
                .map(|export| typed(Transform, export, &mut *store, instance))
                .transpose()?,
            connection: self
                .connection
                .as_ref()
                .map(|export| typed(Connection, export, &mut *store, instance))
                .transpose()?,
        })
    }
}

impl Authorize {
    /// Asks the authorizer, and translates the answer to the current contract.
    pub(super) async fn call(
        &self,
        store: &mut Store<Guest>,
        question: Question<'_>,
    ) -> Result<Result<authorizer::Decision, String>> {
        match self {
            Self::First(function) => Ok(called(function, store, question).await?.map(Into::into)),
            Self::Current(function) => called(function, store, question).await,
        }
    }
}

/// Calls a function with one result.
pub(super) async fn called<Params, Answer>(
    function: &TypedFunc<Params, (Answer,)>,
    store: &mut Store<Guest>,
    params: Params,
) -> Result<Answer>
where
    Params: ComponentNamedList + Lower + Send + Sync,
    Answer: Lift + Send + Sync + 'static,
    (Answer,): ComponentNamedList + Lift,
{
    let (answer,) = function.call_async(store, params).await?;
    Ok(answer)
}

fn typed<Params, Return>(
    kind: PluginKind,
    export: &ComponentExportIndex,
    store: &mut Store<Guest>,
    instance: &Instance,
) -> Result<TypedFunc<Params, Return>, Misfit>
where
    Params: ComponentNamedList + Lower,
    Return: ComponentNamedList + Lift,
{
    instance.get_typed_func(store, export).map_err(|source| Misfit { kind, source })
}
