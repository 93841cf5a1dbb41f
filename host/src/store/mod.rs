//! The store: what survives a restart, in SQLite. The only home of sqlx.
//!
//! The database is opened, and made when there is none, by the first that needs it. Writes go one after another over
//! one connection, reads beside them over a few; all waits are bounded.

mod kv;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use tokio::sync::OnceCell;

use crate::config::StorePlace;
use crate::flow::ports::Clock;

/// Connections that read at once.
const READERS_MAX: u32 = 4;
/// How long a call waits for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a write waits for another process that has the database locked.
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);

/// A store, opened when it is first needed.
pub struct Store {
    place: StorePlace,
    clock: Arc<dyn Clock>,
    pools: OnceCell<Pools>,
}

/// The connections.
struct Pools {
    writer: SqlitePool,
    reader: SqlitePool,
}

impl Store {
    /// A store at this place; nothing is opened yet.
    #[must_use]
    pub fn new(place: StorePlace, clock: Arc<dyn Clock>) -> Self {
        Self { place, clock, pools: OnceCell::new() }
    }

    /// Gives the connections back, after what is under way. What was committed is in the file.
    pub async fn close(&self) {
        if let Some(pools) = self.pools.get() {
            pools.reader.close().await;
            pools.writer.close().await;
        }
    }

    async fn pools(&self) -> Result<&Pools, sqlx::Error> {
        self.pools.get_or_try_init(|| Pools::open(&self.place)).await
    }
}

impl Pools {
    async fn open(place: &StorePlace) -> Result<Self, sqlx::Error> {
        let pools = match place {
            StorePlace::Sqlite(path) => {
                let writer = pool(1).connect_with(of_file(path)).await?;
                Self { writer, reader: pool(READERS_MAX).connect_lazy_with(of_file(path)) }
            }
            StorePlace::SqliteMemory => {
                // Another connection would have a database of its own.
                let only = pool(1).connect_with(SqliteConnectOptions::new().in_memory(true)).await?;
                Self { writer: only.clone(), reader: only }
            }
        };
        migrations().run(&pools.writer).await?;
        Ok(pools)
    }
}

fn pool(connections_max: u32) -> SqlitePoolOptions {
    // A connection costs a thread and some memory; one that is idle keeps its prepared statements.
    SqlitePoolOptions::new()
        .max_connections(connections_max)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .idle_timeout(None)
        .max_lifetime(None)
}

fn of_file(path: &Path) -> SqliteConnectOptions {
    // With the write-ahead log, NORMAL loses the last writes when the machine loses power, and nothing when the server
    // is killed.
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal)
        .busy_timeout(BUSY_TIMEOUT)
}

fn migrations() -> Migrator {
    let kv = sqlx::SqlStr::from_static(include_str!("migrations/0001_kv.sql"));
    Migrator::with_migrations(vec![Migration::new(1, "kv".into(), MigrationType::Simple, kv, false)])
}
