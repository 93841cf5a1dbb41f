//! The host's side of one instance: memory account, CPU budget, empty WASI, log lines and config.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant as Moment;
use wasmtime::{ResourceLimiter, Result};
use wasmtime_wasi::{ResourceTable, WasiCtx, WasiCtxView, WasiView};

use super::output::Output;
use crate::compile::engine::{CORE_INSTANCES_MAX, PARTS_MAX, TABLE_ELEMENTS_MAX, TICK};
use crate::imports::{Capabilities, HostCall, LogLines, RANDOM_BYTES_MAX};
use crate::manifest::PluginLimits;
use crate::tape::record;
use tidegate_core::flow::ports::Exceeded;

/// The host's side of one instance.
pub(crate) struct Guest {
    /// Whose instance it is, for the log.
    pub(crate) identity: Identity,
    /// For whom it runs, for the log.
    pub(crate) caller: Caller,
    /// The `config:` section, each value as JSON text.
    pub(crate) config: Arc<BTreeMap<String, String>>,
    /// Its capabilities.
    pub(crate) capabilities: Arc<Capabilities>,
    /// The log lines of the call.
    pub(crate) log: LogLines,
    /// The memory account.
    pub(crate) memory: MemoryAccount,
    log_lines_max: u32,
    /// How many epochs the call may still run.
    ticks_left: u32,
    /// Time that the guest waited for the host, at most one tick for each host call, and that no epoch was charged
    /// against yet.
    waited: Duration,
    /// The share of the host in the call.
    pub(crate) host: HostShare,
    /// When the host cuts the call off (`limits.wall`).
    deadline: Moment,
    output: Output,
    wasi: WasiCtx,
    table: ResourceTable,
}

impl Guest {
    pub(crate) fn new(
        identity: Identity,
        config: Arc<BTreeMap<String, String>>,
        capabilities: Arc<Capabilities>,
        limits: &PluginLimits,
    ) -> Self {
        let output = Output::default();
        // Empty: no arguments, no environment, no files, no network; standard input is closed.
        let wasi = WasiCtx::builder()
            .stdout(output.clone())
            .stderr(output.clone())
            .allow_tcp(false)
            .allow_udp(false)
            .allow_ip_name_lookup(false)
            .max_random_size(RANDOM_BYTES_MAX.into())
            .build();
        let memory = MemoryAccount { bytes: 0, bytes_max: limits.memory_bytes_max, denied: false };
        let log_lines_max = limits.log_lines_max;
        let log = LogLines::new(log_lines_max);
        let table = ResourceTable::new();
        Self {
            identity,
            caller: Caller::default(),
            config,
            capabilities,
            log,
            memory,
            log_lines_max,
            ticks_left: 0,
            waited: Duration::ZERO,
            host: HostShare::default(),
            deadline: Moment::now() + limits.wall,
            output,
            wasi,
            table,
        }
    }

    /// Sets the budgets and the caller of the next call.
    pub(crate) fn begin_call(&mut self, ticks: u32, channel: &str, user: Option<&str>) {
        self.caller.set(channel, user);
        self.ticks_left = ticks;
        self.waited = Duration::ZERO;
        self.host = HostShare::default();
        self.log = LogLines::new(self.log_lines_max);
        self.memory.denied = false;
    }

    /// Sets the time when the host cuts the call off.
    pub(crate) const fn ends_at(&mut self, deadline: Moment) {
        self.deadline = deadline;
    }

    /// Until when a host call may last. It leaves the guest a tenth of the remaining time for its answer.
    pub(crate) fn answer_by(&self) -> Moment {
        let left = self.deadline.saturating_duration_since(Moment::now());
        self.deadline - left / 10
    }

    /// Takes one epoch from the budget; `false` when none is left. An epoch that passed while the guest waited for the
    /// host is free.
    pub(crate) fn spend_tick(&mut self) -> bool {
        if let Some(waited) = self.waited.checked_sub(TICK) {
            self.waited = waited;
            return true;
        }
        match self.ticks_left.checked_sub(1) {
            Some(left) => {
                self.ticks_left = left;
                true
            }
            None => false,
        }
    }

    /// Gives back the time of a host call. However long the call was, the guest is charged at most one tick for it, so
    /// it gets back at most one.
    fn credit(&mut self, waited: Duration) {
        self.waited += waited.min(TICK);
    }

    /// Begins a host call.
    pub(crate) fn begin_host_call(&mut self, import: &'static str) -> HostCall {
        record::host_call(import);
        self.host.begin();
        self.capabilities.begin(import)
    }

