//! One live instance of a component, and the blueprint to make more.

use std::collections::BTreeMap;
use std::sync::Arc;

use wasmtime::component::InstancePre;
use wasmtime::{Store, UpdateDeadline};

use super::fault::Failure;
use super::guest::{Guest, Identity};
use super::instance_count::{Counted, InstanceCount};
use super::pool::Slot;
use crate::compile::engine::TICK;
use crate::imports::Capabilities;
use crate::kinds::{Exports, Functions};
use crate::manifest::PluginLimits;
use tidegate_core::flow::Seat;
use tidegate_core::flow::ports::FaultKind;

/// The blueprint of the instances of one plugin.
pub(crate) struct Blueprint {
    pub(crate) identity: Identity,
    pub(crate) component: InstancePre<Guest>,
    pub(crate) exports: Exports,
    pub(crate) config: Arc<BTreeMap<String, String>>,
    pub(crate) capabilities: Arc<Capabilities>,
    pub(crate) limits: PluginLimits,
    /// Who counts its instances.
    pub(crate) instance_count: Arc<InstanceCount>,
    /// The places that one instance takes.
    pub(crate) places: u32,
}

/// A live instance. After any error, and after a call whose future was dropped, it is poisoned and must be dropped.
pub(crate) struct Instance {
    store: Store<Guest>,
    functions: Functions,
    /// How many calls it has served.
    pub(crate) calls: u32,
    /// The number of the last sweep before it came to rest.
    pub(crate) rests_since: u32,
    ticks_per_call: u32,
    /// Its initial linear memory, in bytes.
    memory_bytes_first: usize,
    pub(crate) counted: Counted,
    /// Its place among the instances of the process. Declared after the store, so that Rust frees the memory of the
    /// store first.
    _slot: Slot,
    /// Its part of the team's share.
    _seat: Option<Seat>,
}

/// An instance that is ready for one call.
pub(crate) struct Ready<'a> {
    pub(crate) functions: &'a Functions,
    pub(crate) store: &'a mut Store<Guest>,
}

impl Blueprint {
    /// Makes an instance. Start functions run here, with the budgets of a call.
    ///
    /// # Errors
    /// [`Failure`] when a start function fails, or the type of an export differs from the contract.
    pub(crate) async fn instantiate(&self, slot: Slot, seat: Option<Seat>) -> Result<Box<Instance>, Failure> {
        let guest = Guest::new(self.identity.clone(), self.config.clone(), self.capabilities.clone(), &self.limits);
        let mut store = Store::new(self.component.engine(), guest);
        store.limiter(|guest| &mut guest.memory);
        store.set_hostcall_fuel(self.limits.host_bytes_max);
        store.set_max_component_handles(self.limits.handles_max);
        store.epoch_deadline_callback(|mut guest| {
            // Yields at every tick, so that other tasks and the timeout of this call can run.
            Ok(if guest.data_mut().spend_tick() { UpdateDeadline::Yield(1) } else { UpdateDeadline::Interrupt })
        });
        let ticks_per_call = u32::try_from(self.limits.cpu.as_millis() / TICK.as_millis()).unwrap_or(u32::MAX);
        store.data_mut().begin_call(ticks_per_call, "", None);
        store.set_epoch_deadline(1);
        let instance = match self.component.instantiate_async(&mut store).await {
            Ok(instance) => instance,
            Err(error) => return Err(Failure::of_guest(&error, store.data_mut(), &self.limits)),
        };
        let functions = self.exports.load(&mut store, &instance);
        let functions = functions.map_err(|misfit| Failure::new(FaultKind::InvalidOutput, misfit.to_string()))?;
        let memory_bytes_first = store.data().memory.bytes();
        let counted = self.instance_count.enter();
        let calls = 0;
        Ok(Box::new(Instance {
            store,
            functions,
            calls,
            rests_since: 0,
            ticks_per_call,
            memory_bytes_first,
            counted,
            _slot: slot,
            _seat: seat,
        }))
    }
}

impl Instance {
    /// Its linear memory, in bytes.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.store.data().memory.bytes()
    }

    /// Its linear memory, in bytes, if it has grown.
    pub(crate) fn grown_to(&mut self) -> Option<usize> {
        let bytes = self.store.data().memory.bytes();
        (bytes > self.memory_bytes_first).then_some(bytes)
    }

    /// The host's side of the instance.
    pub(crate) fn guest(&mut self) -> &mut Guest {
        self.store.data_mut()
    }

    /// Begins a call, with the budgets of a call.
    pub(crate) fn begin_call(&mut self, channel: &str, user: Option<&str>) -> Ready<'_> {
        self.calls = self.calls.saturating_add(1);
        self.store.data_mut().begin_call(self.ticks_per_call, channel, user);
        self.store.set_epoch_deadline(1);
        Ready { functions: &self.functions, store: &mut self.store }
    }
}
