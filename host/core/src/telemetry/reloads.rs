//! What the log and the metrics hear of reloads.

use std::time::Duration;

use super::{metrics, names};

/// `reload.applied`: a generation is in force; also at the start.
pub fn reload_applied(generation: u64, elapsed: Duration) {
    metrics::generation(generation);
    metrics::reloaded("applied");
    metrics::reload_took(elapsed);
    let elapsed_ms = elapsed.as_secs_f64() * 1000.0;
    tracing::info!(event = names::RELOAD_APPLIED, generation, elapsed_ms, "reload applied");
}

/// `reload.policy`: what an applied reload changes for people, and of which kind that is. `is_serious`: more may be seen
/// or done than before, or something may break.
pub fn reload_policy(kind: &str, change: &str, is_serious: bool) {
    let event = names::RELOAD_POLICY;
    if is_serious {
        tracing::warn!(event, kind, change, "a reload changes what people may see or do, or breaks something");
    } else {
        tracing::info!(event, kind, change, "a reload changes something");
    }
}

/// `reload.rejected`: the files have errors, and the old generation serves on. `first` is one of the errors, in one
/// line.
pub fn reload_rejected(mistakes: usize, first: &str) {
    metrics::reloaded("rejected");
    tracing::error!(event = names::RELOAD_REJECTED, mistakes, first, "reload rejected, the old generation serves on");
}

/// `reload.held_up`: a file holds up the reload; `first` is the first of its errors. `file` is empty for errors without
/// a place in a file.
pub fn reload_held_up(file: &str, mistakes: usize, first: &str) {
    tracing::error!(event = names::RELOAD_HELD_UP, file, mistakes, first, "a file holds up the reload");
}

/// `reload.reverted`: after a rejected reload the files match the served generation again.
pub fn reload_reverted(generation: u64) {
    tracing::info!(event = names::RELOAD_REVERTED, generation, "the files match the current generation again");
}
