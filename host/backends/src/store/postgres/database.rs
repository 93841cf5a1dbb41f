//! One PostgreSQL database over its whole life: connected when it is first needed, watched from then on, away while it
//! is away, and connected again when it is back.

use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use sqlx::Connection as _;
use sqlx::postgres::PgPool;
use tokio::sync::{Mutex, Notify};
use tokio::time::timeout;

use super::super::availability::{Availability, Watching};
use super::connect::{Connector, Pools, cause, is_passing};
use super::kv::sweep;
use super::migrate::{may_use, migrate};
use tidegate_core::flow::ports::Clock;
use tidegate_core::telemetry;

/// How often the database is checked: the longest time until the server notices that it is away, or back.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);
/// How long one check may take; a frozen server is away.
const LOOK_TIMEOUT: Duration = Duration::from_secs(2);
/// How long creating the tables may take, including the turn of another node.
const MIGRATE_TIMEOUT: Duration = Duration::from_secs(60);
/// How many expired keys one sweep removes.
const SWEEP_KEYS_MAX: u64 = 500;
/// Sweeps of one check: together they remove as many keys as ten plugins can create with the default `limits.kv`.
const SWEEPS_MAX: u32 = 20;

/// A database, and the connections to it once it was opened.
pub(super) struct Database {
    connector: Connector,
    clock: Arc<dyn Clock>,
    /// `None` before it was opened, and while it is away.
    pools: ArcSwapOption<Pools>,
    availability: Availability,
    /// Makes the watch check now, because something failed.
    failed: Arc<Notify>,
    /// Held while connections are made or closed.
    opening: Mutex<Option<Watching>>,
}

impl Database {
    pub(super) fn new(connector: Connector, clock: Arc<dyn Clock>) -> Self {
        let availability = Availability::of(connector.url.to_string());
        let (pools, failed) = (ArcSwapOption::empty(), Arc::new(Notify::new()));
        Self { connector, clock, pools, availability, failed, opening: Mutex::new(None) }
    }

    /// Connects, and creates missing tables; does nothing if that was done.
    ///
    /// # Errors
    /// Why it cannot, or that it is away, with the address.
    pub(super) async fn open(self: &Arc<Self>) -> Result<(), String> {
        let told = |why: &str| self.availability.told(why);
        let mut watching = self.opening.lock().await;
        if watching.is_none() {
            let pools = self.connect().await.map_err(|why| told(&why))?;
            self.pools.store(Some(Arc::new(pools)));
            telemetry::store_up(true);
            *watching = Some(Watching::over(watch_over(Arc::downgrade(self), self.failed.clone())));
        }
        self.away().map_or(Ok(()), |why| Err(told(&why)))
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

    /// Runs a call on the database within `limits.store_timeout`.
    ///
    /// # Errors
    /// Why it failed.
    pub(super) async fn call<T, F>(&self, call: impl FnOnce(PgPool) -> F) -> Result<T, String>
    where
        F: Future<Output = Result<T, sqlx::Error>>,
    {
        let pool = self.pools()?.main.clone();
        let time_max = self.connector.settings.timeout;
        match timeout(time_max, call(pool)).await {
            Ok(answered) => answered.map_err(|error| self.failed(&error)),
            Err(_) => {
                self.failed.notify_one();
                Err(format!("it did not answer within {} ms", time_max.as_millis()))
            }
        }
    }

    /// The connections for named queries.
    ///
    /// # Errors
    /// Why there are none.
    pub(super) fn asker(&self) -> Result<PgPool, String> {
        Ok(self.pools()?.asker.clone())
    }

    /// The listening connection.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) fn ear(&self) -> Result<PgPool, String> {
        Ok(self.pools()?.ear.clone())
    }

    /// Explains why a call failed, and makes the watch check if the database may be the cause.
    pub(super) fn failed(&self, error: &sqlx::Error) -> String {
        if !is_passing(error) || matches!(error, sqlx::Error::PoolTimedOut) {
            self.failed.notify_one();
        }
        cause(error)
    }

    fn pools(&self) -> Result<Arc<Pools>, String> {
        if let Some(why) = self.away() {
            return Err(why.to_string());
        }
        self.pools.load_full().ok_or_else(|| "it is not open".to_owned())
    }

    /// Finds out whether the store works. Connects again if it did not.
    async fn look(&self) {
        let looked = match self.pools.load_full() {
            Some(pools) => within(LOOK_TIMEOUT, try_out(&pools)).await,
            None => self.connect_anew().await,
        };
        if looked.is_err()
            && let Some(given_up) = self.pools.swap(None)
        {
            tokio::spawn(async move { given_up.close().await });
        }
        self.availability.set(looked.err().as_deref());
    }

    async fn connect_anew(&self) -> Result<(), String> {
        let anew = Arc::new(self.connect().await?);
        // Unless it was closed meanwhile.
        if self.opening.lock().await.is_some() {
            self.pools.store(Some(anew));
        }
        Ok(())
    }

    /// Connects to a database whose tables exist.
    async fn connect(&self) -> Result<Pools, String> {
        let mut first = self.connector.connect().await?;
        within(MIGRATE_TIMEOUT, migrate(&mut first)).await?;
        // It exists only to be closed properly.
        let _ = timeout(LOOK_TIMEOUT, first.close()).await;
        self.connector.pools()
    }

    /// Removes expired keys.
    async fn sweep(&self) -> Result<(), String> {
        for _ in 0..SWEEPS_MAX {
            let now_ms = self.now_ms();
            let swept = self.call(|pool| async move { sweep(&pool, now_ms, SWEEP_KEYS_MAX).await }).await?;
            telemetry::store_swept(swept);
            if swept < SWEEP_KEYS_MAX {
                break;
            }
        }
        Ok(())
    }
}

async fn try_out(pools: &Pools) -> Result<(), String> {
    let mut connection = pools.watcher.acquire().await.map_err(|error| cause(&error))?;
    may_use(&mut connection).await
}

async fn within(time_max: Duration, work: impl Future<Output = Result<(), String>>) -> Result<(), String> {
    let worked = timeout(time_max, work).await;
    worked.unwrap_or_else(|_| Err(format!("it did not answer within {} s", time_max.as_secs())))
}

/// Checks the database for as long as it is in use: periodically, and when something failed.
async fn watch_over(database: Weak<Database>, failed: Arc<Notify>) {
    loop {
        let in_time = timeout(WATCH_INTERVAL, failed.notified()).await.is_err();
        let Some(database) = database.upgrade() else { return };
        database.look().await;
        if in_time {
            // If it cannot sweep, the store is away, which was logged.
            let _ = database.sweep().await;
        }
    }
}
