//! Where revocations are kept, as a port, and the task between it and the gates: it loads those of before, keeps new
//! ones, and learns of those that other nodes keep in the same place.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{interval, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::Revocation;
use crate::flow::Gates;
use crate::telemetry;

/// How long to wait before a store that was away is tried again.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// How long a start waits for those of before.
const FIRST_TRY: Duration = Duration::from_secs(5);
/// How often those that matter no more are taken out of the store.
const FORGET_INTERVAL: Duration = Duration::from_secs(60);
/// How long what waits to be kept gets when the server stops.
const LAST_TRY: Duration = Duration::from_secs(2);

/// Where revocations outlive the process, and where nodes that share it find those of one another.
///
/// Calls must be safe to cancel by dropping the future, and bounded in time.
#[async_trait]
pub trait RevocationStore: Send + Sync + 'static {
    /// Keeps one; nothing when there is one of that id.
    ///
    /// # Errors
    /// [`StoreAway`].
    async fn keep(&self, revocation: &Revocation) -> Result<(), StoreAway>;

    /// Those kept that matter still at `now_unix_s`: all, or those that may have come since an earlier answer with this
    /// `mark`. Some may come again; none may be left out.
    ///
    /// # Errors
    /// [`StoreAway`].
    async fn kept(&self, mark: Option<u64>, now_unix_s: u64) -> Result<Kept, StoreAway>;

    /// Takes out those that matter no more at `now_unix_s`, and says how many there were.
    ///
    /// # Errors
    /// [`StoreAway`].
    async fn forget(&self, now_unix_s: u64) -> Result<u64, StoreAway>;

    /// Resolves when others may have kept one since it was called last: at once when it hears of it, after half a second
    /// at most where others may and it cannot hear. Never where this process is the only one.
    async fn news(&self) {
        std::future::pending().await
    }
}

/// What a store has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kept {
    /// The revocations.
    pub revocations: Vec<Revocation>,
    /// Where the next question goes on. The store's own business.
    pub mark: u64,
}

/// The store did not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct StoreAway(pub String);

/// Keeps nothing: `store: sqlite::memory:`.
#[derive(Debug, Clone, Copy, Default)]
pub struct NothingKept;

#[async_trait]
impl RevocationStore for NothingKept {
    async fn keep(&self, _: &Revocation) -> Result<(), StoreAway> {
        Ok(())
    }

    async fn kept(&self, _: Option<u64>, _: u64) -> Result<Kept, StoreAway> {
        Ok(Kept::default())
    }

    async fn forget(&self, _: u64) -> Result<u64, StoreAway> {
        Ok(0)
    }
}

/// A revocation that is to be kept.
pub(in crate::flow) struct ToKeep {
    pub(super) revocation: Arc<Revocation>,
    /// Told of the first try, whatever came of it.
    pub(super) kept: oneshot::Sender<Result<(), StoreAway>>,
}

/// The task between the gates and the store.
pub struct Keeper {
    store: Arc<dyn RevocationStore>,
    to_keep: mpsc::Receiver<ToKeep>,
    /// Where the next question to the store goes on, once it was asked.
    mark: Option<u64>,
}

impl Keeper {
    pub(super) const fn new(store: Arc<dyn RevocationStore>, to_keep: mpsc::Receiver<ToKeep>) -> Self {
        Self { store, to_keep, mark: None }
    }

    /// Tries once to load those of before, so that the first client finds them loaded where the store is there.
    pub async fn load(&mut self, gates: &Gates) {
        match timeout(FIRST_TRY, self.store.kept(None, gates.now_unix_s())).await {
            Ok(Ok(kept)) => self.mark = Some(take(kept, gates, false)),
            Ok(Err(away)) => telemetry::revocations_unloaded(&away.0),
            Err(_) => telemetry::revocations_unloaded(&format!("no answer within {} s", FIRST_TRY.as_secs())),
        }
    }

    /// Loads what [`Keeper::load`] could not, keeps and learns until `shutdown`; then keeps what waits, for a moment.
    pub async fn run(self, gates: Arc<Gates>, shutdown: CancellationToken) {
        let Self { store, mut to_keep, mark } = self;
        let keep = async {
            while let Some(Some(next)) = shutdown.run_until_cancelled(to_keep.recv()).await {
                shutdown.run_until_cancelled(keep(&*store, next)).await;
            }
            to_keep.close();
            let rest = async {
                while let Some(next) = to_keep.recv().await {
                    keep(&*store, next).await;
                }
            };
            let _ = timeout(LAST_TRY, rest).await;
        };
        let learn = shutdown.run_until_cancelled(learn(&*store, &gates, mark));
        tokio::join!(keep, learn);
    }
}

/// Keeps one, however long the store is away; whoever waits for it hears of the first try.
async fn keep(store: &dyn RevocationStore, next: ToKeep) {
    let ToKeep { revocation, kept } = next;
    let mut first = Some(kept);
    loop {
        let outcome = store.keep(&revocation).await;
        if let Err(away) = &outcome
            && first.is_some()
        {
            telemetry::revocation_unkept(&revocation.id, &away.0);
        }
        let is_kept = outcome.is_ok();
        if let Some(first) = first.take() {
            let _ = first.send(outcome);
        }
        if is_kept {
            return;
        }
        sleep(RETRY_INTERVAL).await;
    }
}

async fn learn(store: &dyn RevocationStore, gates: &Gates, mark: Option<u64>) {
    let mut mark = match mark {
        Some(mark) => mark,
        None => load(store, gates).await,
    };
    let mut forgets = interval(FORGET_INTERVAL);
    let mut was_away = false;
    loop {
        tokio::select! {
            () = store.news() => match store.kept(Some(mark), gates.now_unix_s()).await {
                Ok(kept) => {
                    was_away = false;
                    mark = kept.mark;
                    gates.learn_of(kept.revocations, "store");
                }
                Err(StoreAway(why)) => {
                    if !std::mem::replace(&mut was_away, true) {
                        tracing::warn!(why, "what other nodes revoke is not heard of while the store is away");
                    }
                    sleep(RETRY_INTERVAL).await;
                }
            },
            _ = forgets.tick() => {
                // Why it cannot is why the store is away, which it says by itself.
                let _ = store.forget(gates.now_unix_s()).await;
            }
        }
    }
}

/// Until it is done nobody with a credential is let in.
async fn load(store: &dyn RevocationStore, gates: &Gates) -> u64 {
    loop {
        sleep(RETRY_INTERVAL).await;
        // Why it cannot was told.
        if let Ok(kept) = store.kept(None, gates.now_unix_s()).await {
            return take(kept, gates, true);
        }
    }
}

/// Puts those of before in force.
fn take(kept: Kept, gates: &Gates, was_late: bool) -> u64 {
    let found = kept.revocations.len();
    gates.learn_of(kept.revocations, "start");
    gates.revocations_loaded(found, was_late);
    kept.mark
}
