//! Who waits for whom: calls at once, the queue before them, and turns at the processor. Authorizers have a room of
//! their own in every plugin and in the process, so that a flood on handlers never keeps them from answering; calls that
//! are long take their turns apart from those that are short.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, ready};
use std::thread;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task::block_in_place;
use tokio::time::{Instant as Moment, timeout_at};
use tokio_util::sync::PollSemaphore;

use super::breaker::Breaker;
use super::census::Census;
use super::engine::TICK;
use super::fault::Failure;
use super::manifest::PluginManifest;
use super::pool::{Pool, Slots};

/// So many calls in a row that took a millisecond, and the next is expected to be another. A busy machine makes a short
/// call look long: only several in a row are the plugin's doing.
const LONG_CALLS: u32 = 3;

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
    turns: Turns,
    /// How many calls in a row were long, up to [`LONG_CALLS`].
    long_calls: AtomicU32,
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
            // Nothing is known of it: until a call was short, it may be one that burns the processor.
            long_calls: AtomicU32::new(LONG_CALLS),
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

    /// Runs a guest. One that is short runs at once, where its caller is. One that is long goes on turn by turn: it yields
    /// every millisecond, and of those that want to go on only as many as there are turns stand in the runtime's queue, so
    /// that whatever else the process has to do waits for those few and not for every busy guest.
    pub(super) async fn run<T>(&self, call: impl Future<Output = T>) -> T {
        let mut call = pin!(call);
        let before = self.long_calls.load(Ordering::Relaxed);
        let mut turns = (before >= LONG_CALLS).then(|| self.turns.queue());
        let (mut ran, mut is_told) = (Duration::ZERO, false);
        let answer = poll_fn(|task| {
            // Held while the guest runs, given up whenever it waits.
            let turn = match &mut turns {
                Some(turns) => ready!(turns.poll_acquire(task)),
                None => None,
            };
            let (polled, took) = match turn {
                Some(_) => poll_apart(call.as_mut(), task),
                None => poll_here(call.as_mut(), task),
            };
            ran += took;
            if ran >= TICK && !is_told {
                // Noted now, as one that is cut never comes to its end.
                is_told = true;
                self.long_calls.store((before + 1).min(LONG_CALLS), Ordering::Relaxed);
                turns = Some(self.turns.queue());
            }
            polled
        })
        .await;
        if ran < TICK && before != 0 {
            self.long_calls.store(0, Ordering::Relaxed);
        }
        answer
    }
}

/// Polls, and says how long that took by the clock on the wall: it costs next to nothing to read, and a busy machine makes
/// a short call look long.
fn poll_here<T>(call: Pin<&mut impl Future<Output = T>>, task: &mut Context<'_>) -> (Poll<T>, Duration) {
    let began = Moment::now();
    let polled = call.poll(task);
    (polled, began.elapsed())
}

/// Polls what will keep the thread for as long as a guest may, with the thread out of the runtime: the tasks that waited
/// for it, and the sockets it watched, go to another. Says how much of the processor that took, on however busy a machine.
fn poll_apart<T>(call: Pin<&mut impl Future<Output = T>>, task: &mut Context<'_>) -> (Poll<T>, Duration) {
    let poll = || {
        let before = processor_time();
        let polled = call.poll(task);
        (polled, processor_time().saturating_sub(before))
    };
    match Handle::current().runtime_flavor() {
        RuntimeFlavor::CurrentThread => poll(),
        _ => block_in_place(|| {
            let polled = poll();
            if polled.0.is_pending() {
                // Whoever else wants this processor has it first: a thread that burns it would be left on it for longer.
                thread::yield_now();
            }
            polled
        }),
    }
}

/// What this thread has had of the processor.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let nanos = u32::try_from(time.tv_nsec).unwrap_or_default();
    Duration::new(u64::try_from(time.tv_sec).unwrap_or_default(), nanos)
}

/// Turns at the processor for the long calls of one class.
#[derive(Clone)]
pub(super) struct Turns(Arc<Semaphore>);

impl Turns {
    /// One less than there are processors, so that those who wait for something short do not wait for the end of
    /// something long.
    pub(super) fn new() -> Self {
        let processors = thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self(Arc::new(Semaphore::new((processors - 1).max(1))))
    }

    fn queue(&self) -> PollSemaphore {
        PollSemaphore::new(Arc::clone(&self.0))
    }
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
