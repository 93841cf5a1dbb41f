//! What an operator is told of the plugins: which versions there are, what became of each, and how it fares.

use std::io;

use serde::Serialize;

/// Who knows the versions of the plugins.
pub trait PluginRoster: Send + Sync + 'static {
    /// Every version there is something to say about, by name; of one name the active version first.
    fn list(&self) -> Vec<PluginStatus>;

    /// Lets versions in again that are quarantined, all that a plugin's name or 12 or more digits of a digest mean, and
    /// returns them. Blocks.
    ///
    /// # Errors
    /// The operating system's, when that cannot be kept; then none is let in.
    fn clear(&self, what: &str) -> io::Result<Vec<PluginStatus>>;
}

/// One version of one plugin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PluginStatus {
    /// Its directory's name.
    pub name: String,
    /// What became of it.
    pub state: PluginState,
    /// Component and `plugin.yaml` together, 64 hexadecimal digits; `None` when one of them could not be read.
    pub version: Option<String>,
    /// The SHA-256 of the component, 64 hexadecimal digits; `None` as above.
    pub digest: Option<String>,
    /// When it was loaded, rejected or quarantined, in seconds since the Unix epoch.
    pub since_unix_s: u64,
    /// Why it was rejected or quarantined; nothing in every other state.
    pub reasons: Vec<String>,
    /// What it did since it was loaded; `None` when it was rejected or quarantined.
    pub service: Option<PluginService>,
}

/// What became of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PluginState {
    /// New calls go to it.
    Active,
    /// Replaced not long ago, and kept whole in case the active one fails.
    Standby,
    /// Calls that began before it was replaced still run.
    Draining,
    /// The last reload wanted it and could not have it.
    Rejected,
    /// It failed after a swap and was taken back; it is not let in again until somebody clears it.
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

/// What a version that was loaded did since.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PluginService {
    /// What it can be, in the contract's words.
    pub kinds: Vec<&'static str>,
    /// Whether its native code came from the cache.
    pub cached: bool,
    /// Golden vectors it answered before it served.
    pub vectors: usize,
    /// Instances alive, at work or at rest.
    pub instances: u32,
    /// Whose calls are kept from it after too many faults: `authorizer`, `worker` (every other kind).
    pub paused: Vec<&'static str>,
    /// Calls that ended, well or not.
    pub calls: u64,
    /// Calls that ended in a fault.
    pub faults: u64,
    /// The last fault.
    pub last_fault: Option<LastFault>,
}

/// A fault that is remembered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LastFault {
    /// `trap`, `timeout`, …
    pub kind: &'static str,
    /// For the operator; bounded.
    pub detail: String,
    /// When, in seconds since the Unix epoch.
    pub at_unix_s: u64,
}
