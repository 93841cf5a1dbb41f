//! Fair shares of the CPU. A short call runs at once, in the task of its caller. A long call yields every millisecond and
//! needs a turn to go on. There are fewer turns than cores, so other work waits for at most that many guests.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, ready};
use std::thread;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::Semaphore;
use tokio::task::block_in_place;
use tokio::time::Instant as Moment;
use tokio_util::sync::PollSemaphore;

use super::team::TeamShare;
use crate::compile::engine::TICK;

/// After so many long calls in a row the next call counts as long from its start. A busy machine makes a short call look
/// long, so one or two long calls prove nothing about the plugin.
const LONG_CALLS: u32 = 3;

/// The turns at the CPU that the long calls of one class share, in the whole process.
#[derive(Clone)]
pub(crate) struct CpuTurns(Arc<Semaphore>);

/// The share of one class of calls of one plugin.
pub(crate) struct CpuShare {
    turns: CpuTurns,
    /// How many calls in a row were long, up to [`LONG_CALLS`].
    long_calls: AtomicU32,
}

impl CpuTurns {
    /// One turn fewer than there are processors, so that a short task never waits for the end of a long call.
    pub(crate) fn new() -> Self {
        let processors = thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self(Arc::new(Semaphore::new((processors - 1).max(1))))
    }

    fn queue(&self) -> PollSemaphore {
        PollSemaphore::new(Arc::clone(&self.0))
    }
}

impl CpuShare {
    /// Calls of a new plugin count as long, until one of them was short.
    pub(crate) const fn new(turns: CpuTurns) -> Self {
        Self { turns, long_calls: AtomicU32::new(LONG_CALLS) }
    }

    /// Runs a guest to its end: turn by turn as soon as its call is long. Its CPU time counts in the share of its team as it
    /// is used.
    pub(crate) async fn run<T>(&self, team: Option<&TeamShare>, call: impl Future<Output = T>) -> T {
        let team = team.filter(|team| team.counts_cpu());
        let mut call = pin!(call);
        let before = self.long_calls.load(Ordering::Relaxed);
        let mut turns = (before >= LONG_CALLS).then(|| self.turns.queue());
        let (mut ran, mut is_long) = (Duration::ZERO, false);
        let answer = poll_fn(|task| {
            // The guest holds the turn while it runs, and gives it up whenever it waits.
            let turn = match &mut turns {
                Some(turns) => ready!(turns.poll_acquire(task)),
                None => None,
            };
            let (polled, took) = match turn {
                Some(_) => poll_apart(call.as_mut(), task),
                None if team.is_some() => poll_measured(call.as_mut(), task),
                None => poll_here(call.as_mut(), task),
            };
            if let Some(team) = team {
                team.ran(took);
            }
            ran += took;
            if ran >= TICK && !is_long {
                // Noted now: a call that is cut off never comes to its end.
                is_long = true;
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

/// Polls a call that is expected to be short, and measures wall-clock time, which costs next to nothing to read.
fn poll_here<T>(call: Pin<&mut impl Future<Output = T>>, task: &mut Context<'_>) -> (Poll<T>, Duration) {
    let began = Moment::now();
    let polled = call.poll(task);
    (polled, began.elapsed())
}

/// Polls a long call, and measures the CPU time of the thread, which is exact on a busy machine. The runtime meanwhile
/// moves the other tasks of this thread, and the sockets that it watches, to another thread.
fn poll_apart<T>(call: Pin<&mut impl Future<Output = T>>, task: &mut Context<'_>) -> (Poll<T>, Duration) {
    match Handle::current().runtime_flavor() {
        RuntimeFlavor::CurrentThread => poll_measured(call, task),
        _ => block_in_place(|| {
            let polled = poll_measured(call, task);
            if polled.0.is_pending() {
                // The operating system would leave a thread that burns the CPU on it for longer: let others have it first.
                thread::yield_now();
            }
            polled
        }),
    }
}

/// Polls a call, and measures the CPU time of the thread.
fn poll_measured<T>(call: Pin<&mut impl Future<Output = T>>, task: &mut Context<'_>) -> (Poll<T>, Duration) {
    let before = cpu_time();
    let polled = call.poll(task);
    (polled, cpu_time().saturating_sub(before))
}

/// The CPU time that this thread has used.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let nanos = u32::try_from(time.tv_nsec).unwrap_or_default();
    Duration::new(u64::try_from(time.tv_sec).unwrap_or_default(), nanos)
}
