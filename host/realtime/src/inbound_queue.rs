//! The order of one connection's events: events on the same topic run one after another, events on different topics in
//! parallel, and at most `limits.inbound_queue` in total: then the client is read no further.
//!
//! The first event of a topic starts the task that handles the topic's events, and the task ends with the last of them.
//! An idle connection needs no task.

use std::collections::{HashMap, VecDeque};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::task::TaskTracker;

use tidegate_core::protocol::{Ack, Code, Refusal};
use tidegate_core::telemetry;

/// One event to answer.
pub(super) struct Job {
    /// Computes the answer.
    pub(super) work: BoxFuture<'static, Ack>,
    /// Sends the answer to the client.
    pub(super) reply: Box<dyn FnOnce(Ack) + Send>,
}

/// The events of one connection that wait or run.
pub(super) struct InboundQueue {
    /// Held for a look-up and a push or pop, never while working.
    state: Mutex<State>,
    jobs_max: usize,
    /// Notified when there is room again.
    has_room: Notify,
    tasks: TaskTracker,
}

#[derive(Default)]
struct State {
    /// Waiting jobs by topic; a topic is in the map exactly while a task handles its jobs.
    waiting: HashMap<String, VecDeque<Job>>,
    /// Waiting and running jobs.
    jobs: usize,
    closed: bool,
}

impl InboundQueue {
    /// A queue for at most `jobs_max` jobs; `tasks` tracks their tasks.
    pub(super) fn new(jobs_max: usize, tasks: TaskTracker) -> Self {
        Self { state: Mutex::default(), jobs_max, has_room: Notify::new(), tasks }
    }

    /// Resolves when there is room for one more job, or the queue is closed. Only the reader of the connection waits.
    pub(super) async fn room(&self) {
        let mut was_counted = false;
        loop {
            {
                let state = self.state.lock();
                if state.closed || state.jobs < self.jobs_max {
                    return;
                }
            }
            if !std::mem::replace(&mut was_counted, true) {
                telemetry::inbound_wait();
            }
            self.has_room.notified().await;
        }
    }

    /// Puts a job behind the others of its topic. After [`InboundQueue::close`] it drops the job, because there is nobody
    /// to answer. Wait for [`InboundQueue::room`] before.
    pub(super) fn push(self: &Arc<Self>, topic: &str, job: Job) {
        let mut state = self.state.lock();
        if state.closed {
            return;
        }
        state.jobs += 1;
        if let Some(jobs) = state.waiting.get_mut(topic) {
            jobs.push_back(job);
            return;
        }
        state.waiting.insert(topic.to_owned(), VecDeque::new());
        drop(state);
        self.tasks.spawn(Arc::clone(self).run(topic.to_owned(), job));
    }

    /// Drops the waiting jobs; running jobs finish.
    pub(super) fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        let dropped: Vec<_> = state.waiting.drain().collect();
        drop(state);
        self.has_room.notify_one();
        drop(dropped);
    }

    async fn run(self: Arc<Self>, topic: String, first: Job) {
        let mut next = Some(first);
        while let Some(job) = next {
            let answer = AssertUnwindSafe(job.work).catch_unwind().await.unwrap_or_else(|_panic| {
                tracing::error!(topic, "answering an event panicked");
                Ack::Refused(Refusal::new(Code::Internal))
            });
            (job.reply)(answer);
            next = self.after(&topic);
        }
    }

    /// Counts a job as done and takes the topic's next one, or removes the topic.
    fn after(&self, topic: &str) -> Option<Job> {
        let mut state = self.state.lock();
        state.jobs -= 1;
        self.has_room.notify_one();
        let next = state.waiting.get_mut(topic).and_then(VecDeque::pop_front);
        if next.is_none() {
            state.waiting.remove(topic);
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::{mpsc, oneshot};

    use super::*;

    struct Bench {
        queue: Arc<InboundQueue>,
        answers: mpsc::Receiver<&'static str>,
        to_answers: mpsc::Sender<&'static str>,
    }

    impl Bench {
        fn new(jobs_max: usize) -> Self {
            let (to_answers, answers) = mpsc::channel(16);
            Self { queue: Arc::new(InboundQueue::new(jobs_max, TaskTracker::new())), answers, to_answers }
        }

        /// Pushes a job that is answered once the sender is used; its answer shows as `name`, a panic's as `internal`.
        fn push(&self, topic: &str, name: &'static str) -> oneshot::Sender<()> {
            let (finish, finished) = oneshot::channel::<()>();
            let work = async move {
                finished.await.expect("the test drops the sender to make the job panic");
                Ack::Accepted { reply: None }
            };
            let answers = self.to_answers.clone();
            let reply = move |ack: Ack| {
                let shown = if ack == Ack::Refused(Code::Internal.into()) { "internal" } else { name };
                answers.try_send(shown).unwrap();
            };
            self.queue.push(topic, Job { work: work.boxed(), reply: Box::new(reply) });
            finish
        }

        async fn next(&mut self) -> &'static str {
            self.answers.recv().await.unwrap()
        }
    }

    #[tokio::test]
    async fn events_on_one_topic_are_answered_in_the_order_they_were_sent() {
        let mut bench = Bench::new(8);
        let first = bench.push("a", "first");
        let second = bench.push("a", "second");
        second.send(()).unwrap();
        first.send(()).unwrap();
        assert_eq!(bench.next().await, "first");
        assert_eq!(bench.next().await, "second");
    }

    #[tokio::test]
    async fn events_on_another_topic_do_not_wait() {
        let mut bench = Bench::new(8);
        let slow = bench.push("a", "slow");
        bench.push("b", "quick").send(()).unwrap();
        assert_eq!(bench.next().await, "quick");
        slow.send(()).unwrap();
        assert_eq!(bench.next().await, "slow");
    }

    #[tokio::test]
    async fn beyond_the_bound_the_reader_waits_until_an_event_is_answered() {
        let mut bench = Bench::new(2);
        let running = bench.push("a", "running");
        bench.queue.room().await;
        let waiting = bench.push("a", "waiting");
        assert!(bench.queue.room().now_or_never().is_none());
        running.send(()).unwrap();
        assert_eq!(bench.next().await, "running");
        bench.queue.room().await;
        waiting.send(()).unwrap();
        assert_eq!(bench.next().await, "waiting");
        bench.push("b", "again").send(()).unwrap();
        assert_eq!(bench.next().await, "again");
    }

    #[tokio::test]
    async fn a_panic_is_answered_internal_and_the_lane_goes_on() {
        let mut bench = Bench::new(8);
        drop(bench.push("a", "panics"));
        bench.push("a", "next").send(()).unwrap();
        assert_eq!(bench.next().await, "internal");
        assert_eq!(bench.next().await, "next");
    }

    #[tokio::test]
    async fn a_closed_connection_drops_what_waits_and_leaves_no_task() {
        let mut bench = Bench::new(8);
        let running = bench.push("a", "running");
        let waiting = bench.push("a", "waiting");
        bench.queue.close();
        running.send(()).unwrap();
        assert_eq!(bench.next().await, "running");
        bench.queue.tasks.close();
        bench.queue.tasks.wait().await;
        assert!(waiting.is_closed());
        drop(bench.push("a", "late"));
        assert!(bench.queue.tasks.is_empty());
    }
}
