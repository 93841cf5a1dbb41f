//! The keys that an issuer publishes, in a file or at a URL: kept in memory and read again in the background; the last
//! valid keys stay if there are no new ones.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwapOption;
use futures_util::FutureExt as _;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use super::health::Health;
use super::jwk;
use super::keys::Keys;
use tidegate_core::config::{JwtAlgorithm, WebUrl};
use tidegate_core::flow::Elapsed;
use tidegate_core::flow::http_client::{HttpClient, HttpRequest};
use tidegate_core::flow::ports::Clock;
use tidegate_core::telemetry;

/// Largest set, in bytes.
pub(super) const SET_BYTES_MAX: usize = 256 << 10;
/// How often tokens with an unknown key may trigger a new reading, from the beginning of one reading to the next.
const ASKED_INTERVAL: Duration = Duration::from_secs(10);
/// How often to check whether a file has changed.
const FILE_INTERVAL: Duration = Duration::from_secs(1);
/// The wait after the first failure of a URL; each further one is twice as long.
const RETRY_MIN: Duration = Duration::from_secs(1);
/// The longest of these waits.
const RETRY_MAX: Duration = Duration::from_secs(30);

/// The keys of one issuer. Only one task reads them, [`KeySet::run`]; tokens request a reading and wait.
pub(super) struct KeySet {
    place: SetPlace,
    algorithms: Vec<JwtAlgorithm>,
    /// `None` until they were read for the first time.
    keys: ArcSwapOption<Keys>,
    readings: watch::Sender<Readings>,
    /// Notified when a token with an unknown key came.
    asked: Notify,
    /// A permit for each token that may wait (`limits.auth_waiting`).
    waiting: Arc<Semaphore>,
    elapsed: Elapsed,
    health: Health,
}

/// Where a set is.
pub(super) enum SetPlace {
    /// In a file.
    File(PathBuf),
    /// At a URL.
    Url {
        /// The URL.
        url: WebUrl,
        /// The client for it.
        http: Arc<dyn HttpClient>,
        /// How long it may take to answer.
        timeout: Duration,
        /// How often it is fetched.
        refresh: Duration,
    },
}

/// The state of reading.
#[derive(Clone, Copy, Default)]
struct Readings {
    last: Option<Read>,
    /// When the next reading begins at the latest, now that tokens have requested one; `None` while one is running.
    next_at: Option<Instant>,
}

/// The result of the last reading.
#[derive(Clone, Copy)]
struct Read {
    /// Keys that were published later are not in it.
    began: Instant,
    /// Failures since the last success.
    failures: u32,
}

impl KeySet {
    /// A set that was not read yet.
    pub(super) fn new(
        place: SetPlace,
        algorithms: Vec<JwtAlgorithm>,
        waiting: Arc<Semaphore>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let source = match &place {
            SetPlace::File(file) => file.display().to_string(),
            SetPlace::Url { url, .. } => url.shown().to_owned(),
        };
        Self {
            place,
            algorithms,
            keys: ArcSwapOption::empty(),
            readings: watch::Sender::default(),
            asked: Notify::new(),
            waiting,
            elapsed: Elapsed::new(clock),
            health: Health::new("jwt", source),
        }
    }

    /// The last valid keys.
    pub(super) fn keys(&self) -> Option<Arc<Keys>> {
        self.keys.load_full()
    }

    /// Called for a token with an unknown key: the key may have been published since the last reading. Waits for keys
    /// that decide about the token, or for a reading that began after the token came; at most as long as a reading may
    /// take, and not at all if none will begin in that time, or if too many tokens wait already. Returns whether the
    /// keys known then decide about the token.
    pub(super) async fn look_again(&self, decide: impl Fn(&Keys) -> bool) -> bool {
        let arrived = Instant::now();
        let mut readings = self.readings.subscribe();
        self.asked.notify_one();
        let Ok(_waits) = self.waiting.try_acquire() else { return false };
        let _is_counted = telemetry::auth_waiting();
        let until = arrived + self.patience();
        loop {
            let Readings { last, next_at } = *readings.borrow_and_update();
            if let Some(last) = last.filter(|last| last.began >= arrived) {
                return last.failures == 0;
            }
            if self.keys().is_some_and(|keys| decide(&keys)) {
                return true;
            }
            if next_at.is_some_and(|next_at| next_at > until) {
                return false;
            }
            if !matches!(timeout_at(until, readings.changed()).await, Ok(Ok(()))) {
                return false;
            }
        }
    }

    const fn patience(&self) -> Duration {
        match &self.place {
            SetPlace::File(_) => FILE_INTERVAL.saturating_mul(2),
            SetPlace::Url { timeout, .. } => *timeout,
        }
    }

