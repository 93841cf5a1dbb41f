//! The failure of a call, by its kind: trap, time, memory, output.

use wasmtime::{Error, Trap};
use wasmtime_wasi::I32Exit;

use super::contract::shorten;
use super::guest::Guest;
use super::limits::PluginLimits;
use tidegate_core::flow::ports::FaultKind;

/// A fault that does not have the plugin's name yet.
#[derive(Debug)]
pub(super) struct Failure {
    /// The kind of failure.
    pub(super) kind: FaultKind,
    /// For the log.
    pub(super) detail: String,
    /// Whether the host kept the plugin waiting.
    kept_waiting: bool,
}

impl Failure {
    pub(super) const fn new(kind: FaultKind, detail: String) -> Self {
        Self { kind, detail, kept_waiting: false }
    }

    /// The call was still running when its time ended.
    pub(super) fn wall(limits: &PluginLimits) -> Self {
        Self::new(FaultKind::Timeout, format!("no answer within `limits.wall` ({} ms)", limits.wall.as_millis()))
    }

    /// The same for a guest that was called: if the host kept it waiting for half of the time or more, the guest is not
    /// at fault.
    pub(super) fn wall_of(guest: &Guest, limits: &PluginLimits) -> Self {
        let waited = guest.host.waited();
        if waited * 2 < limits.wall {
            return Self::wall(limits);
        }
        let Self { kind, detail, .. } = Self::wall(limits);
        let detail = format!("{detail}; for {} ms of these it waited for the host", waited.as_millis());
        Self { kind, detail, kept_waiting: true }
    }

    /// Nothing became free in the time that a call may wait.
    pub(super) fn overloaded(what: &str) -> Self {
        Self::new(FaultKind::Overloaded, what.to_owned())
    }

    /// The breaker refuses calls of the plugin.
    pub(super) fn paused() -> Self {
        Self::new(FaultKind::Paused, "is paused after too many faults (`breaker`)".to_owned())
    }

    /// What the failure says about the plugin: `Some(true)`: it is at fault; `Some(false)`: it worked; `None`: nothing,
    /// because the call never reached it, or because the host kept it waiting.
    pub(super) const fn verdict(&self) -> Option<bool> {
        match self.kind {
            FaultKind::Timeout if self.kept_waiting => None,
            FaultKind::Trap
            | FaultKind::Cpu
            | FaultKind::Timeout
            | FaultKind::Memory
            | FaultKind::InvalidOutput
            | FaultKind::NotGranted => Some(true),
            // It answered, even if only that it could not do its work, or that there is too much.
            FaultKind::Failed | FaultKind::TooLarge(_) => Some(false),
            FaultKind::Missing | FaultKind::Overloaded | FaultKind::Paused => None,
        }
    }

    /// Interprets wasmtime's error. `guest` belongs to the failed instance, which must not be used again.
    pub(super) fn of_guest(error: &Error, guest: &mut Guest, limits: &PluginLimits) -> Self {
        let trap = error.downcast_ref::<Trap>().copied();
        let (kind, mut detail) = if trap == Some(Trap::Interrupt) {
            (FaultKind::Cpu, format!("used up `limits.cpu` ({} ms)", limits.cpu.as_millis()))
        } else if guest.memory.denied {
            (FaultKind::Memory, format!("needed more than `limits.memory` ({} bytes)", limits.memory_bytes_max))
        } else if trap.is_some() || error.downcast_ref::<I32Exit>().is_some() {
            (FaultKind::Trap, error.root_cause().to_string())
        } else {
            // The guest's return value could not be read: text that is not UTF-8, bad pointers, too much data.
            (FaultKind::InvalidOutput, in_our_words(error.root_cause().to_string(), limits))
        };
        tracing::debug!(backtrace = format!("{error:?}"), "plugin trapped");
        // Taken in both cases: what an engine prints when it traps adds nothing to what the SDK said.
        let printed = guest.take_output();
        match guest.log.take_last_error() {
            Some(told) if kind == FaultKind::Trap => detail = told,
            Some(told) => detail = format!("{detail}; its last error was: {told}"),
            None if !printed.is_empty() => detail = format!("{detail}: {printed}"),
            None => {}
        }
        Self::new(kind, shorten(detail))
    }
}

/// Wasmtime's message, but with the name of the limit if it is a limit that the operator can raise.
fn in_our_words(said: String, limits: &PluginLimits) -> String {
    if said.contains("fuel allocated for hostcalls has been exhausted") {
        return format!("passed more data at once than `limits.host_bytes` ({} bytes)", limits.host_bytes_max);
    }
    if said.contains("store handle limit exceeded") {
        return format!("needed more than `limits.handles` ({})", limits.handles_max);
    }
    said
}
