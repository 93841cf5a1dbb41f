//! `tidegate:host/clock`: the time.

use std::sync::LazyLock;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;
use tokio::time::Instant;

use crate::contract::host;
use crate::run::Guest;
use crate::tape::{answered, record};

/// Where the monotonic clock of every plugin begins.
static BEGINNING: LazyLock<Instant> = LazyLock::new(Instant::now);

impl host::clock::Host for Guest {
    fn now_ms(&mut self) -> u64 {
        record::host_call("clock");
        answered(
            "clock.now_ms",
            || Value::Null,
            || {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
            },
        )
    }

    fn monotonic_us(&mut self) -> u64 {
        record::host_call("clock");
        answered("clock.monotonic_us", || Value::Null, || record::micros(BEGINNING.elapsed()))
    }
}
