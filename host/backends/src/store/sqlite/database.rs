//! One SQLite file over its whole life: opened when it is first needed, watched from then on, away while it is away,
//! and opened again when it is back.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use sqlx::sqlite::SqlitePool;
use sqlx::{Sqlite, Transaction};
use tokio::sync::Mutex;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::super::availability::{Availability, Watching};
use super::kv::{NEXT_REVISION, sweep};
use super::pools::{Missing, Pools, cause, is_passing};
use tidegate_core::flow::ports::Clock;
use tidegate_core::telemetry;

/// How often the file is checked: the longest time until the server notices that it is away, or back.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);
/// How long one check may take; a file on a hanging disk is away.
const LOOK_TIMEOUT: Duration = Duration::from_secs(5);
/// A write begins by taking its turn: two writes that read first would each wait for the other.
const BEGIN: &str = "BEGIN IMMEDIATE";

/// How many expired keys one sweep removes; few, so that no write waits long for it.
const SWEEP_KEYS_MAX: u64 = 500;
/// Sweeps of one check: together they remove as many keys as ten plugins can create with the default `limits.kv`.
const SWEEPS_MAX: u32 = 20;

/// A file, and the connections to it once it was opened.
pub(super) struct Database {
    file: PathBuf,
    clock: Arc<dyn Clock>,
    /// `None` before it was opened, and while the file is missing or broken.
    pools: ArcSwapOption<Pools>,
    /// Whether it was ever open.
    was_open: AtomicBool,
    availability: Availability,
    /// Held while connections are made or closed.
    opening: Mutex<Option<Watching>>,
}

impl Database {
    pub(super) fn new(file: PathBuf, clock: Arc<dyn Clock>) -> Self {
        let availability = Availability::of(file.display().to_string());
        let (pools, was_open) = (ArcSwapOption::empty(), AtomicBool::new(false));
        Self { file, clock, pools, was_open, availability, opening: Mutex::new(None) }
    }

    /// Opens the file, and creates it if it does not exist; does nothing if it is open.
    ///
    /// # Errors
    /// Why it does not open, or that it is away, with its name.
    pub(super) async fn open(self: &Arc<Self>) -> Result<(), String> {
        let told = |why: &str| self.availability.told(why);
        let mut watching = self.opening.lock().await;
        if watching.is_none() {
            match Pools::open(&self.file, Missing::Make).await {
                Ok(pools) => {
                    self.pools.store(Some(Arc::new(pools)));
                    self.was_open.store(true, Ordering::Relaxed);
                    telemetry::store_up(true);
                }
                Err(why) => self.availability.set(Some(&why)),
            }
            *watching = Some(Watching::over(watch_over(Arc::downgrade(self))));
        }
        self.away().map_or(Ok(()), |why| Err(told(&why)))
    }

    /// Whether there can be any data: there is a file, or one that was opened and is away.
    pub(super) fn is_there(&self) -> bool {
        self.pools.load().is_some() || self.away().is_some() || self.file.exists()
    }

    pub(super) async fn close(&self) {
        let mut watching = self.opening.lock().await;
        *watching = None;
        if let Some(pools) = self.pools.swap(None) {
            pools.close().await;
        }
    }

    /// Why the store is away; `None` if it is not.
    pub(super) fn away(&self) -> Option<Arc<str>> {
        self.availability.away()
    }

    pub(super) async fn until_away(&self, away: bool) {
        self.availability.until_away(away).await;
    }

    /// The time, in milliseconds since the Unix epoch.
    pub(super) fn now_ms(&self) -> i64 {
        i64::try_from(self.clock.now_unix_ms()).unwrap_or(i64::MAX)
    }

    /// The connections for reading. They continue while another process delays writers.
    ///
    /// # Errors
    /// Why there are none.
    pub(super) fn reader(&self) -> Result<SqlitePool, String> {
        Ok(self.pools()?.reader.clone())
    }

