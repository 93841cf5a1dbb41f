//! One live instance of a component, and what is needed to make another.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;
use wasmtime::component::InstancePre;
use wasmtime::{Result, Store, UpdateDeadline};

use super::contract::authorizer_world::{AuthorizerPlugin, AuthorizerPluginIndices};
use super::contract::handler_world::{HandlerPlugin, HandlerPluginIndices};
use super::contract::{authorizer, types};
use super::engine::TICK;
use super::fault::Failure;
use super::guest::Guest;
use super::imports::Reach;
use super::limits::PluginLimits;

/// What instances of one plugin are made from.
pub(super) struct Blueprint {
    pub(super) plugin: Arc<str>,
    pub(super) component: InstancePre<Guest>,
    pub(super) handler: Option<HandlerPluginIndices>,
    pub(super) authorizer: Option<AuthorizerPluginIndices>,
    pub(super) config: Arc<BTreeMap<String, String>>,
    pub(super) reach: Arc<Reach>,
    pub(super) limits: PluginLimits,
}

/// A live instance. After any error, and after a call whose future was dropped, it is poisoned and must be dropped.
pub(super) struct Instance {
    store: Store<Guest>,
    handler: Option<HandlerPlugin>,
    authorizer: Option<AuthorizerPlugin>,
    /// Calls it has served.
    pub(super) calls: u32,
    ticks_per_call: u32,
    /// Its place among the process's instances; the next may have it when this one is gone. Declared after the store,
    /// so that it is given up after the store's memory was.
    _slot: OwnedSemaphorePermit,
}

impl Blueprint {
    /// Makes an instance. Start functions run here, on the budgets of a call.
    ///
    /// # Errors
    /// [`Failure`] when a start function fails or an export has another type than the contract says.
    pub(super) async fn instantiate(&self, slot: OwnedSemaphorePermit) -> Result<Instance, Failure> {
        let guest = Guest::new(self.plugin.clone(), self.config.clone(), self.reach.clone(), &self.limits);
        let mut store = Store::new(self.component.engine(), guest);
        store.limiter(|guest| &mut guest.memory);
        store.set_hostcall_fuel(self.limits.host_bytes_max);
        store.set_max_component_handles(self.limits.handles_max);
        store.epoch_deadline_callback(|mut guest| {
            // Yielding at every tick keeps other tasks, and the timeout of this very call, running.
            Ok(if guest.data_mut().spend_tick() { UpdateDeadline::Yield(1) } else { UpdateDeadline::Interrupt })
        });
        let ticks_per_call = u32::try_from(self.limits.cpu.as_millis() / TICK.as_millis()).unwrap_or(u32::MAX);
        store.data_mut().begin_call(ticks_per_call);
        store.set_epoch_deadline(1);
        match self.link(&mut store).await {
            Ok((handler, authorizer)) => {
                Ok(Instance { store, handler, authorizer, calls: 0, ticks_per_call, _slot: slot })
            }
            Err(error) => Err(Failure::of_guest(&error, store.data_mut(), &self.limits)),
        }
    }

    async fn link(&self, store: &mut Store<Guest>) -> Result<(Option<HandlerPlugin>, Option<AuthorizerPlugin>)> {
        let instance = self.component.instantiate_async(&mut *store).await?;
        let handler = self.handler.as_ref().map(|export| export.load(&mut *store, &instance)).transpose()?;
        let authorizer = self.authorizer.as_ref().map(|export| export.load(&mut *store, &instance)).transpose()?;
        Ok((handler, authorizer))
    }
}

impl Instance {
    /// Has the handler answer a message. `None` when the component has no handler.
    pub(super) async fn handle(
        &mut self,
        context: &types::Context,
        payload: &str,
    ) -> Option<Result<Result<types::Outcome, types::Refusal>>> {
        self.begin_call();
        let handler = self.handler.as_ref()?;
        Some(handler.tidegate_plugin_handler().call_handle(&mut self.store, context, payload).await)
    }

    /// Asks the authorizer. `None` when the component has no authorizer.
    pub(super) async fn authorize(
        &mut self,
        context: &types::Context,
        action: authorizer::Action,
        payload: Option<&str>,
    ) -> Option<Result<Result<authorizer::Decision, String>>> {
        self.begin_call();
        let authorizer = self.authorizer.as_ref()?;
        Some(authorizer.tidegate_plugin_authorizer().call_authorize(&mut self.store, context, action, payload).await)
    }

    /// The host's side of the instance.
    pub(super) fn guest(&mut self) -> &mut Guest {
        self.store.data_mut()
    }

    fn begin_call(&mut self) {
        self.calls = self.calls.saturating_add(1);
        self.store.data_mut().begin_call(self.ticks_per_call);
        self.store.set_epoch_deadline(1);
    }
}
