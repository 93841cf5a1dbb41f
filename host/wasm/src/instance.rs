//! One live instance of a component, and everything that is needed to create another one.

use std::collections::BTreeMap;
use std::sync::Arc;

use wasmtime::component::InstancePre;
use wasmtime::{Result, Store, UpdateDeadline};

use super::census::{Census, Entry};
use super::contract::{authorizer, connection, transform, types};
use super::engine::TICK;
use super::fault::Failure;
use super::guest::{Guest, Identity};
use super::imports::Reach;
use super::limits::PluginLimits;
use super::pool::Slot;
use super::worlds::{Exported, Exports, called};
use tidegate_core::flow::ports::FaultKind;

/// The parts from which instances of one plugin are created.
pub(super) struct Blueprint {
    pub(super) identity: Identity,
    pub(super) component: InstancePre<Guest>,
    pub(super) exports: Exports,
    pub(super) config: Arc<BTreeMap<String, String>>,
    pub(super) reach: Arc<Reach>,
    pub(super) limits: PluginLimits,
    /// Counts its instances.
    pub(super) census: Arc<Census>,
    /// How many places one instance takes.
    pub(super) places: u32,
}

/// A live instance. After any error, and after a call whose future was dropped, it is not usable any more and must be
/// dropped.
pub(super) struct Instance {
    store: Store<Guest>,
    exported: Exported,
    /// Calls it has served.
    pub(super) calls: u32,
    /// The sweep after which it began to rest.
    pub(super) rests_since: u32,
    ticks_per_call: u32,
    /// Linear memory at its creation, in bytes.
    memory_bytes_first: usize,
    pub(super) entry: Entry,
    /// Its place among the process's instances; another instance can have it after this one is gone. Declared after the
    /// store, so that the place becomes free after the store's memory.
    _slot: Slot,
}

impl Blueprint {
    /// Creates an instance. Start functions run here, with the budgets of a call.
    ///
    /// # Errors
    /// [`Failure`] if a start function fails or an export has another type than in the contract.
    pub(super) async fn instantiate(&self, slot: Slot) -> Result<Box<Instance>, Failure> {
        let guest = Guest::new(self.identity.clone(), self.config.clone(), self.reach.clone(), &self.limits);
        let mut store = Store::new(self.component.engine(), guest);
        store.limiter(|guest| &mut guest.memory);
        store.set_hostcall_fuel(self.limits.host_bytes_max);
        store.set_max_component_handles(self.limits.handles_max);
        store.epoch_deadline_callback(|mut guest| {
            // Yielding at every tick keeps other tasks running, and the timeout of this very call.
            Ok(if guest.data_mut().spend_tick() { UpdateDeadline::Yield(1) } else { UpdateDeadline::Interrupt })
        });
        let ticks_per_call = u32::try_from(self.limits.cpu.as_millis() / TICK.as_millis()).unwrap_or(u32::MAX);
        store.data_mut().begin_call(ticks_per_call, "", None);
        store.set_epoch_deadline(1);
        let instance = match self.component.instantiate_async(&mut store).await {
            Ok(instance) => instance,
            Err(error) => return Err(Failure::of_guest(&error, store.data_mut(), &self.limits)),
        };
        let exported = self.exports.load(&mut store, &instance);
        let exported = exported.map_err(|misfit| Failure::new(FaultKind::InvalidOutput, misfit.to_string()))?;
        let memory_bytes_first = store.data().memory.bytes();
        let entry = self.census.enter();
        let calls = 0;
        Ok(Box::new(Instance {
            store,
            exported,
            calls,
            rests_since: 0,
            ticks_per_call,
            memory_bytes_first,
            entry,
            _slot: slot,
        }))
    }
}

impl Instance {
    /// Lets the handler answer a message. `None` if the component has no handler.
    pub(super) async fn handle(
        &mut self,
        context: &types::Context,
        payload: &str,
    ) -> Option<Result<Result<types::Outcome, types::Refusal>>> {
        self.begin_call_of(context);
        let handler = self.exported.handler.as_ref()?;
        Some(called(handler, &mut self.store, (context, payload)).await)
    }

    /// Asks the authorizer. `None` if the component has no authorizer.
    pub(super) async fn authorize(
        &mut self,
        context: &types::Context,
        action: authorizer::Action,
        payload: Option<&str>,
    ) -> Option<Result<Result<authorizer::Decision, String>>> {
        self.begin_call_of(context);
        let authorizer = self.exported.authorizer.as_ref()?;
        Some(authorizer.call(&mut self.store, (context, action, payload)).await)
    }

    /// Asks for a topic's state. `None` if the component has no snapshot.
    pub(super) async fn provide(&mut self, context: &types::Context) -> Option<Result<Result<Vec<String>, String>>> {
        self.begin_call_of(context);
        let snapshot = self.exported.snapshot.as_ref()?;
        Some(called(snapshot, &mut self.store, (context,)).await)
    }

    /// Lets the transform make a payload. `None` if the component has no transform.
    pub(super) async fn apply(
        &mut self,
        channel: &str,
        crossing: &transform::Crossing,
    ) -> Option<Result<Result<Option<String>, String>>> {
        self.begin_call(channel, None);
        let transform = self.exported.transform.as_ref()?;
        Some(called(transform, &mut self.store, (crossing,)).await)
    }

    /// Announces a connection. `None` if the component does not listen for connections.
    pub(super) async fn changed(
        &mut self,
        peer: &connection::Peer,
        phase: connection::Phase,
    ) -> Option<Result<Result<Vec<types::Effect>, String>>> {
        self.begin_call("", peer.user.as_ref().map(|user| user.id.as_str()));
        let connection = self.exported.connection.as_ref()?;
        Some(called(connection, &mut self.store, (peer, phase)).await)
    }

    /// Its linear memory in bytes, if that has grown since its creation.
    pub(super) fn grown_to(&mut self) -> Option<usize> {
        let bytes = self.store.data().memory.bytes();
        (bytes > self.memory_bytes_first).then_some(bytes)
    }

    /// The host's side of the instance.
    pub(super) fn guest(&mut self) -> &mut Guest {
        self.store.data_mut()
    }

    fn begin_call_of(&mut self, context: &types::Context) {
        self.begin_call(&context.channel, context.user.as_ref().map(|user| user.id.as_str()));
    }

    fn begin_call(&mut self, channel: &str, user: Option<&str>) {
        self.calls = self.calls.saturating_add(1);
        self.store.data_mut().begin_call(self.ticks_per_call, channel, user);
        self.store.set_epoch_deadline(1);
    }
}
