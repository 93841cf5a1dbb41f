//! Connections to a SQLite file: one that writes, a few that read; and the server's tables.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use tokio::time::timeout;

/// Concurrent connections that read.
const READERS_MAX: u32 = 4;
/// Concurrent connections for named queries. They are separate from the readers, so that a slow query does not delay
/// calls for keys.
const ASKERS_MAX: u32 = 4;
/// How many rows SQLite may be ahead of their reader.
const ROWS_AHEAD_MAX: usize = 16;
/// How long a call waits for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the connections may take to close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a write waits for another process that has the database locked.
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);
/// SQLite's codes for a write while another process writes: `SQLITE_BUSY` and `SQLITE_LOCKED`.
/// <https://www.sqlite.org/rescode.html>
const BUSY: [i32; 2] = [5, 6];

/// The steps that create the tables, in order. Steps are only added, never changed.
const STEPS: [(&str, &str); 4] = [
    ("kv", include_str!("migrations/0001_kv.sql")),
    ("revocations", include_str!("migrations/0002_revocations.sql")),
    ("dead_letters", include_str!("migrations/0003_dead_letters.sql")),
    ("sessions", include_str!("migrations/0004_sessions.sql")),
];

/// Whether a missing file is created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    Make,
    Refuse,
}

/// The connections to one file.
pub(super) struct Pools {
    pub(super) writer: SqlitePool,
    pub(super) reader: SqlitePool,
    /// For named queries: they cannot write, and their work can be ended.
    pub(super) asker: SqlitePool,
    file: FileId,
}

impl Pools {
    /// Opens the file and creates missing tables.
    ///
    /// # Errors
    /// Why it does not open, in words for an operator.
    pub(super) async fn open(path: &Path, missing: Missing) -> Result<Self, String> {
        let written = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(missing == Missing::Make)
            .busy_timeout(BUSY_TIMEOUT)
            // With the write-ahead log, NORMAL loses the last writes if the machine loses power, and nothing if the
            // server is killed.
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal);
        let writer = pool(1).connect_with(written).await.map_err(|error| cause(&error))?;
        if let Err(error) = migrations().run(&writer).await {
            writer.close().await;
            return Err(cause_of_migration(&error));
        }
        let file = FileId::of(path).map_err(|error| error.to_string())?;
        let reader = pool(READERS_MAX).connect_lazy_with(reading(path));
        Ok(Self { writer, reader, asker: askers(path), file })
    }

    /// Whether the path leads to the open file.
    pub(super) fn are_of(&self, path: &Path) -> bool {
        FileId::of(path).is_ok_and(|file| file == self.file)
    }

    /// Closes every connection after its running work, within [`CLOSE_TIMEOUT`]: committed data is in the file.
    pub(super) async fn close(&self) {
        let closed = async { tokio::join!(self.writer.close(), self.reader.close(), self.asker.close()) };
        if timeout(CLOSE_TIMEOUT, closed).await.is_err() {
            tracing::warn!("a query is still running, its connection is abandoned");
        }
    }
}

/// Distinguishes a file from another one with the same name.
#[derive(Debug, PartialEq, Eq)]
struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    fn of(path: &Path) -> io::Result<Self> {
        let metadata = fs::metadata(path)?;
        Ok(Self { device: metadata.dev(), inode: metadata.ino() })
    }
}

/// Connections for named queries on an existing file.
pub(super) fn askers(path: &Path) -> SqlitePool {
    let options = reading(path).pragma("query_only", "on").row_buffer_size(ROWS_AHEAD_MAX);
    // What ended the query before would also end the next one, because it stays with the connection.
    let asking = pool(ASKERS_MAX).before_acquire(|asker, _| {
        Box::pin(async move {
            asker.lock_handle().await?.remove_progress_handler();
            Ok(true)
        })
    });
    asking.connect_lazy_with(options)
}

fn reading(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new().filename(path).busy_timeout(BUSY_TIMEOUT).read_only(true)
}

fn pool(connections_max: u32) -> SqlitePoolOptions {
    // A connection costs a thread and some memory; an idle one keeps its prepared statements.
    SqlitePoolOptions::new()
        .max_connections(connections_max)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
}

fn migrations() -> Migrator {
    let migrations = STEPS.iter().zip(1..).map(|((name, sql), step)| {
        Migration::new(step, (*name).into(), MigrationType::Simple, sqlx::SqlStr::from_static(sql), false)
    });
    let mut migrator = Migrator::with_migrations(migrations.collect());
    migrator.dangerous_set_table_name("tidegate_migrations");
    migrator
}

/// Why the database did not answer, without the layers around the error. Names no file, because plugins may read it.
pub(super) fn cause(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(error) => error.message().to_owned(),
        sqlx::Error::PoolTimedOut => "all connections are busy".to_owned(),
        other => other.to_string(),
    }
}

fn cause_of_migration(error: &MigrateError) -> String {
    match error {
        MigrateError::VersionMissing(_) | MigrateError::VersionTooNew(..) => {
            format!("a newer version of Tidegate created its tables ({error})")
        }
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => cause(error),
        other => other.to_string(),
    }
}

/// Whether the error does not mean that the file is away: others were first, or the connections were being replaced.
pub(super) fn is_passing(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed => true,
        sqlx::Error::Database(error) => {
            let code: i32 = error.code().and_then(|code| code.parse().ok()).unwrap_or_default();
            // The low byte is the primary code.
            BUSY.contains(&(code & 0xff))
        }
        _ => false,
    }
}
