//! Has a panic told in the log. The standard hook writes to standard error by itself, where it waits for a reader.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::PanicHookInfo;

use super::events;

/// From now on a panic, caught or not, is an event of the log.
pub(super) fn tell_in_log() {
    std::panic::set_hook(Box::new(tell));
}

fn tell(panic: &PanicHookInfo<'_>) {
    let place = panic.location().map_or_else(|| "-".to_owned(), ToString::to_string);
    // Only where RUST_BACKTRACE asks for it.
    let backtrace = Backtrace::capture();
    let backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
    let detail = panic.payload_as_str().unwrap_or("-");
    events::panic_seen(&place, std::thread::current().name(), detail, backtrace.as_deref());
}
