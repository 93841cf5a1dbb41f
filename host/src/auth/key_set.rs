//! The keys that an issuer publishes, in a file or at a URL: kept at hand, read again in the background, and the last
//! good ones stay when there are no better.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::jwk;
use super::keys::Keys;
use super::reach::Reach;
use crate::config::{JwtAlgorithm, WebUrl};
use crate::flow::http_client::{HttpClient, HttpRequest};
use crate::telemetry;

/// Largest set, in bytes.
pub(super) const SET_BYTES_MAX: usize = 256 << 10;
/// How often tokens with an unknown key may have the set read again.
const ASKED_INTERVAL: Duration = Duration::from_secs(10);
/// How often it is looked whether a file changed.
const FILE_INTERVAL: Duration = Duration::from_secs(1);
/// The first wait after a URL failed; each further one is twice as long.
const RETRY_MIN: Duration = Duration::from_secs(1);
/// The longest of these waits.
const RETRY_MAX: Duration = Duration::from_secs(30);

/// The keys of one issuer.
pub(super) struct KeySet {
    place: SetPlace,
    algorithms: Vec<JwtAlgorithm>,
    /// `None` until they were read for the first time.
    keys: ArcSwapOption<Keys>,
    /// Held while somebody reads, so that nobody else does.
    reading: tokio::sync::Mutex<()>,
    last: Mutex<Option<Read>>,
    reach: Reach,
}

/// Where a set is.
pub(super) enum SetPlace {
    /// In a file.
    File(PathBuf),
    /// At a URL.
    Url {
        /// The URL.
        url: WebUrl,
        /// What asks it.
        http: Arc<dyn HttpClient>,
        /// How long it may take.
        timeout: Duration,
        /// How often it is asked.
        refresh: Duration,
    },
}

/// How the last reading went.
#[derive(Clone, Copy)]
struct Read {
    at: Instant,
    /// Failures since the last success.
    failures: u32,
}

impl KeySet {
    /// A set that was not read yet.
    pub(super) fn new(place: SetPlace, algorithms: Vec<JwtAlgorithm>) -> Self {
        let source = match &place {
            SetPlace::File(file) => file.display().to_string(),
            SetPlace::Url { url, .. } => url.shown().to_owned(),
        };
        Self {
            place,
            algorithms,
            keys: ArcSwapOption::empty(),
            reading: tokio::sync::Mutex::default(),
            last: Mutex::default(),
            reach: Reach::new("jwt", source),
        }
    }

    /// The last good keys.
    pub(super) fn keys(&self) -> Option<Arc<Keys>> {
        self.keys.load_full()
    }

    /// A token came with a key that is not known. Waits until the set is read again, at most as long as a reading may
    /// take; who asks again soon after is answered by what is known. Whether that is what the issuer says now.
    pub(super) async fn look_again(&self) -> bool {
        let patience = match &self.place {
            SetPlace::File(_) => FILE_INTERVAL,
            SetPlace::Url { timeout, .. } => *timeout,
        };
        let looked = timeout(patience, async {
            let _reading = self.reading.lock().await;
            let is_recent = self.last.lock().is_some_and(|last| last.at.elapsed() < ASKED_INTERVAL);
            if !is_recent {
                self.read().await;
            }
        });
        looked.await.is_ok() && self.last.lock().is_some_and(|last| last.failures == 0)
    }

    /// Reads the set now.
    ///
    /// # Errors
    /// Why there are no keys in it; the last good ones stay.
    pub(super) async fn load(&self) -> Result<(), String> {
        let text = match &self.place {
            SetPlace::File(file) => bytes_of(file.clone()).await?,
            SetPlace::Url { url, http, timeout: patience, .. } => ask(url, http.as_ref(), *patience).await?,
        };
        let keys = jwk::read(&text, &self.algorithms)?;
        let count = keys.count();
        if !self.keys().is_some_and(|before| before.are_same(&keys)) {
            self.keys.store(Some(Arc::new(keys)));
            telemetry::auth_keys(self.reach.source(), count);
        }
        Ok(())
    }

    /// Under the lock.
    async fn read(&self) {
        let result = self.load().await;
        let mut last = self.last.lock();
        let failures = match &result {
            Ok(()) => 0,
            Err(_) => last.map_or(0, |last| last.failures).saturating_add(1),
        };
        *last = Some(Read { at: Instant::now(), failures });
        drop(last);
        match result {
            Ok(()) => self.reach.answered(),
            Err(why) => self.reach.failed(&why),
        }
    }

    /// Keeps the keys up to date, until `shutdown`.
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
            {
                let _reading = self.reading.lock().await;
                // A token with an unknown key may have been faster.
                let is_fresh = |last: Read| last.failures == 0 && last.at.elapsed() < ASKED_INTERVAL.min(interval);
                if !self.last.lock().is_some_and(is_fresh) {
                    self.read().await;
                }
            }
            let failures = self.last.lock().map_or(0, |last| last.failures);
            sleep(wait(failures, interval)).await;
        }
    }

    async fn follow(&self, file: &PathBuf) {
        let mut seen = None;
        loop {
            let stamp = stamp(file).await;
            if stamp != seen {
                seen = stamp;
                let _reading = self.reading.lock().await;
                self.read().await;
            }
            sleep(FILE_INTERVAL).await;
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

/// What changes when a file does; `None` when there is none.
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
