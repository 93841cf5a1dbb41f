//! The functions that components export, one for each kind: found once for a component, loaded for each instance.

use wasmtime::component::{Component, ComponentExportIndex, ComponentNamedList, Instance, Lift, Lower, TypedFunc};
use wasmtime::{Result, Store};

use super::{authorizer, connection, handler, snapshot, transform};
use crate::contract::{self, Contract};
use crate::run::Guest;
use tidegate_core::channels::PluginKind::{self, Authorizer, Connection, Handler, Snapshot, Transform};
use tidegate_core::channels::PluginKinds;

/// The name of a kind's function.
const fn name(kind: PluginKind) -> &'static str {
    match kind {
        Handler => "handle",
        Authorizer => "authorize",
        Snapshot => "provide",
        Transform => "apply",
        Connection => "changed",
    }
}

/// An export that does not fit the contract.
#[derive(Debug, thiserror::Error)]
#[error("export `tidegate:plugin/{}`: {source:#}", kind.as_str())]
pub(crate) struct Misfit {
    kind: PluginKind,
    source: wasmtime::Error,
}

/// Where the functions of a component are, and which version of the contract each follows.
pub(crate) struct Exports(Vec<(PluginKind, Contract, ComponentExportIndex)>);

/// A function with these parameters and one result.
pub(super) type Function<Given, Said> = TypedFunc<Given, (Said,)>;

/// A function whose answer the contract changed once: of a version before, or of today's.
pub(super) enum Changed<Given, Before, Said> {
    Before(Function<Given, Before>),
    Current(Function<Given, Said>),
}

impl<Given, Before, Said> Changed<Given, Before, Said>
where
    Given: ComponentNamedList + Lower + Send + Sync,
    Before: Lift + Send + Sync + 'static,
    Said: Lift + Send + Sync + 'static,
    (Before,): ComponentNamedList + Lift,
    (Said,): ComponentNamedList + Lift,
{
    /// The function of the version that the component follows, of a kind whose answer changed with `since`; `None` when
    /// the component is not of this kind.
    ///
    /// # Errors
    /// [`Misfit`] when the type of the function differs from the contract.
    pub(super) fn load(loading: &mut Loading<'_>, kind: PluginKind, since: Contract) -> Result<Option<Self>, Misfit> {
        Ok(match loading.contract(kind) {
            None => None,
            Some(contract) if contract < since => loading.typed(kind)?.map(Self::Before),
            Some(_) => loading.typed(kind)?.map(Self::Current),
        })
    }

    /// Calls the function; `now` puts an answer of before into the words of the current contract.
    pub(super) async fn call(
        &self,
        store: &mut Store<Guest>,
        given: Given,
        now: impl FnOnce(Before) -> Said,
    ) -> Result<Said> {
        match self {
            Self::Before(function) => called(function, store, given).await.map(now),
            Self::Current(function) => called(function, store, given).await,
        }
    }
}

/// The functions of one instance. The lifetimes of their parameters say `'static`; the host lends each only for the call.
pub(crate) struct Functions {
    pub(super) handler: Option<handler::Handle>,
    pub(super) authorizer: Option<authorizer::Authorize>,
    pub(super) snapshot: Option<snapshot::Provide>,
    pub(super) transform: Option<transform::Apply>,
    pub(super) connection: Option<connection::Listen>,
}

/// The exports of a component and an instance to load them from.
pub(super) struct Loading<'a> {
    exports: &'a Exports,
    store: &'a mut Store<Guest>,
    instance: &'a Instance,
}

impl Exports {
    /// Finds the functions of these kinds.
    ///
    /// # Errors
    /// [`Misfit`] when the export of a kind lacks its function.
    pub(crate) fn find(component: &Component, kinds: PluginKinds) -> Result<Self, Misfit> {
        let find = |kind| {
            let source = || wasmtime::Error::msg(format!("has no function `{}`", name(kind)));
            let found = contract::function(component, kind, name(kind));
            found.map(|(version, function)| (kind, version, function)).ok_or_else(|| Misfit { kind, source: source() })
        };
        kinds.iter().map(find).collect::<Result<_, _>>().map(Self)
    }

    /// Loads the functions of an instance.
    ///
    /// # Errors
    /// [`Misfit`] when the type of a function differs from the contract.
    pub(crate) fn load(&self, store: &mut Store<Guest>, instance: &Instance) -> Result<Functions, Misfit> {
        let mut loading = Loading { exports: self, store, instance };
        Ok(Functions {
            handler: handler::Handle::load(&mut loading, Handler, Contract::Current)?,
            authorizer: authorizer::Authorize::load(&mut loading, Authorizer, Contract::Second)?,
            snapshot: loading.typed(Snapshot)?,
            transform: loading.typed(Transform)?,
            connection: connection::Listen::load(&mut loading, Connection, Contract::Current)?,
        })
    }
}

impl Loading<'_> {
    /// The version of the contract that a kind's function follows; `None` when the component is not of this kind.
    pub(super) fn contract(&self, kind: PluginKind) -> Option<Contract> {
        self.exports.0.iter().find(|(of, ..)| *of == kind).map(|(_, contract, _)| *contract)
    }

    /// The function of a kind; `None` when the component is not of this kind.
    ///
    /// # Errors
    /// [`Misfit`] when the type of the function differs from the contract.
    pub(super) fn typed<Params, Return>(
        &mut self,
        kind: PluginKind,
    ) -> Result<Option<TypedFunc<Params, Return>>, Misfit>
    where
        Params: ComponentNamedList + Lower,
        Return: ComponentNamedList + Lift,
    {
        let Some((.., export)) = self.exports.0.iter().find(|(of, ..)| *of == kind) else { return Ok(None) };
        let function = self.instance.get_typed_func(&mut *self.store, export);
        function.map(Some).map_err(|source| Misfit { kind, source })
    }
}

/// Calls a function.
pub(super) async fn called<Given, Said>(
    function: &Function<Given, Said>,
    store: &mut Store<Guest>,
    given: Given,
) -> Result<Said>
where
    Given: ComponentNamedList + Lower + Send + Sync,
    Said: Lift + Send + Sync + 'static,
    (Said,): ComponentNamedList + Lift,
{
    let (said,) = function.call_async(store, given).await?;
    Ok(said)
}
