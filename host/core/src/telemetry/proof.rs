//! Recordings of the calls of plugins.

use super::names;
use super::registry::counter;

/// `plugin.recording`: an operator records the calls of a plugin. `operator` is the name of the API key, or `link`.
pub fn plugin_recording_begun(plugin: &str, version: &str, operator: &str, calls_max: usize) {
    let event = names::PLUGIN_RECORDING;
    tracing::info!(event, plugin, version, operator, calls_max, "an operator records the calls of a plugin");
}

/// `plugin.recording`: a recording ended, and why: `calls`, `bytes`, `time`, `replaced` or `stopped`.
pub fn plugin_recording_ended(
    plugin: &str,
    version: &str,
    operator: &str,
    reason: &'static str,
    calls: usize,
    bytes: usize,
) {
    counter(names::PLUGIN_RECORDINGS, &[("plugin", plugin), ("reason", reason)]).increment(1);
    let event = names::PLUGIN_RECORDING;
    tracing::info!(event, plugin, version, operator, reason, calls, bytes, "the recording of a plugin ended");
}

/// Counts a call that is in a recording.
pub fn plugin_call_recorded(plugin: &str) {
    counter(names::PLUGIN_RECORDED_CALLS, &[("plugin", plugin)]).increment(1);
}
