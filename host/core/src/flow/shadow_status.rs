//! How the shadow of a plugin does, for operators.

use std::collections::BTreeMap;

use serde::Serialize;

/// The candidate that is asked what the version that serves is asked, and what came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ShadowStatus {
    /// The file name of the candidate.
    pub component: String,
    /// Its SHA-256, 64 hexadecimal digits; `None` if it could not be read.
    pub digest: Option<String>,
    /// The share of the calls that it is asked: `5%`.
    pub share: String,
    /// Since when, in seconds since the Unix epoch.
    pub since_unix_s: u64,
    /// Why it does not work; the version that serves is not touched by this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The calls that it answered.
    pub calls: u64,
    /// Those without any difference.
    pub same: u64,
    /// The calls that it was not asked, because too many waited.
    pub dropped: u64,
    /// The calls with a difference, by its kind.
    pub differences: BTreeMap<&'static str, u64>,
    /// The last differences, the newest first.
    pub last_differences: Vec<ShadowDifference>,
}

/// A difference between the answers of a candidate and of the version that serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ShadowDifference {
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// The kind of plugin that was asked.
    pub of: &'static str,
    /// The kind of difference.
    pub kind: &'static str,
    /// How they differ, for whoever may read payloads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shown: Option<Vec<String>>,
}