    /// Reads the set now.
    ///
    /// # Errors
    /// Why there are no keys in it; the last valid ones stay.
    pub(super) async fn load(&self) -> Result<(), String> {
        let text = match &self.place {
            SetPlace::File(file) => bytes_of(file.clone()).await?,
            SetPlace::Url { url, http, timeout: patience, .. } => ask(url, http.as_ref(), *patience).await?,
        };
        let keys = jwk::read(&text, &self.algorithms)?;
        let count = keys.count();
        if !self.keys().is_some_and(|before| before.are_same(&keys)) {
            self.keys.store(Some(Arc::new(keys)));
            telemetry::auth_keys(self.health.source(), count);
        }
        Ok(())
    }

    /// Keeps the keys up to date until `shutdown`. Run it once.
    pub(super) async fn run(&self, shutdown: CancellationToken) {
        shutdown
            .run_until_cancelled(async {
                match &self.place {
                    SetPlace::File(file) => self.follow(file).await,
                    SetPlace::Url { refresh, .. } => self.refresh(*refresh).await,
                }
            })
            .await;
    }

    async fn refresh(&self, interval: Duration) {
        loop {
            // This reading answers the requests so far; a request that comes during the reading may need another one.
            let _ = self.asked.notified().now_or_never();
            let began = Instant::now();
            self.readings.send_modify(|readings| readings.next_at = None);
            let failures = self.read().await;
            let pause = wait(failures, interval);
            let when_asked = (Instant::now() + pause).min(began + ASKED_INTERVAL);
            self.readings.send_replace(Readings { last: Some(Read { began, failures }), next_at: Some(when_asked) });
            let asked = async {
                self.asked.notified().await;
                sleep_until(when_asked).await;
            };
            tokio::select! {
                () = self.elapsed.sleep(pause) => {}
                () = asked => {}
            }
        }
    }

    async fn follow(&self, file: &PathBuf) {
        let (mut seen, mut failures) = (None, 0);
        loop {
            let began = Instant::now();
            self.readings.send_modify(|readings| readings.next_at = None);
            let stamp = stamp(file).await;
            if stamp != seen {
                seen = stamp;
                failures = self.read().await;
            }
            let next_at = Some(Instant::now() + FILE_INTERVAL);
            // An unchanged file has the same content.
            self.readings.send_replace(Readings { last: Some(Read { began, failures }), next_at });
            sleep(FILE_INTERVAL).await;
        }
    }

    /// Failures since the last success.
    async fn read(&self) -> u32 {
        match self.load().await {
            Ok(()) => {
                self.health.answered();
                0
            }
            Err(why) => {
                self.health.failed(&why);
                self.readings.borrow().last.map_or(0, |last| last.failures).saturating_add(1)
            }
        }
    }
}

/// Until the next reading.
fn wait(failures: u32, interval: Duration) -> Duration {
    match failures.checked_sub(1) {
        None => interval,
        Some(further) => RETRY_MIN.saturating_mul(1 << further.min(8)).min(RETRY_MAX).min(interval),
    }
}

async fn ask(url: &WebUrl, http: &dyn HttpClient, patience: Duration) -> Result<Vec<u8>, String> {
    let headers = vec![("accept".to_owned(), "application/jwk-set+json, application/json".to_owned())];
    let request = HttpRequest { method: "GET".to_owned(), url: url.clone(), headers, body: None };
    match timeout(patience, http.exchange(&request, SET_BYTES_MAX)).await {
        Ok(Ok(response)) if response.status == 200 => Ok(response.body.to_vec()),
        Ok(Ok(response)) => Err(format!("it answers {}", response.status)),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {patience:?}")),
    }
}

async fn bytes_of(file: PathBuf) -> Result<Vec<u8>, String> {
    let read = tokio::task::spawn_blocking(move || super::read_bounded(&file, SET_BYTES_MAX as u64));
    read.await.map_err(|error| error.to_string())?.map(String::into_bytes)
}

/// A value that changes with the file; `None` if there is no file.
async fn stamp(file: &PathBuf) -> Option<(SystemTime, u64)> {
    let meta = tokio::fs::metadata(file).await.ok()?;
    Some((meta.modified().ok()?, meta.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_that_fails_is_asked_again_later_and_later_and_never_later_than_usual() {
        let minutes = Duration::from_secs(300);
        let waits: Vec<u64> = [0, 1, 2, 3, 6, 99].map(|failures| wait(failures, minutes).as_secs()).into();
        assert_eq!(waits, [300, 1, 2, 4, 30, 30]);
        assert_eq!(wait(9, Duration::from_secs(7)), Duration::from_secs(7));
    }
}
