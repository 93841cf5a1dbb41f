//! The failure of a call: a trap, the time, the memory, or the output.

use std::collections::VecDeque;

use serde_json::Value;
use wasmtime::{Error, Trap};
use wasmtime_wasi::I32Exit;

use super::guest::Guest;
use crate::contract::shorten;
use crate::manifest::PluginLimits;
use crate::vectors::fault_in_words;
use tidegate_core::flow::ports::FaultKind;

/// A fault without the name of the plugin.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The kind of the fault.
    pub(crate) kind: FaultKind,
    /// For the log.
    pub(crate) detail: String,
    /// The last lines of the call in the log.
    pub(crate) log: VecDeque<String>,
    /// Whether the host kept the plugin waiting.
    kept_waiting: bool,
}

impl Failure {
    pub(crate) const fn new(kind: FaultKind, detail: String) -> Self {
        Self { kind, detail, log: VecDeque::new(), kept_waiting: false }
    }

    /// The time of the call was over before it ended.
    pub(crate) fn wall(limits: &PluginLimits) -> Self {
        Self::new(FaultKind::Timeout, format!("no answer within `limits.wall` ({} ms)", limits.wall.as_millis()))
    }

    /// The same, for a guest that ran. If the host kept it waiting for half of the time or more, the plugin is not at
    /// fault.
    pub(crate) fn wall_of(guest: &Guest, limits: &PluginLimits) -> Self {
        let waited = guest.host.waited();
        if waited * 2 < limits.wall {
            return Self::wall(limits);
        }
        let Self { kind, detail, .. } = Self::wall(limits);
        let detail = format!("{detail}; for {} ms of these it waited for the host", waited.as_millis());
        Self { kind, detail, log: VecDeque::new(), kept_waiting: true }
    }

    /// The same, with what the guest wrote to the log.
    pub(crate) fn with_log(self, log: VecDeque<String>) -> Self {
        Self { log, ..self }
    }

    /// The call waited for a place until its time was over.
    pub(crate) fn overloaded(what: &str) -> Self {
        Self::new(FaultKind::Overloaded, what.to_owned())
    }

    /// The breaker is open.
    pub(crate) fn paused() -> Self {
        Self::new(FaultKind::Paused, "is paused after too many faults (`breaker`)".to_owned())
    }

    /// Whether the plugin is at fault: `Some(true)` if it is, `Some(false)` if it worked. `None` if the failure says
    /// nothing about the plugin, because the call never reached it, or because the host kept it waiting.
    pub(crate) const fn verdict(&self) -> Option<bool> {
        match self.kind {
            FaultKind::Timeout if self.kept_waiting => None,
            FaultKind::Trap
            | FaultKind::Cpu
            | FaultKind::Timeout
            | FaultKind::Memory
            | FaultKind::InvalidOutput
            | FaultKind::NotGranted => Some(true),
            // It answered, even if only with an error, or with too much.
            FaultKind::Failed | FaultKind::TooLarge(_) => Some(false),
            FaultKind::Missing
            | FaultKind::Overloaded
            | FaultKind::Paused
            | FaultKind::OverBudget
            | FaultKind::Unanswered => None,
        }
    }

    /// Whether the call came to the plugin at all.
    pub(crate) const fn reached_the_plugin(&self) -> bool {
        !matches!(self.kind, FaultKind::Missing | FaultKind::Overloaded | FaultKind::Paused | FaultKind::OverBudget)
    }

    /// The fault in the words of a golden vector.
    pub(crate) fn in_words(&self) -> Value {
        fault_in_words(self.kind.as_str(), &self.detail)
    }

    /// Reads the error of wasmtime. The instance of `guest` must not be used again.
    pub(crate) fn of_guest(error: &Error, guest: &mut Guest, limits: &PluginLimits) -> Self {
        let trap = error.downcast_ref::<Trap>().copied();
        let (kind, mut detail) = if trap == Some(Trap::Interrupt) {
            (FaultKind::Cpu, format!("used up `limits.cpu` ({} ms)", limits.cpu.as_millis()))
        } else if guest.memory.denied {
            (FaultKind::Memory, format!("needed more than `limits.memory` ({} bytes)", limits.memory_bytes_max))
        } else if trap.is_some() || error.downcast_ref::<I32Exit>().is_some() {
            (FaultKind::Trap, error.root_cause().to_string())
        } else {
            // The host could not read the result: text that is not UTF-8, wrong pointers, or too much.
            (FaultKind::InvalidOutput, in_our_words(error.root_cause().to_string(), limits))
        };
        tracing::debug!(backtrace = format!("{error:?}"), "plugin trapped");
        // Taken in any case. If the SDK logged the cause, the output of a trapping language runtime adds nothing.
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

/// The sentence of wasmtime. If it is about a limit that the operator can raise, our own sentence names the limit.
fn in_our_words(said: String, limits: &PluginLimits) -> String {
    if said.contains("fuel allocated for hostcalls has been exhausted") {
        return format!("passed more data at once than `limits.host_bytes` ({} bytes)", limits.host_bytes_max);
    }
    if said.contains("store handle limit exceeded") {
        return format!("needed more than `limits.handles` ({})", limits.handles_max);
    }
    said
}
