//! Whether the system reports changed files.

use std::time::Duration;

use super::names;
use super::registry::gauge;

/// Records that the system watches the files.
pub fn files_watched() {
    gauge(names::FILES_WATCHED, &[]).set(1.0);
}

/// `reload.unwatched`: the system does not watch the files, because `limit` (if known) is reached; the server checks
/// them instead.
pub fn files_unwatched(limit: Option<&'static str>, why: &str, look_every: Duration) {
    gauge(names::FILES_WATCHED, &[]).set(0.0);
    let (event, limit, look_every_s) = (names::RELOAD_UNWATCHED, limit.unwrap_or("-"), look_every.as_secs());
    let hint = "raise the limit (sysctl); SIGHUP reloads at once";
    tracing::warn!(
        event,
        limit,
        why,
        look_every_s,
        hint,
        "the system does not report changed files, checking them every few seconds"
    );
}

/// `reload.watched`: the system watches them again.
pub fn files_watched_again() {
    files_watched();
    tracing::info!(event = names::RELOAD_WATCHED, "the system reports changed files again");
}
