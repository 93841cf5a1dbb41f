//! The time.

use std::time::Duration;

/// Milliseconds since the Unix epoch. Off wasm, in unit tests, the machine's.
#[must_use]
pub fn now_ms() -> u64 {
    #[cfg(target_arch = "wasm32")]
    return crate::bindings::handler_world::tidegate::host::clock::now_ms();
    #[cfg(not(target_arch = "wasm32"))]
    {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }
}

/// Time since some moment before this call; never goes back. In microseconds, for measuring.
#[must_use]
pub fn monotonic() -> Duration {
    #[cfg(target_arch = "wasm32")]
    return Duration::from_micros(crate::bindings::handler_world::tidegate::host::clock::monotonic_us());
    #[cfg(not(target_arch = "wasm32"))]
    {
        #[expect(clippy::disallowed_types, reason = "there is no tokio here")]
        static BEGINNING: std::sync::LazyLock<std::time::Instant> = std::sync::LazyLock::new(std::time::Instant::now);
        BEGINNING.elapsed()
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_time_does_not_go_back() {
        let before = super::monotonic();
        assert!(super::monotonic() >= before);
        assert!(super::now_ms() > 1_600_000_000_000);
    }
}
