//! The store in a PostgreSQL database, which several nodes may share.
//!
//! `database.rs` connects and watches the database, `migrate.rs` creates the tables, `kv.rs` stores the keys of
//! plugins, `queries.rs` runs their queries. The server's tables are in the schema `tidegate`, and always named with
//! it.

mod connect;
mod database;
mod kv;
mod letters;
mod migrate;
mod queries;
mod question;
mod revocations;
mod sessions;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::KeptDeadLetters;
use connect::Connector;
use database::Database;
use letters::PostgresLetters;
pub use queries::PostgresLook;
use revocations::Ear;
use tidegate_core::config::{Limits, PostgresUrl};
use tidegate_core::flow::ports::{Clock, StoreHealth};

/// The limits of one node's use of the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PostgresSettings {
    /// Connections, without those for named queries (`limits.store_connections`), at least 1.
    pub connections_max: u32,
    /// Connections for named queries (`limits.store_query_connections`), at least 1.
    pub query_connections_max: u32,
    /// How long a call may take, including the wait for a connection (`limits.store_timeout`).
    pub timeout: Duration,
}

impl From<&Limits> for PostgresSettings {
    fn from(limits: &Limits) -> Self {
        Self {
            connections_max: limits.store_connections_max,
            query_connections_max: limits.store_query_connections_max,
            timeout: limits.store_timeout,
        }
    }
}

/// A store in a PostgreSQL database.
pub struct PostgresStore {
    database: Arc<Database>,
    /// Receives the revocations of other nodes, once somebody asks for news.
    ear: OnceLock<Ear>,
}

impl PostgresStore {
    /// A store at this address; nothing is connected yet.
    #[must_use]
    pub fn new(url: PostgresUrl, settings: PostgresSettings, clock: Arc<dyn Clock>) -> Self {
        Self { database: Arc::new(Database::new(Connector::new(url, settings), clock)), ear: OnceLock::new() }
    }

    /// Connects, and creates missing tables; does nothing if that was done.
    ///
    /// # Errors
    /// Why it cannot, with the address but without the password.
    pub async fn open(&self) -> Result<(), String> {
        self.database.open().await
    }

    /// The dead letters in this database, at most `max` of them (`limits.dead_letters`). Needs a runtime.
    #[must_use]
    pub fn dead_letters(&self, max: usize) -> KeptDeadLetters {
        KeptDeadLetters::new(Arc::new(PostgresLetters(self.database.clone())), max)
    }

    /// Closes the connections after their running work.
    pub async fn close(&self) {
        self.database.close().await;
    }

    /// Returns when the store is away, or when it is not, depending on `away`.
    pub async fn until_away(&self, away: bool) {
        self.database.until_away(away).await;
    }
}

impl StoreHealth for PostgresStore {
    fn is_away(&self) -> bool {
        self.database.away().is_some()
    }
}
