//! The order of one connection's events: events on the same topic run one after another, events on different topics in
//! parallel, and at most `limits.inbound_queue` in total.
//!
//! The first event of a topic starts the task that handles the topic's events, and the task ends with the last of them.
//! An idle connection needs no task.

use std::collections::{HashMap, VecDeque};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio_util::task::TaskTracker;

use tidegate_core::protocol::{Ack, Code, Refusal};

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

/// The connection has `limits.inbound_queue` waiting or running events. The job comes back, to be refused.
pub(super) struct InboundQueueFull(pub(super) Job);

impl InboundQueue {
    /// A queue for at most `jobs_max` jobs; `tasks` tracks their tasks.
    pub(super) fn new(jobs_max: usize, tasks: TaskTracker) -> Self {
        Self { state: Mutex::default(), jobs_max, tasks }
    }

    /// Puts a job behind the others of its topic. After [`InboundQueue::close`] it drops the job, because there is nobody
    /// to answer.
    ///
    /// # Errors
    /// [`InboundQueueFull`] with the job.
    pub(super) fn push(self: &Arc<Self>, topic: &str, job: Job) -> Result<(), InboundQueueFull> {
        let mut state = self.state.lock();
        if state.closed {
            return Ok(());
        }
        if state.jobs >= self.jobs_max {
            return Err(InboundQueueFull(job));
        }
        state.jobs += 1;
        if let Some(jobs) = state.waiting.get_mut(topic) {
            jobs.push_back(job);
            return Ok(());
        }
        state.waiting.insert(topic.to_owned(), VecDeque::new());
        drop(state);
        self.tasks.spawn(Arc::clone(self).run(topic.to_owned(), job));
        Ok(())
    }

    /// Drops the waiting jobs; running jobs finish.
    pub(super) fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        let dropped: Vec<_> = state.waiting.drain().collect();
        drop(state);
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
        fn push(&self, topic: &str, name: &'static str) -> Result<oneshot::Sender<()>, InboundQueueFull> {
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
            self.queue.push(topic, Job { work: work.boxed(), reply: Box::new(reply) }).map(|()| finish)
        }

        async fn next(&mut self) -> &'static str {
            self.answers.recv().await.unwrap()
        }
    }

    #[tokio::test]
    async fn events_on_one_topic_are_answered_in_the_order_they_were_sent() {
        let mut bench = Bench::new(8);
        let first = bench.push("a", "first").ok().unwrap();
        let second = bench.push("a", "second").ok().unwrap();
        second.send(()).unwrap();
        first.send(()).unwrap();
        assert_eq!(bench.next().await, "first");
        assert_eq!(bench.next().await, "second");
    }

    #[tokio::test]
    async fn events_on_another_topic_do_not_wait() {
        let mut bench = Bench::new(8);
        let slow = bench.push("a", "slow").ok().unwrap();
        bench.push("b", "quick").ok().unwrap().send(()).unwrap();
        assert_eq!(bench.next().await, "quick");
        slow.send(()).unwrap();
        assert_eq!(bench.next().await, "slow");
    }

    #[tokio::test]
    async fn more_events_than_the_bound_come_back_and_room_made_is_used_again() {
        let mut bench = Bench::new(2);
        let running = bench.push("a", "running").ok().unwrap();
        let waiting = bench.push("a", "waiting").ok().unwrap();
        assert!(bench.push("b", "too many").is_err());
        running.send(()).unwrap();
        assert_eq!(bench.next().await, "running");
        waiting.send(()).unwrap();
        assert_eq!(bench.next().await, "waiting");
        bench.queue.tasks.close();
        bench.queue.tasks.wait().await;
        bench.push("b", "again").ok().unwrap().send(()).unwrap();
        assert_eq!(bench.next().await, "again");
    }

    #[tokio::test]
    async fn a_panic_is_answered_internal_and_the_lane_goes_on() {
        let mut bench = Bench::new(8);
        drop(bench.push("a", "panics").ok().unwrap());
        bench.push("a", "next").ok().unwrap().send(()).unwrap();
        assert_eq!(bench.next().await, "internal");
        assert_eq!(bench.next().await, "next");
    }

    #[tokio::test]
    async fn a_closed_connection_drops_what_waits_and_leaves_no_task() {
        let mut bench = Bench::new(8);
        let running = bench.push("a", "running").ok().unwrap();
        let waiting = bench.push("a", "waiting").ok().unwrap();
        bench.queue.close();
        running.send(()).unwrap();
        assert_eq!(bench.next().await, "running");
        bench.queue.tasks.close();
        bench.queue.tasks.wait().await;
        assert!(waiting.is_closed());
        assert!(bench.push("a", "late").is_ok());
        assert!(bench.queue.tasks.is_empty());
    }
}
