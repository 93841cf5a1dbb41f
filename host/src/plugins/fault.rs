//! What went wrong in a call, told apart: trap, time, memory, output.

use wasmtime::{Error, Trap};
use wasmtime_wasi::I32Exit;

use super::contract::shorten;
use super::guest::Guest;
use super::limits::PluginLimits;
use crate::flow::ports::FaultKind;

/// A fault before it has the plugin's name.
#[derive(Debug)]
pub(super) struct Failure {
    /// The way it failed.
    pub(super) kind: FaultKind,
    /// For the log.
    pub(super) detail: String,
}

impl Failure {
    /// The call was still running when its time was over.
    pub(super) fn wall(limits: &PluginLimits) -> Self {
        let detail = format!("no answer within `limits.wall` ({} ms)", limits.wall.as_millis());
        Self { kind: FaultKind::Timeout, detail }
    }

    /// Nothing became free in the time a call may wait.
    pub(super) fn overloaded(what: &str) -> Self {
        Self { kind: FaultKind::Overloaded, detail: what.to_owned() }
    }

    /// The breaker keeps calls from the plugin.
    pub(super) fn paused() -> Self {
        let detail = "is paused after too many faults (`breaker`)".to_owned();
        Self { kind: FaultKind::Paused, detail }
    }

    /// What the failure says of the plugin: `Some(true)` that it is at fault, `Some(false)` that it worked, `None`
    /// nothing, because the call never came to it.
    pub(super) const fn verdict(&self) -> Option<bool> {
        match self.kind {
            FaultKind::Trap
            | FaultKind::Timeout
            | FaultKind::Memory
            | FaultKind::InvalidOutput
            | FaultKind::NotGranted => Some(true),
            // It answered that it cannot tell.
            FaultKind::Failed => Some(false),
            FaultKind::Missing | FaultKind::Overloaded | FaultKind::Paused => None,
        }
    }

    /// Reads wasmtime's error. `guest` is what is left of the instance, which must not be used again.
    pub(super) fn of_guest(error: &Error, guest: &mut Guest, limits: &PluginLimits) -> Self {
        let trap = error.downcast_ref::<Trap>().copied();
        let (kind, mut detail) = if trap == Some(Trap::Interrupt) {
            (FaultKind::Timeout, format!("used up `limits.cpu` ({} ms)", limits.cpu.as_millis()))
        } else if guest.memory.denied {
            (FaultKind::Memory, format!("wanted more than `limits.memory` ({} bytes)", limits.memory_bytes_max))
        } else if trap.is_some() || error.downcast_ref::<I32Exit>().is_some() {
            (FaultKind::Trap, error.root_cause().to_string())
        } else {
            // What the guest returned could not be lifted: text that is no UTF-8, pointers astray, too much of it.
            (FaultKind::InvalidOutput, in_our_words(error.root_cause().to_string(), limits))
        };
        tracing::debug!(backtrace = format!("{error:?}"), "plugin trapped");
        let printed = guest.take_output();
        if !printed.is_empty() {
            detail = format!("{detail}: {printed}");
        }
        Self { kind, detail: shorten(detail) }
    }
}

/// Wasmtime's sentence, with the limit named where it is one that the operator can raise.
fn in_our_words(said: String, limits: &PluginLimits) -> String {
    if said.contains("fuel allocated for hostcalls has been exhausted") {
        return format!("handed over more at once than `limits.host_bytes` ({} bytes)", limits.host_bytes_max);
    }
    if said.contains("store handle limit exceeded") {
        return format!("wanted more than `limits.handles` ({})", limits.handles_max);
    }
    said
}
