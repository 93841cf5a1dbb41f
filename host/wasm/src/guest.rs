//! The host's data for one instance: its memory account, its CPU budget, its empty WASI, its log and its config.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant as Moment;
use wasmtime::{ResourceLimiter, Result};
use wasmtime_wasi::{ResourceTable, WasiCtx, WasiCtxView, WasiView};

use super::engine::{CORE_INSTANCES_MAX, PARTS_MAX, TABLE_ELEMENTS_MAX, TICK};
use super::imports::{HostCall, LogLines, RANDOM_BYTES_MAX, Reach};
use super::limits::PluginLimits;
use super::output::Output;
use super::recording;
use tidegate_core::flow::ports::Exceeded;

/// The host's side of one instance.
pub(super) struct Guest {
    /// The instance's plugin and version, for the log.
    pub(super) identity: Identity,
    /// The caller, for the log.
    pub(super) caller: Caller,
    /// The `config:` section, each value as JSON text.
    pub(super) config: Arc<BTreeMap<String, String>>,
    /// The services that it may use.
    pub(super) reach: Arc<Reach>,
    /// The log lines of the call.
    pub(super) log: LogLines,
    /// The memory account.
    pub(super) memory: MemoryAccount,
    log_lines_max: u32,
    /// Epochs that the call may still run.
    ticks_left: u32,
    /// Waiting time for the host, up to a tick for each call, that was not deducted yet.
    waited: Duration,
    /// The part of the host in the duration of the call.
    pub(super) host: HostShare,
    /// When the call is cut off (`limits.wall`).
    deadline: Moment,
    output: Output,
    wasi: WasiCtx,
    table: ResourceTable,
}

impl Guest {
    pub(super) fn new(
        identity: Identity,
        config: Arc<BTreeMap<String, String>>,
        reach: Arc<Reach>,
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
            reach,
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

    /// Sets the budgets of the next call, and its caller.
    pub(super) fn begin_call(&mut self, ticks: u32, channel: &str, user: Option<&str>) {
        self.caller.set(channel, user);
        self.ticks_left = ticks;
        self.waited = Duration::ZERO;
        self.host = HostShare::default();
        self.log = LogLines::new(self.log_lines_max);
        self.memory.denied = false;
    }

    /// Sets when the call is cut off.
    pub(super) const fn ends_at(&mut self, deadline: Moment) {
        self.deadline = deadline;
    }

    /// Until when an import may keep the guest waiting: a tenth of the remaining time is for the guest, to answer.
    pub(super) fn answer_by(&self) -> Moment {
        let left = self.deadline.saturating_duration_since(Moment::now());
        self.deadline - left / 10
    }

    /// Takes one epoch from the budget; `false` if none is left. An epoch that passed while the guest waited for the
    /// host is free.
    pub(super) fn spend_tick(&mut self) -> bool {
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

    /// Credits the guest's waiting time. When the guest continues, it is charged at most one tick, however long it
    /// waited, so it gets back at most one.
    fn credit(&mut self, waited: Duration) {
        self.waited += waited.min(TICK);
    }

    /// Begins a call of a granted import.
    pub(super) fn begin_host_call(&mut self, import: &'static str) -> HostCall {
        recording::host_call(import);
        self.host.begin();
        self.reach.begin(import)
    }

    /// Ends it. `outcome` is `ok` or the name of the error in the contract.
    pub(super) fn end_host_call(&mut self, call: HostCall, outcome: &'static str) {
        self.host.end(call.import(), outcome);
        let waited = call.end(outcome);
        self.credit(waited);
    }

    /// What the guest wrote to standard output and error since the last call of this function.
    pub(super) fn take_output(&mut self) -> String {
        self.output.take()
    }
}

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

/// The part of the host in one call: how long it kept the guest waiting, and what it did not do for the guest.
#[derive(Debug, Default)]
pub(super) struct HostShare {
    /// Since when the guest has been waiting.
    since: Option<Moment>,
    waited: Duration,
    /// A request that was not answered for reasons outside the guest.
    away: Option<Away>,
    /// The limit that an answer would have exceeded.
    exceeded: Option<Exceeded>,
}

/// A call of an import that failed, but not because of the guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Away {
    import: &'static str,
    outcome: &'static str,
}

/// The errors of imports which mean that the host could not answer, or not now.
const AWAY: [&str; 4] = ["timeout", "rate_limited", "unavailable", "unreachable"];

impl HostShare {
    fn begin(&mut self) {
        self.since = Some(Moment::now());
    }

    fn end(&mut self, import: &'static str, outcome: &'static str) {
        self.waited += self.since.take().map_or(Duration::ZERO, |since| since.elapsed());
        if AWAY.contains(&outcome) {
            self.away = Some(Away { import, outcome });
        }
    }

    /// How long the guest has waited so far.
    pub(super) fn waited(&self) -> Duration {
        self.waited + self.since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// The guest received no answer because the answer exceeded a limit.
    pub(super) const fn exceeds(&mut self, exceeded: Exceeded) {
        self.exceeded = Some(exceeded);
    }

    /// The last limit that an answer would have exceeded.
    pub(super) const fn exceeded(&self) -> Option<Exceeded> {
        self.exceeded
    }

    /// The last request of the guest that the host did not answer.
    pub(super) const fn away(&self) -> Option<Away> {
        self.away
    }
}

impl std::fmt::Display for Away {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}` answered `{}`", self.import, self.outcome)
    }
}

/// The plugin and version of an instance.
#[derive(Debug, Clone)]
pub(super) struct Identity {
    /// The plugin's name.
    pub(super) plugin: Arc<str>,
    /// The version that serves: the first digits of the digest of component and manifest.
    pub(super) version: Arc<str>,
}

/// The caller of an instance. Kept as plain text in reused buffers: a span for each call would write the same for every
/// call, but few calls log anything.
#[derive(Debug, Default)]
pub(super) struct Caller {
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

    /// The template of the channel; empty if the call belongs to none.
    pub(super) fn channel(&self) -> &str {
        &self.channel
    }

    /// The user's id.
    pub(super) fn user(&self) -> Option<&str> {
        (!self.user.is_empty()).then_some(self.user.as_str())
    }
}

/// The memory of one instance, summed over all of its linear memories.
pub(super) struct MemoryAccount {
    bytes: usize,
    bytes_max: usize,
    /// Whether the guest asked for more memory than allowed since the call began.
    pub(super) denied: bool,
}

impl MemoryAccount {
    /// What the instance holds, in bytes.
    pub(super) const fn bytes(&self) -> usize {
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
        // Beyond the memory's own maximum the growth fails after this point, and must not be counted.
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
