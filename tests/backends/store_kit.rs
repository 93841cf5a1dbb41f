//! Nodes at a PostgreSQL store.

use std::sync::Arc;
use std::time::Duration;

use tidegate_backends::store::{PostgresSettings, PostgresStore};
use tidegate_core::flow::ports::{Clock, SystemClock};

/// What a node may use, with the time that a busy machine may take.
pub(crate) const SETTINGS: PostgresSettings =
    PostgresSettings { connections_max: 4, query_connections_max: 2, timeout: Duration::from_secs(10) };

pub(crate) fn node(url: &str) -> PostgresStore {
    node_at(url, Arc::new(SystemClock))
}

pub(crate) fn node_at(url: &str, clock: Arc<dyn Clock>) -> PostgresStore {
    PostgresStore::new(url.parse().unwrap(), SETTINGS, clock)
}
