//! What survives a restart, in one SQLite file.
//!
//! `database.rs` opens the file and watches over it, `kv.rs` keeps the keys of plugins in it, `queries.rs` answers
//! their questions from it, `revocations.rs` keeps what was revoked. The tables of the server begin with `tidegate_`.

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

/// A store in one SQLite file. It is opened, and made when there is none, by the first plugin or revocation
/// that needs it.
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

    /// Gives the connections back, after what is under way. What was committed is in the file.
    pub async fn close(&self) {
        self.database.close().await;
    }

    /// Returns when the store is away, or when it is not: what is asked for.
    pub async fn until_away(&self, away: bool) {
        self.database.until_away(away).await;
    }
}

impl StoreHealth for SqliteStore {
    fn is_away(&self) -> bool {
        self.database.away().is_some()
    }
}