    /// Ends a host call. `outcome` is `ok` or the name of the error in the contract.
    pub(crate) fn end_host_call(&mut self, call: HostCall, outcome: &'static str) {
        self.host.end(call.import(), outcome);
        let waited = call.end(outcome);
        self.credit(waited);
    }

    /// Takes the output of the guest since the last time.
    pub(crate) fn take_output(&mut self) -> String {
        self.output.take()
    }
}

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

/// The share of the host in one call: how long it kept the guest waiting, and what it did not answer.
#[derive(Debug, Default)]
pub(crate) struct HostShare {
    /// Since when the guest waits now.
    since: Option<Moment>,
    waited: Duration,
    unanswered: Unanswered,
}

/// What the host did not answer in one call, the last of each.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Unanswered {
    /// A call that the host could not answer, or not now.
    pub(crate) away: Option<Away>,
    /// The limit that an answer would have exceeded.
    pub(crate) exceeded: Option<Exceeded>,
}

/// A host call that failed, and the guest is not at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Away {
    import: &'static str,
    outcome: &'static str,
}

/// The errors of imports for which the guest is not at fault.
const AWAY: [&str; 4] = ["timeout", "rate_limited", "unavailable", "unreachable"];

impl HostShare {
    fn begin(&mut self) {
        self.since = Some(Moment::now());
    }

    fn end(&mut self, import: &'static str, outcome: &'static str) {
        self.waited += self.since.take().map_or(Duration::ZERO, |since| since.elapsed());
        if AWAY.contains(&outcome) {
            self.unanswered.away = Some(Away { import, outcome });
        }
    }

    /// How long the guest has waited.
    pub(crate) fn waited(&self) -> Duration {
        self.waited + self.since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// Notes that an answer would have exceeded a limit.
    pub(crate) const fn exceeds(&mut self, exceeded: Exceeded) {
        self.unanswered.exceeded = Some(exceeded);
    }

    /// What the host did not answer.
    pub(crate) const fn unanswered(&self) -> Unanswered {
        self.unanswered
    }
}

impl std::fmt::Display for Away {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}` answered `{}`", self.import, self.outcome)
    }
}

/// Whose instance it is.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    /// The plugin's name.
    pub(crate) plugin: Arc<str>,
    /// The first digits of the version (component and `plugin.yaml`).
    pub(crate) version: Arc<str>,
}

/// For whom an instance runs, for the log. Plain text in reused buffers: a tracing span would cost every call, and few
/// calls log anything.
#[derive(Debug, Default)]
pub(crate) struct Caller {
    channel: String,
    user: String,
}

impl Caller {
    fn set(&mut self, channel: &str, user: Option<&str>) {
        self.channel.clear();
        self.channel.push_str(channel);
        self.user.clear();
        self.user.push_str(user.unwrap_or_default());
    }

    /// The template of the channel; empty if the call concerns no channel.
    pub(crate) fn channel(&self) -> &str {
        &self.channel
    }

    /// The user's id.
    pub(crate) fn user(&self) -> Option<&str> {
        (!self.user.is_empty()).then_some(self.user.as_str())
    }
}

/// The memory of one instance, summed over all of its linear memories.
pub(crate) struct MemoryAccount {
    bytes: usize,
    bytes_max: usize,
    /// Whether the guest asked for too much memory in this call.
    pub(crate) denied: bool,
}

impl MemoryAccount {
    /// The memory of the instance, in bytes.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }
}

impl ResourceLimiter for MemoryAccount {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> Result<bool> {
        let wanted = self.bytes.saturating_add(desired.saturating_sub(current));
        if wanted > self.bytes_max {
            self.denied = true;
            return Ok(false);
        }
        // Growth beyond the memory's own maximum fails after this, and must not count.
        if maximum.is_none_or(|maximum| desired <= maximum) {
            self.bytes = wanted;
        }
        Ok(true)
    }

    fn table_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> Result<bool> {
        Ok(desired <= TABLE_ELEMENTS_MAX)
    }

    fn instances(&self) -> usize {
        CORE_INSTANCES_MAX as usize
    }

    fn tables(&self) -> usize {
        PARTS_MAX as usize
    }

    fn memories(&self) -> usize {
        PARTS_MAX as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_limit_is_for_all_memories_of_an_instance_together() {
        let mut account = MemoryAccount { bytes: 0, bytes_max: 100, denied: false };
        assert!(account.memory_growing(0, 60, None).unwrap());
        assert!(!account.memory_growing(0, 60, None).unwrap());
        assert!(account.denied);
        assert!(account.memory_growing(60, 100, None).unwrap());
    }
}
