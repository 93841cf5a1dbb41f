//! The plugin versions for operators: active, standby, draining, rejected and quarantined versions, and how they do.

use std::io;

use serde::Serialize;

use super::recordings::{NoRecording, RecordingEnd, RecordingPage, RecordingState, RecordingWish};
use super::shadow_status::ShadowStatus;
use crate::protocol::Payload;

/// Knows the versions of the plugins.
pub trait PluginRoster: Send + Sync + 'static {
    /// All known versions, sorted by name; for one name the active version comes first.
    fn list(&self) -> Vec<PluginStatus>;

    /// Re-admits the quarantined versions that a plugin's name, or 12 or more digits of a digest, match, and returns
    /// them. Blocks.
    ///
    /// # Errors
    /// The operating system's error if the change cannot be stored; then no version is re-admitted.
    fn clear(&self, what: &str) -> io::Result<Vec<PluginStatus>>;

    /// Records the calls of the version that serves, from now on. Returns the first line of the file.
    ///
    /// # Errors
    /// [`NoRecording`].
    fn record(&self, wish: RecordingWish<'_>) -> Result<Payload, NoRecording>;

    /// The calls of the plugin's recording after the first `after`; `None` if there is no recording.
    fn recording(&self, plugin: &str, after: usize) -> Option<RecordingPage>;

    /// The lines of the file of the plugin's recording, as far as there are calls; `None` if there is no recording.
    fn recording_file(&self, plugin: &str) -> Option<Vec<Payload>>;

    /// Ends the plugin's recording, if it goes on, and forgets it; `None` if there is none.
    fn end_recording(&self, plugin: &str) -> Option<RecordingEnd>;
}

/// One version of one plugin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PluginStatus {
    /// Its directory's name.
    pub name: String,
    /// The state of the version.
    pub state: PluginState,
    /// The digest of component and `plugin.yaml` together, 64 hexadecimal digits; `None` if one of them could not be
    /// read.
    pub version: Option<String>,
    /// The SHA-256 of the component, 64 hexadecimal digits; `None` as above.
    pub digest: Option<String>,
    /// When it was loaded, rejected or quarantined, in seconds since the Unix epoch.
    pub since_unix_s: u64,
    /// Why it was rejected or quarantined; empty in every other state.
    pub reasons: Vec<String>,
    /// What it did since it was loaded; `None` if it was rejected or quarantined.
    pub service: Option<PluginService>,
    /// The last faults, the newest first; empty if it was rejected, or quarantined before this process began.
    pub last_faults: Vec<RememberedFault>,
    /// The candidate that is asked beside it, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shadow: Option<ShadowStatus>,
    /// The recording of its calls, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recording: Option<RecordingState>,
}

/// The state of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PluginState {
    /// New calls go to it.
    Active,
    /// It was replaced recently, and is kept ready in case the active version fails.
    Standby,
    /// It was replaced, and calls that began before still run.
    Draining,
    /// The last reload tried to load it, but could not.
    Rejected,
    /// It failed after a swap and was rolled back. It is not loaded again until somebody clears it.
    Quarantined,
}

impl PluginState {
    /// The name in metrics and answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Standby => "standby",
            Self::Draining => "draining",
            Self::Rejected => "rejected",
            Self::Quarantined => "quarantined",
        }
    }
}

/// What a loaded version did since it was loaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PluginService {
    /// Its kinds, in the words of the contract.
    pub kinds: Vec<&'static str>,
    /// Whether its native code came from the cache.
    pub cached: bool,
    /// Golden vectors that it passed before it served.
    pub vectors: usize,
    /// Live instances, working or resting.
    pub instances: u32,
    /// The classes of calls that are paused after too many faults: `authorizer`, `worker` (every other kind).
    pub paused: Vec<&'static str>,
    /// Ended calls, successful or not.
    pub calls: u64,
    /// Calls that ended in a fault.
    pub faults: u64,
    /// Whether calls go through, by their class.
    pub breaker: BreakerStatus,
    /// Linear memory of the instances that rest, in bytes.
    pub memory_bytes: u64,
    /// The last fault.
    pub last_fault: Option<LastFault>,
}

/// A remembered fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LastFault {
    /// `trap`, `timeout`, …
    pub kind: &'static str,
    /// For the operator; of limited length.
    pub detail: String,
    /// When, in seconds since the Unix epoch.
    pub at_unix_s: u64,
}

/// Whether the calls of each class go through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct BreakerStatus {
    /// `closed`: they do; `open`: they are paused.
    pub authorizer: &'static str,
    /// The same for every other kind.
    pub worker: &'static str,
}

/// A fault with what is known of its call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RememberedFault {
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// `trap`, `timeout`, …
    pub kind: &'static str,
    /// For the operator; of limited length.
    pub message: String,
    /// The channel's template, if the call concerns one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// The place in the plugin's source that the message names: `src/lib.rs:12:5`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// The last lines of the call in the log, the oldest first.
    pub log: Vec<String>,
    /// The payload, for whoever may read; of limited length.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<String>,
}
