//! The store of revocations, as a port, and the task between it and the gates: it loads earlier revocations, stores new
//! ones, and learns of those that other nodes store in the same place.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{interval, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::Revocation;
use crate::flow::Gates;
use crate::flow::broker::Sending;
use crate::telemetry;

/// How long to wait before trying again after the store was away.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// How long a start waits for the earlier revocations.
const FIRST_TRY: Duration = Duration::from_secs(5);
/// How often revocations that do not matter any more are removed from the store.
const FORGET_INTERVAL: Duration = Duration::from_secs(60);
/// Revocations that are stored at the same time.
const AT_ONCE_MAX: usize = 64;
/// The time for storing the waiting revocations when the server stops.
const LAST_TRY: Duration = Duration::from_secs(2);

/// Stores revocations so that they survive the process, and so that nodes with a shared store find each other's.
///
/// Calls must be safe to cancel by dropping the future, and of limited time.
#[async_trait]
pub trait RevocationStore: Send + Sync + 'static {
    /// Stores a revocation; does nothing if one with this id exists.
    ///
    /// # Errors
    /// [`StoreAway`].
    async fn keep(&self, revocation: &Revocation) -> Result<(), StoreAway>;

    /// The stored revocations that still matter at `now_unix_s`: all of them, or those that may be new since an earlier
    /// answer with this `mark`. Some may come again; none may be missing.
    ///
    /// # Errors
    /// [`StoreAway`].
    async fn kept(&self, mark: Option<u64>, now_unix_s: u64) -> Result<Kept, StoreAway>;

    /// Removes the revocations that do not matter any more at `now_unix_s`, and returns how many there were.
    ///
    /// # Errors
    /// [`StoreAway`].
    async fn forget(&self, now_unix_s: u64) -> Result<u64, StoreAway>;

    /// Resolves when other nodes may have stored a revocation since the last call: at once if the store reports it,
    /// else after half a second at most. Never resolves if this process is the only one.
    async fn news(&self) {
        std::future::pending().await
    }
}

/// The revocations of a store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kept {
    /// The revocations.
    pub revocations: Vec<Revocation>,
    /// Where the next question continues. Only the store understands it.
    pub mark: u64,
}

/// The store did not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct StoreAway(pub String);

/// A store that stores nothing: `store: sqlite::memory:`.
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

/// A revocation that must be stored.
pub(in crate::flow) struct ToKeep {
    pub(super) revocation: Arc<Revocation>,
    /// The first attempt to send it to the other nodes; `None` if there are none, or they have it.
    pub(super) told: Option<Sending>,
    /// Receives the result of the first attempt.
    pub(super) kept: oneshot::Sender<Result<(), StoreAway>>,
}

/// The task between the gates and the store.
pub struct Keeper {
    store: Arc<dyn RevocationStore>,
    to_keep: mpsc::Receiver<ToKeep>,
    /// Where the next question to the store continues, once it was asked.
    mark: Option<u64>,
}

impl Keeper {
    pub(super) const fn new(store: Arc<dyn RevocationStore>, to_keep: mpsc::Receiver<ToKeep>) -> Self {
        Self { store, to_keep, mark: None }
    }

    /// Tries once to load the earlier revocations, so that they are loaded before the first client connects, if the
    /// store is reachable.
    pub async fn load(&mut self, gates: &Gates) {
        match timeout(FIRST_TRY, self.store.kept(None, gates.now_unix_s())).await {
            Ok(Ok(kept)) => self.mark = Some(take(kept, gates, false)),
            Ok(Err(away)) => telemetry::revocations_unloaded(&away.0),
            Err(_) => telemetry::revocations_unloaded(&format!("no answer within {} s", FIRST_TRY.as_secs())),
        }
    }

    /// Loads what [`Keeper::load`] could not load, and stores and learns until `shutdown`; then stores the waiting
    /// revocations for a moment.
    pub async fn run(self, gates: Arc<Gates>, shutdown: CancellationToken) {
        let Self { store, mut to_keep, mark } = self;
        let keep = async {
            let all = keep_all(&*store, &gates, &mut to_keep, &shutdown);
            tokio::pin!(all);
            if shutdown.run_until_cancelled(&mut all).await.is_none() {
                let _ = timeout(LAST_TRY, all).await;
            }
        };
        let learn = shutdown.run_until_cancelled(learn(&*store, &gates, mark));
        tokio::join!(keep, learn);
    }
}

/// Stores what comes, several at the same time: a revocation that cannot be stored does not delay the others. After
/// `shutdown` it ends with what is waiting.
async fn keep_all(
    store: &dyn RevocationStore,
    gates: &Gates,
    to_keep: &mut mpsc::Receiver<ToKeep>,
    shutdown: &CancellationToken,
) {
    let mut under_way = FuturesUnordered::new();
    loop {
        tokio::select! {
            next = to_keep.recv(), if under_way.len() < AT_ONCE_MAX => match next {
                Some(next) => under_way.push(keep(store, gates, next)),
                None => break,
            },
            Some(()) = under_way.next() => {}
            () = shutdown.cancelled(), if !to_keep.is_closed() => to_keep.close(),
        }
    }
    while under_way.next().await.is_some() {}
}

/// Stores a revocation and sends it to the other nodes, however long the store or the broker is away. The waiting
/// caller learns of the first attempt only.
async fn keep(store: &dyn RevocationStore, gates: &Gates, next: ToKeep) {
    let ToKeep { revocation, told, kept } = next;
    let tell_first = async {
        match told {
            Some(sending) => sending.await.map_err(|away| StoreAway(away.to_string())),
            None => Ok(()),
        }
    };
    let (mut is_kept, mut is_told) = tokio::join!(store.keep(&revocation), tell_first);
    let first = is_kept.clone().and_then(|()| is_told.clone());
    if let Err(away) = &first {
        telemetry::revocation_unkept(&revocation.id, &away.0);
    }
    let _ = kept.send(first);
    while is_kept.is_err() || is_told.is_err() {
        sleep(RETRY_INTERVAL).await;
        if is_kept.is_err() {
            is_kept = store.keep(&revocation).await;
        }
        if is_told.is_err() {
            is_told = match gates.tell_nodes(&revocation) {
                Some(sending) => sending.await.map_err(|away| StoreAway(away.to_string())),
                None => Ok(()),
            };
        }
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
                        tracing::warn!(why, "this node does not learn of other nodes' revocations while the store is away");
                    }
                    sleep(RETRY_INTERVAL).await;
                }
            },
            _ = forgets.tick() => {
                // If it fails, the store is away, and reports that itself.
                let _ = store.forget(gates.now_unix_s()).await;
            }
        }
    }
}

/// Until this is done nobody with a credential is accepted.
async fn load(store: &dyn RevocationStore, gates: &Gates) -> u64 {
    loop {
        sleep(RETRY_INTERVAL).await;
        // The reason for a failure was reported already.
        if let Ok(kept) = store.kept(None, gates.now_unix_s()).await {
            return take(kept, gates, true);
        }
    }
}

/// Puts the earlier revocations in force.
fn take(kept: Kept, gates: &Gates, was_late: bool) -> u64 {
    let found = kept.revocations.len();
    gates.learn_of(kept.revocations, "start");
    gates.revocations_loaded(found, was_late);
    kept.mark
}
