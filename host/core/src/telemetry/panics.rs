//! Reports panics in the log. The standard hook writes to standard error by itself, and waits for a reader there.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::PanicHookInfo;

use super::events;

/// From now on every panic, caught or not, is a log event.
pub(super) fn tell_in_log() {
    std::panic::set_hook(Box::new(tell));
}

fn tell(panic: &PanicHookInfo<'_>) {
    let place = panic.location().map_or_else(|| "-".to_owned(), ToString::to_string);
    // Only if RUST_BACKTRACE asks for it.
    let backtrace = Backtrace::capture();
    let backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
    let detail = panic.payload_as_str().unwrap_or("-");
    events::panic_seen(&place, std::thread::current().name(), detail, backtrace.as_deref());
}
