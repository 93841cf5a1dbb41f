//! Every metric and event name in one place.

use std::time::Duration;

/// The label of a metric about a topic that no channel declares.
pub const NO_CHANNEL: &str = "-";

/// The four gates, as metric labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// Gate 1.
    Connect,
    /// Gate 2.
    Subscribe,
    /// Gate 3.
    Inbound,
    /// Gate 4.
    Broadcast,
}

/// SKELETON: Counts one decision of a gate and the time it took.
pub fn gate(_gate: Gate, _channel: &str, _outcome: &'static str, _elapsed: Duration) {}

/// SKELETON: Logs and counts a plugin's fault.
pub fn plugin_fault(_plugin: &str, _kind: &'static str, _channel: &str, _detail: &str) {}

/// SKELETON: Counts what a bridge rule made of an event.
pub fn bridged(_on: &str, _to: &str, _outcome: &'static str) {}

/// SKELETON: Counts one call of a plugin and the time it took, waiting included. `kind` is `handler` or `authorizer`;
/// `outcome` is `ok` or the kind of fault.
pub fn plugin_call(_plugin: &str, _kind: &'static str, _outcome: &'static str, _elapsed: Duration) {}
