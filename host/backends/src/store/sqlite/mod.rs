//! The store in one SQLite file.
//!
//! `database.rs` opens and watches the file, `kv.rs` stores the keys of plugins, `queries.rs` runs their queries,
//! `revocations.rs` stores revocations. The names of the server's tables begin with `tidegate_`.

mod database;
mod dry;
mod kv;
mod letters;
mod pools;
mod queries;
mod revocations;
mod sessions;

use std::path::PathBuf;
use std::sync::Arc;

use super::KeptDeadLetters;
use database::Database;
pub use dry::sqlite_could_open;
use letters::SqliteLetters;
pub use queries::SqliteLook;
use tidegate_core::flow::ports::{Clock, StoreHealth};

/// A store in one SQLite file. The first plugin or revocation that needs the file opens it, and creates it if it does
/// not exist.
pub struct SqliteStore {
    database: Arc<Database>,
}

impl SqliteStore {
    /// A store in this file; nothing is opened yet.
    #[must_use]
    pub fn new(file: PathBuf, clock: Arc<dyn Clock>) -> Self {
        Self { database: Arc::new(Database::new(file, clock)) }
    }

    /// The dead letters in this file, at most `max` of them (`limits.dead_letters`). Needs a runtime.
    #[must_use]
    pub fn dead_letters(&self, max: usize) -> KeptDeadLetters {
        KeptDeadLetters::new(Arc::new(SqliteLetters(self.database.clone())), max)
    }

    /// Closes the connections after their running work. Committed data is in the file.
    pub async fn close(&self) {
        self.database.close().await;
    }

    /// Returns when the store is away, or when it is not, depending on `away`.
    pub async fn until_away(&self, away: bool) {
        self.database.until_away(away).await;
    }
}

impl StoreHealth for SqliteStore {
    fn is_away(&self) -> bool {
        self.database.away().is_some()
    }
}
