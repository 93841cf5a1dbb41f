//! Nodes at a PostgreSQL store, and a clock that stands still.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tidegate_backends::store::{PostgresSettings, PostgresStore};
use tidegate_core::flow::ports::{Clock, SystemClock};

/// A clock that stands still until it is moved.
pub(crate) struct StandingClock(AtomicU64);

impl StandingClock {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(AtomicU64::new(1_000_000)))
    }

    pub(crate) fn advance(&self, ms: u64) {
        self.0.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Clock for StandingClock {
    fn now_unix_s(&self) -> u64 {
        self.now_unix_ms() / 1000
    }

    fn now_unix_ms(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// What a node may use, with the time that a busy machine may take.
pub(crate) const SETTINGS: PostgresSettings =
    PostgresSettings { connections_max: 4, query_connections_max: 2, timeout: Duration::from_secs(10) };

pub(crate) fn node(url: &str) -> PostgresStore {
    node_at(url, Arc::new(SystemClock))
}

pub(crate) fn node_at(url: &str, clock: Arc<dyn Clock>) -> PostgresStore {
    PostgresStore::new(url.parse().unwrap(), SETTINGS, clock)
}
