//! The ways in which a plugin fails, and what each of them means.

use crate::flow::OwnEvent;
use crate::protocol::PluginName;
use crate::telemetry;

/// A plugin's failure. It was logged and counted where it occurred.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("plugin `{plugin}` {}: {detail}", kind.as_str())]
pub struct Fault {
    /// The plugin.
    pub plugin: PluginName,
    /// What went wrong.
    pub kind: FaultKind,
    /// For the log; never for a client.
    pub detail: String,
}

impl Fault {
    /// Logs and counts the fault: which version failed, on which channel's template, for whom.
    pub fn tell(&self, version: Option<&str>, channel: &str, user: Option<&str>) {
        self.tell_with(version, channel, user, None);
    }

    /// The same, with the message that caused the fault.
    pub fn tell_with(&self, version: Option<&str>, channel: &str, user: Option<&str>, input: Option<&str>) {
        let (plugin, kind, detail) = (self.plugin.as_str(), self.kind.as_str(), self.detail.as_str());
        telemetry::plugin_fault(&telemetry::PluginFault { plugin, version, kind, channel, user, detail, input });
    }

    /// The fault as an event of the server itself: without its detail, which may show what a client sent.
    #[must_use]
    pub fn event<'a>(&'a self, version: Option<&'a str>, channel: &'a str, user: Option<&'a str>) -> OwnEvent<'a> {
        OwnEvent::PluginFault { plugin: self.plugin.as_str(), version, kind: self.kind.as_str(), channel, user }
    }
}

/// The ways a plugin fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// A trap: panic, unreachable, stack overflow.
    Trap,
    /// It used up its CPU time.
    Cpu,
    /// It did not answer in time.
    Timeout,
    /// It ran out of memory.
    Memory,
    /// The answer is not JSON, is too large, or does not match a schema.
    InvalidOutput,
    /// The state of a topic exceeds a limit.
    TooLarge(Exceeded),
    /// An effect that `plugin.yaml` does not grant.
    NotGranted,
    /// There is no such plugin, or it lacks the export.
    Missing,
    /// Every instance is busy, and the wait has ended.
    Overloaded,
    /// It failed so often that it is paused.
    Paused,
    /// Its team has used up its share of the server (`teams`).
    OverBudget,
    /// The plugin reports that it could not do its work.
    Failed,
    /// The plugin reports it because the host did not answer it: a query, the store or an HTTP request was late or away.
    Unanswered,
}

/// A limit that was exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Exceeded {
    /// What is counted: `rows` or `bytes`.
    pub unit: &'static str,
    /// How many there are; `None` if nobody counted beyond the limit.
    pub found: Option<usize>,
    /// The limit.
    pub max: usize,
}

impl Exceeded {
    /// The details for an answer: `{ "bytes": …, "bytes_max": … }`.
    #[must_use]
    pub fn details(self) -> serde_json::Value {
        let found = self.found.map(|found| (self.unit.to_owned(), found));
        found.into_iter().chain([(format!("{}_max", self.unit), self.max)]).collect()
    }
}

impl FaultKind {
    /// Whether the plugin itself caused the failure. After any other failure of an authorizer its caller knows neither
    /// a yes nor a no.
    #[must_use]
    pub const fn is_its_own(self) -> bool {
        match self {
            Self::Trap
            | Self::Cpu
            | Self::Memory
            | Self::InvalidOutput
            | Self::TooLarge(_)
            | Self::NotGranted
            | Self::Failed => true,
            Self::Timeout | Self::Missing | Self::Overloaded | Self::Paused | Self::OverBudget | Self::Unanswered => {
                false
            }
        }
    }

    /// The name in logs and metric labels.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Trap => "trap",
            Self::Cpu => "cpu",
            Self::Timeout => "timeout",
            Self::Memory => "memory",
            Self::InvalidOutput => "invalid_output",
            Self::TooLarge(_) => "too_large",
            Self::NotGranted => "not_granted",
            Self::Missing => "missing",
            Self::Overloaded => "overloaded",
            Self::Paused => "paused",
            Self::OverBudget => "over_budget",
            Self::Failed => "failed",
            Self::Unanswered => "unanswered",
        }
    }
}
