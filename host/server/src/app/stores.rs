//! The store, as the ports see it: the only place that chooses between its back ends.

use std::path::PathBuf;
use std::sync::Arc;

use super::AppError;
use crate::auth::NoSessions;
use tidegate_backends::bus::MemoryDeadLetters;
use tidegate_backends::store::{
    PostgresLook, PostgresSettings, PostgresStore, SqliteLook, SqliteStore, sqlite_could_open,
};
use tidegate_core::config::{Config, StorePlace};
use tidegate_core::flow::MemoryKv;
use tidegate_core::flow::kv::KeyValue;
use tidegate_core::flow::ports::{DeadLetters, StoreHealth, SystemClock};
use tidegate_core::flow::queries::Queries;
use tidegate_core::flow::revoke::{NothingKept, RevocationStore};
use tidegate_core::flow::sessions::Sessions;
use tidegate_wasm::{NoDatabase, Plugin};

/// The answer to queries if keys are in memory.
const NO_TABLES: NoDatabase = NoDatabase::Refused("`store: sqlite::memory:` has no tables for queries");

/// The store of a server.
#[derive(Clone)]
pub(super) struct Stores {
    pub(super) kv: Arc<dyn KeyValue>,
    pub(super) queries: Arc<dyn Queries>,
    pub(super) health: Arc<dyn StoreHealth>,
    pub(super) dead_letters: Arc<dyn DeadLetters>,
    pub(super) revocations: Arc<dyn RevocationStore>,
    pub(super) sessions: Arc<dyn Sessions>,
    database: Database,
}

#[derive(Clone)]
enum Database {
    Sqlite(Arc<SqliteStore>),
    Postgres(Arc<PostgresStore>),
    Memory,
}

impl Stores {
    /// Opens only what exists already.
    pub(super) fn at(config: &Config) -> Self {
        let clock = Arc::new(SystemClock);
        let letters_max = config.limits.dead_letters_max;
        match &config.store {
            StorePlace::Sqlite(file) => {
                let store = Arc::new(SqliteStore::new(file.clone(), clock));
                let (kv, queries, health) = (store.clone(), store.clone(), store.clone());
                let dead_letters = Arc::new(store.dead_letters(letters_max));
                let (revocations, sessions) = (store.clone(), store.clone());
                Self { kv, queries, health, dead_letters, revocations, sessions, database: Database::Sqlite(store) }
            }
            StorePlace::Postgres(url) => {
                let store = Arc::new(PostgresStore::new(url.clone(), PostgresSettings::from(&config.limits), clock));
                let (kv, queries, health) = (store.clone(), store.clone(), store.clone());
                let dead_letters = Arc::new(store.dead_letters(letters_max));
                let (revocations, sessions) = (store.clone(), store.clone());
                Self { kv, queries, health, dead_letters, revocations, sessions, database: Database::Postgres(store) }
            }
            StorePlace::Memory => {
                let kv = Arc::new(MemoryKv::new(clock));
                let queries = Arc::new(NO_TABLES);
                let dead_letters = Arc::new(MemoryDeadLetters::new(letters_max));
                let (health, revocations, sessions) = (kv.clone(), Arc::new(NothingKept), Arc::new(NoSessions));
                Self { kv, queries, health, dead_letters, revocations, sessions, database: Database::Memory }
            }
        }
    }

    /// Connects if a server is configured: whoever configures one means to use it. A file is opened when it is first
    /// needed.
    ///
    /// # Errors
    /// [`AppError::Store`].
    pub(super) async fn open(&self) -> Result<(), AppError> {
        match &self.database {
            Database::Postgres(store) => store.open().await.map_err(AppError::Store),
            Database::Sqlite(_) | Database::Memory => Ok(()),
        }
    }

    /// Writes what waits to be written, and closes the connections.
    pub(super) async fn close(&self) {
        self.dead_letters.flush().await;
        match &self.database {
            Database::Sqlite(store) => store.close().await,
            Database::Postgres(store) => store.close().await,
            Database::Memory => {}
        }
    }
}

/// The store of a server that need not run, for a look from outside.
pub(super) enum StoresLook {
    Sqlite(PathBuf, Arc<SqliteLook>),
    Postgres(Arc<PostgresLook>),
    Memory,
}

impl StoresLook {
    /// Opens nothing yet.
    pub(super) fn at(config: &Config) -> Self {
        match &config.store {
            StorePlace::Sqlite(file) => Self::Sqlite(file.clone(), Arc::new(SqliteLook::at(file.clone()))),
            StorePlace::Postgres(url) => {
                Self::Postgres(Arc::new(PostgresLook::at(url.clone(), PostgresSettings::from(&config.limits))))
            }
            StorePlace::Memory => Self::Memory,
        }
    }

    /// Answers queries, or refuses them.
    pub(super) fn queries(&self) -> Arc<dyn Queries> {
        match self {
            Self::Sqlite(_, look) => look.clone(),
            Self::Postgres(look) => look.clone(),
            Self::Memory => Arc::new(NO_TABLES),
        }
    }

    /// Whether a start could open what it needs at once.
    ///
    /// # Errors
    /// [`AppError::Store`].
    pub(super) async fn could_open(&self) -> Result<(), AppError> {
        match self {
            Self::Postgres(look) => look.could_serve().await.map_err(AppError::Store),
            Self::Sqlite(..) | Self::Memory => Ok(()),
        }
    }

    /// Whether a start could open what these plugins need.
    ///
    /// # Errors
    /// [`AppError::Diagnostics`], one for each plugin that would lack the store.
    pub(super) fn has_room_for(&self, plugins: &[Arc<Plugin>]) -> Result<(), AppError> {
        let Self::Sqlite(file, _) = self else { return Ok(()) };
        let Err(why) = sqlite_could_open(file) else { return Ok(()) };
        let mistakes: Vec<_> = plugins.iter().filter_map(|plugin| plugin.without_store(&why)).collect();
        if mistakes.is_empty() { Ok(()) } else { Err(AppError::Diagnostics(mistakes)) }
    }

    /// The file, if queries were not checked because it does not exist.
    pub(super) fn missing(self) -> Option<PathBuf> {
        match self {
            Self::Sqlite(file, look) => look.has_skipped().then_some(file),
            Self::Postgres(_) | Self::Memory => None,
        }
    }
}
