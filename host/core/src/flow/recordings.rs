//! Recordings of the calls of plugins: what an operator asks for, and what there is.

use std::time::Duration;

use serde::Serialize;

use crate::protocol::Payload;

/// What an operator wants recorded, within the server's limits.
#[derive(Debug, Clone)]
pub struct RecordingWish<'a> {
    /// The plugin's name.
    pub plugin: &'a str,
    /// The operator's name, for the log and the file.
    pub by: &'a str,
    /// So many calls.
    pub calls_max: usize,
    /// Most bytes of all calls together.
    pub bytes_max: usize,
    /// The longest time.
    pub time_max: Duration,
    /// Most recordings at once, this one included.
    pub recordings_max: usize,
    /// JSON Pointers to what no call shows.
    pub pointers: Vec<String>,
}

/// Why nothing is recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoRecording {
    /// No plugin of this name serves.
    NoPlugin,
    /// This operator records the same plugin.
    Running {
        /// The operator's name.
        by: String,
    },
    /// As many recordings run as may be.
    Full,
    /// What is to be redacted is not named by JSON Pointers.
    Pointers(String),
}

/// Some calls of a recording.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordingPage {
    /// The calls, a JSON object each.
    pub calls: Vec<Payload>,
    /// Where the next page begins.
    pub next: usize,
    /// How it ended; `None` while it goes on, or while there are more pages.
    pub ended: Option<RecordingEnd>,
}

/// A recording, for the list of plugins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RecordingState {
    /// Who asked for it.
    pub by: String,
    /// The calls so far.
    pub calls: usize,
    /// Why it ended; `None` while it goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<&'static str>,
}

/// How a recording ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RecordingEnd {
    /// `calls`, `bytes`, `time`, `replaced` (another version serves) or `stopped`.
    pub reason: &'static str,
    /// Its calls.
    pub calls: usize,
    /// Calls that are not in it: they were too large, or could not be searched for what is redacted.
    pub skipped: usize,
    /// The bytes of its calls.
    pub bytes: usize,
}