    /// The connections for named queries.
    ///
    /// # Errors
    /// Why there are none.
    pub(super) fn asker(&self) -> Result<SqlitePool, String> {
        Ok(self.pools()?.asker.clone())
    }

    /// Begins a write, which has the database to itself. If it is dropped before it is committed, it did not happen.
    ///
    /// # Errors
    /// Why it cannot.
    pub(super) async fn write(&self) -> Result<Transaction<'static, Sqlite>, String> {
        if let Some(why) = self.away() {
            return Err(why.to_string());
        }
        let begun = self.pools()?.writer.begin_with(BEGIN).await;
        begun.map_err(|error| self.failed(&error))
    }

    /// Explains why a call failed. If the file may be the cause, the store is away from now on, until the watch opens
    /// it again.
    pub(super) fn failed(&self, error: &sqlx::Error) -> String {
        let why = cause(error);
        if !is_passing(error) && self.give_up() {
            self.availability.set(Some(&why));
        }
        why
    }

    fn pools(&self) -> Result<Arc<Pools>, String> {
        self.pools.load_full().ok_or_else(|| match self.away() {
            Some(why) => why.to_string(),
            None => "it is not open".to_owned(),
        })
    }

    /// Closes the file. Returns whether it was open.
    fn give_up(&self) -> bool {
        let given_up = self.pools.swap(None);
        let was_open = given_up.is_some();
        if let Some(pools) = given_up {
            tokio::spawn(async move { pools.close().await });
        }
        was_open
    }

    /// Finds out whether the store works. Opens it again if it was closed, or if another file is in its place now.
    async fn look(&self) {
        let looked = timeout(LOOK_TIMEOUT, self.try_out()).await;
        let looked = looked.unwrap_or_else(|_| Err(format!("it did not answer within {} s", LOOK_TIMEOUT.as_secs())));
        self.availability.set(looked.err().as_deref());
    }

    async fn try_out(&self) -> Result<(), String> {
        let open = self.pools.load_full().filter(|pools| pools.are_of(&self.file));
        let is_anew = open.is_none();
        let pools = match open {
            Some(pools) => pools,
            None => self.open_anew().await?,
        };
        let mut write = pools.writer.begin_with(BEGIN).await.map_err(|error| cause(&error))?;
        if !is_anew {
            return write.rollback().await.map_err(|error| cause(&error));
        }
        // Only a write shows whether a disk accepts writes.
        let written = sqlx::query(NEXT_REVISION).execute(&mut *write).await;
        written.map_err(|error| self.failed(&error))?;
        write.commit().await.map_err(|error| self.failed(&error))
    }

    /// Opens the file, even if it was open before. A missing file is not created again: whoever took it away will
    /// probably bring it back.
    async fn open_anew(&self) -> Result<Arc<Pools>, String> {
        let _alone = self.opening.lock().await;
        self.give_up();
        let missing = if self.was_open.load(Ordering::Relaxed) { Missing::Refuse } else { Missing::Make };
        let anew = Arc::new(Pools::open(&self.file, missing).await?);
        self.pools.store(Some(anew.clone()));
        self.was_open.store(true, Ordering::Relaxed);
        Ok(anew)
    }

    /// Removes expired keys.
    async fn sweep(&self) -> Result<(), String> {
        for _ in 0..SWEEPS_MAX {
            let mut write = self.write().await?;
            let swept = sweep(&mut write, self.now_ms(), SWEEP_KEYS_MAX).await.map_err(|error| self.failed(&error))?;
            write.commit().await.map_err(|error| self.failed(&error))?;
            telemetry::store_swept(swept);
            if swept < SWEEP_KEYS_MAX {
                break;
            }
        }
        Ok(())
    }
}

/// Checks the database as long as it is in use.
async fn watch_over(database: Weak<Database>) {
    let mut ticks = interval(WATCH_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(database) = database.upgrade() else { return };
        database.look().await;
        // If it cannot sweep, the store is away, which was logged.
        let _ = database.sweep().await;
    }
}
