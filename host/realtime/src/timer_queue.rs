//! A timer queue for connections: at most one moment for each connection, in order, and one task that waits for the
//! first. A hundred thousand connections need no task and no timer each.
//!
//! The task looks at the clock again every few seconds, because the clock may have jumped.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

use super::connections::Connection;
use tidegate_core::flow::LOOK_AGAIN;

/// A moment of a clock.
pub(super) trait Moment: Ord + Copy {
    /// How long after an earlier moment it is; zero if it is before that.
    fn after(self, earlier: Self) -> Duration;
}

impl Moment for Instant {
    fn after(self, earlier: Self) -> Duration {
        self.saturating_duration_since(earlier)
    }
}

/// A moment by the wall clock, in milliseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct UnixMs(pub(super) u64);

impl Moment for UnixMs {
    fn after(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// The moments of all connections that have one.
pub(super) struct TimerQueue<M> {
    /// Held for a look-up and a change, never across a wait.
    state: Mutex<State<M>>,
    /// Notified when the first moment has changed.
    changed: Notify,
}

struct State<M> {
    queue: BTreeMap<Key<M>, Arc<Connection>>,
    /// By the addresses of the connections: a session that goes on has the same id on another connection.
    keys: HashMap<usize, Key<M>>,
    next: u64,
}

/// The moment, and a number that distinguishes connections with the same moment.
type Key<M> = (M, u64);

impl<M> Default for TimerQueue<M> {
    fn default() -> Self {
        let state = State { queue: BTreeMap::new(), keys: HashMap::new(), next: 0 };
        Self { state: Mutex::new(state), changed: Notify::new() }
    }
}

impl<M: Moment> TimerQueue<M> {
    /// Sets a connection's moment and replaces an earlier setting; `None` removes it.
    pub(super) fn set(&self, connection: &Arc<Connection>, at: Option<M>) {
        let mut state = self.state.lock();
        state.take(address(connection));
        if let Some(at) = at {
            self.insert(&mut state, connection, at);
        }
    }

    /// Sets a connection's moment, unless it has an earlier one.
    pub(super) fn set_no_later(&self, connection: &Arc<Connection>, at: M) {
        let mut state = self.state.lock();
        if state.keys.get(&address(connection)).is_none_or(|(earlier, _)| *earlier > at) {
            state.take(address(connection));
            self.insert(&mut state, connection, at);
        }
    }

    fn insert(&self, state: &mut State<M>, connection: &Arc<Connection>, at: M) {
        let key = (at, state.next);
        state.next += 1;
        state.queue.insert(key, Arc::clone(connection));
        state.keys.insert(address(connection), key);
        if state.queue.first_key_value().is_some_and(|(first, _)| *first == key) {
            self.changed.notify_one();
        }
    }

    /// Resolves to a connection whose moment has come by this clock, and removes the moment. Only one task waits. Safe
    /// to cancel.
    pub(super) async fn due(&self, now: impl Fn() -> M) -> Arc<Connection> {
        loop {
            let wait = {
                let mut state = self.state.lock();
                let now = now();
                match state.queue.first_key_value() {
                    Some((&(at, _), connection)) if at <= now => {
                        let address = address(connection);
                        if let Some(connection) = state.take(address) {
                            return connection;
                        }
                        None
                    }
                    Some((&(at, _), _)) => Some(at.after(now).min(LOOK_AGAIN)),
                    None => None,
                }
            };
            match wait {
                Some(wait) => tokio::select! {
                    () = sleep(wait) => {}
                    () = self.changed.notified() => {}
                },
                None => self.changed.notified().await,
            }
        }
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        let state = self.state.lock();
        assert_eq!(state.queue.len(), state.keys.len());
        state.queue.len()
    }
}

impl<M: Moment> State<M> {
    fn take(&mut self, address: usize) -> Option<Arc<Connection>> {
        let key = self.keys.remove(&address)?;
        self.queue.remove(&key)
    }
}

/// No other connection has it as long as this one is in the queue.
fn address(connection: &Arc<Connection>) -> usize {
    Arc::as_ptr(connection).addr()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::super::link::fake::FakeLink;
    use super::*;

    fn connection(id: &str) -> Arc<Connection> {
        Connection::over(FakeLink::default(), id)
    }

    fn after(seconds: u64) -> Instant {
        Instant::now() + Duration::from_secs(seconds)
    }

    async fn next(timers: &TimerQueue<Instant>) -> (String, u64) {
        let began = Instant::now();
        let connection = timers.due(Instant::now).await;
        (connection.id().to_string(), began.elapsed().as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn connections_come_when_their_moment_does_in_order_and_once() {
        let timers = TimerQueue::default();
        let (a, b, c) = (connection("a"), connection("b"), connection("c"));
        timers.set(&a, Some(after(3)));
        timers.set(&b, Some(after(1)));
        timers.set(&c, Some(after(1)));
        assert_eq!(next(&timers).await, ("b".to_owned(), 1));
        assert_eq!(next(&timers).await, ("c".to_owned(), 0));
        assert_eq!(next(&timers).await, ("a".to_owned(), 2));
        assert_eq!(timers.count(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn an_earlier_moment_that_comes_while_it_waits_is_not_missed() {
        let timers = Arc::new(TimerQueue::default());
        let (late, soon) = (connection("late"), connection("soon"));
        timers.set(&late, Some(after(100)));
        let waiting = Arc::clone(&timers);
        let waits = tokio::spawn(async move { next(&waiting).await });
        tokio::task::yield_now().await;
        timers.set(&soon, Some(after(5)));
        assert_eq!(waits.await.unwrap(), ("soon".to_owned(), 5));
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_has_one_moment_and_loses_it_with_its_end() {
        let timers = TimerQueue::default();
        let (a, b) = (connection("a"), connection("b"));
        timers.set(&a, Some(after(1)));
        timers.set(&a, Some(after(9)));
        timers.set_no_later(&a, after(20));
        timers.set_no_later(&a, after(7));
        timers.set(&b, Some(after(2)));
        timers.set(&b, None);
        assert_eq!(timers.count(), 1);
        assert_eq!(next(&timers).await, ("a".to_owned(), 7));
        assert_eq!(timers.count(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_moment_of_the_wall_clock_comes_when_that_jumps_and_not_when_it_is_put_back() {
        let wall = Arc::new(AtomicU64::new(7_200_000));
        let now = {
            let wall = wall.clone();
            move || UnixMs(wall.load(Ordering::Relaxed))
        };
        let timers = Arc::new(TimerQueue::default());
        timers.set(&connection("a"), Some(UnixMs(7_260_000)));
        let waiting = Arc::clone(&timers);
        let waits = tokio::spawn(async move { waiting.due(now).await.id().to_string() });
        wall.store(0, Ordering::Relaxed);
        sleep(Duration::from_secs(120)).await;
        assert!(!waits.is_finished(), "by the wall clock it is two hours off");
        wall.store(7_300_000, Ordering::Relaxed);
        let jumped = Instant::now();
        assert_eq!(waits.await.unwrap(), "a");
        assert!(jumped.elapsed() <= LOOK_AGAIN);
    }
}
