//! Who waits for whom: calls at once, the queue before them, and turns at the processor. Authorizers have a room of
//! their own in every plugin and in the process, so that a flood on handlers never keeps them from answering.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::ready;
use std::thread;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant as Moment, timeout_at};
use tokio_util::sync::PollSemaphore;

use super::breaker::Breaker;
use super::census::Census;
use super::fault::Failure;
use super::manifest::PluginManifest;
use super::pool::{Pool, Slots};

/// Whose calls a room is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    /// Authorizers: a client waits at a gate for each.
    Authorizer,
    /// Everything else.
    Worker,
}

impl Class {
    /// The name in metrics and answers.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Authorizer => "authorizer",
            Self::Worker => "worker",
        }
    }
}

/// What the calls of one class of one plugin share.
pub(super) struct Room {
    pub(super) class: Class,
    pub(super) breaker: Breaker,
    pub(super) pool: Arc<Pool>,
    /// One permit a call at once (`limits.concurrency`).
    calls: Semaphore,
    concurrency_max: u32,
    queue_max: u32,
    turns: Arc<Semaphore>,
}

impl Room {
    /// The room of a class of calls of the version that `census` counts the instances of.
    pub(super) fn new(class: Class, manifest: &PluginManifest, census: &Arc<Census>, slots: &Slots) -> Self {
        let limits = &manifest.limits;
        Self {
            class,
            breaker: Breaker::new(manifest.breaker),
            pool: slots.pool(class, census.clone(), manifest.instances.idle),
            calls: Semaphore::new(limits.concurrency_max as usize),
            concurrency_max: limits.concurrency_max,
            queue_max: limits.queue_max,
            turns: slots.turns(class),
        }
    }

    /// This plugin's turn, if it is there without waiting.
    pub(super) fn enter_now(&self) -> Option<SemaphorePermit<'_>> {
        self.calls.try_acquire().ok()
    }

    /// Waits for this plugin's turn, `deadline` at most.
    ///
    /// # Errors
    /// [`Failure`] of kind `Overloaded`, at once when the queue is full.
    pub(super) async fn enter(&self, deadline: Moment) -> Result<SemaphorePermit<'_>, Failure> {
        let most = self.concurrency_max;
        let _place = Place::take(&self.pool.waiting, self.queue_max).ok_or_else(|| {
            let waiting = self.queue_max;
            Failure::overloaded(&format!(
                "{most} calls at once (`limits.concurrency`), {waiting} waiting (`limits.queue`)"
            ))
        })?;
        match timeout_at(deadline, self.calls.acquire()).await {
            Ok(Ok(call)) => Ok(call),
            Ok(Err(_)) | Err(_) => Err(Failure::overloaded(&format!("{most} calls at once (`limits.concurrency`)"))),
        }
    }

    /// Runs a guest, turn by turn. A guest yields every millisecond; of those that want to go on only as many as there
    /// are processors stand in the runtime's queue, so that whatever else the process has to do waits for those few
    /// and not for every busy guest.
    pub(super) async fn run<T>(&self, call: impl Future<Output = T>) -> T {
        let mut call = pin!(call);
        let mut turns = PollSemaphore::new(self.turns.clone());
        poll_fn(|task| {
            // Held while the guest runs, given up whenever it waits.
            let _turn = ready!(turns.poll_acquire(task));
            call.as_mut().poll(task)
        })
        .await
    }
}

/// Turns at the processor for one class of calls.
pub(super) fn turns() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(thread::available_parallelism().map_or(1, std::num::NonZero::get)))
}

/// A place in a queue, given up when dropped.
pub(super) struct Place<'a>(&'a AtomicU32);

impl<'a> Place<'a> {
    /// A place in a queue without an end.
    pub(super) fn wait(waiting: &'a AtomicU32) -> Self {
        waiting.fetch_add(1, Ordering::Relaxed);
        Self(waiting)
    }

    fn take(waiting: &'a AtomicU32, most: u32) -> Option<Self> {
        let place = Self(waiting);
        // Counted first: of many at once none slips in beyond the last place.
        (waiting.fetch_add(1, Ordering::Relaxed) < most).then_some(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
