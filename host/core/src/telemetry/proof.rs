//! Recordings of the calls of plugins, and shadows.

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

/// `plugin.shadow`: a candidate is asked beside the version that serves.
pub fn plugin_shadow_begun(plugin: &str, version: &str, component: &str, share: &str) {
    let event = names::PLUGIN_SHADOW;
    tracing::info!(event, plugin, version, component, share, "a candidate is asked beside the version that serves");
}

/// `plugin.shadow`: the candidate of a shadow does not load; the version that serves is not touched.
pub fn plugin_shadow_broken(plugin: &str, version: &str, file: &str, why: &str) {
    let event = names::PLUGIN_SHADOW;
    tracing::warn!(event, plugin, version, file, why, "the candidate of a shadow does not load, the plugin serves on");
}

/// Counts a call for the candidate of a shadow: `same`, `differs` or `dropped`.
pub fn plugin_shadow_call(plugin: &str, outcome: &'static str) {
    counter(names::PLUGIN_SHADOW_CALLS, &[("plugin", plugin), ("outcome", outcome)]).increment(1);
}

/// Counts a difference between the candidate of a shadow and the version that serves.
pub fn plugin_shadow_difference(plugin: &str, kind: &'static str) {
    counter(names::PLUGIN_SHADOW_DIFFERENCES, &[("plugin", plugin), ("kind", kind)]).increment(1);
}
