//! Limits of concurrent calls: calls at once, the queue in front of them, and turns at the CPU. In every plugin and in
//! the process authorizers have their own limits, so that a flood of handler calls never delays them. Long calls take
//! their turns separately from short ones.

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

/// After so many calls in a row that took a millisecond, the next call is expected to be long. A busy machine makes a
/// short call look long; only several in a row are caused by the plugin.
const LONG_CALLS: u32 = 3;

/// The class of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    /// Authorizers: for each call a client waits at a gate.
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

/// The limits that the calls of one class of one plugin share.
pub(super) struct Room {
    pub(super) class: Class,
    pub(super) breaker: Breaker,
    pub(super) pool: Arc<Pool>,
    /// One permit for each concurrent call (`limits.concurrency`).
    calls: Semaphore,
    concurrency_max: u32,
    queue_max: u32,
    turns: Turns,
    /// How many calls in a row were long, up to [`LONG_CALLS`].
    long_calls: AtomicU32,
}

impl Room {
    /// The limits for a class of calls of the version whose instances `census` counts.
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
            // Nothing is known about it: until its first short call it may be one that burns CPU.
            long_calls: AtomicU32::new(LONG_CALLS),
        }
    }

    /// A turn of this plugin, if one is free.
    pub(super) fn enter_now(&self) -> Option<SemaphorePermit<'_>> {
        self.calls.try_acquire().ok()
    }

    /// Waits for a turn of this plugin, at most until `deadline`.
    ///
    /// # Errors
    /// [`Failure`] of kind `Overloaded`, at once if the queue is full.
    pub(super) async fn enter(&self, deadline: Moment) -> Result<SemaphorePermit<'_>, Failure> {
        let most = self.concurrency_max;
        let _place = Place::take(&self.pool.waiting, self.queue_max).ok_or_else(|| {
            let waiting = self.queue_max;
            Failure::overloaded(&format!("{most} calls run (`limits.concurrency`), {waiting} wait (`limits.queue`)"))
        })?;
        match timeout_at(deadline, self.calls.acquire()).await {
            Ok(Ok(call)) => Ok(call),
            Ok(Err(_)) | Err(_) => Err(Failure::overloaded(&format!("{most} calls run (`limits.concurrency`)"))),
        }
    }

    /// Runs a guest. A short call runs at once in its caller's task. A long call yields every millisecond and needs a
    /// turn to resume. There are fewer turns than cores, so other work waits for at most that many guests.
    pub(super) async fn run<T>(&self, call: impl Future<Output = T>) -> T {
        let mut call = pin!(call);
        let before = self.long_calls.load(Ordering::Relaxed);
        let mut turns = (before >= LONG_CALLS).then(|| self.turns.queue());
        let (mut ran, mut is_told) = (Duration::ZERO, false);
        let answer = poll_fn(|task| {
            // Held while the guest runs, released whenever it waits.
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
                // Recorded now, because a cut-off call never comes to its end.
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

/// Polls, and measures the wall-clock time, which is cheap to read. A busy machine makes a short call look long.
fn poll_here<T>(call: Pin<&mut impl Future<Output = T>>, task: &mut Context<'_>) -> (Poll<T>, Duration) {
    let began = Moment::now();
    let polled = call.poll(task);
    (polled, began.elapsed())
}

/// Polls a guest that will occupy the thread for as long as it may. The thread leaves the runtime for that time: other
/// threads take over its waiting tasks and its sockets. Returns the CPU time used, however busy the machine is.
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
                // Other threads get this CPU first: a thread that burns CPU would otherwise stay on it for longer.
                thread::yield_now();
            }
            polled
        }),
    }
}

/// The CPU time that this thread has used.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let nanos = u32::try_from(time.tv_nsec).unwrap_or_default();
    Duration::new(u64::try_from(time.tv_sec).unwrap_or_default(), nanos)
}

/// CPU turns for the long calls of one class.
#[derive(Clone)]
pub(super) struct Turns(Arc<Semaphore>);

impl Turns {
    /// One less than the number of CPUs, so that short work does not wait for the end of long work.
    pub(super) fn new() -> Self {
        let processors = thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self(Arc::new(Semaphore::new((processors - 1).max(1))))
    }

    fn queue(&self) -> PollSemaphore {
        PollSemaphore::new(Arc::clone(&self.0))
    }
}

/// A place in a queue, released on drop.
pub(super) struct Place<'a>(&'a AtomicU32);

impl<'a> Place<'a> {
    /// A place in an unlimited queue.
    pub(super) fn wait(waiting: &'a AtomicU32) -> Self {
        waiting.fetch_add(1, Ordering::Relaxed);
        Self(waiting)
    }

    fn take(waiting: &'a AtomicU32, most: u32) -> Option<Self> {
        let place = Self(waiting);
        // Counted first: of many concurrent callers none slips in beyond the last place.
        (waiting.fetch_add(1, Ordering::Relaxed) < most).then_some(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
