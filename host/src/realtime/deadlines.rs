//! When something is to be done with a connection: one moment a connection, in order, and one task that waits for the
//! first. A hundred thousand connections cost no task and no timer each.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::connections::Connection;
use crate::protocol::ConnectionId;

/// The moments of all connections that have one.
#[derive(Default)]
pub(super) struct Deadlines {
    /// Held for a look-up and a change, never across a wait.
    state: Mutex<State>,
    /// The first moment is another one.
    changed: Notify,
}

#[derive(Default)]
struct State {
    queue: BTreeMap<Key, Arc<Connection>>,
    keys: HashMap<ConnectionId, Key>,
    next: u64,
}

/// The moment, and a number that tells connections of one moment apart.
type Key = (Instant, u64);

impl Deadlines {
    /// Sets a connection's moment, whatever it was before; `None` takes it away.
    pub(super) fn set(&self, connection: &Arc<Connection>, at: Option<Instant>) {
        let mut state = self.state.lock();
        state.take(connection.id());
        if let Some(at) = at {
            self.insert(&mut state, connection, at);
        }
    }

    /// Sets a connection's moment, unless it has an earlier one.
    pub(super) fn set_no_later(&self, connection: &Arc<Connection>, at: Instant) {
        let mut state = self.state.lock();
        if state.keys.get(connection.id()).is_none_or(|(earlier, _)| *earlier > at) {
            state.take(connection.id());
            self.insert(&mut state, connection, at);
        }
    }

    fn insert(&self, state: &mut State, connection: &Arc<Connection>, at: Instant) {
        let key = (at, state.next);
        state.next += 1;
        state.queue.insert(key, Arc::clone(connection));
        state.keys.insert(connection.id().clone(), key);
        if state.queue.first_key_value().is_some_and(|(first, _)| *first == key) {
            self.changed.notify_one();
        }
    }

    /// Resolves to a connection whose moment has come; it has none from then on. One task waits. Safe to cancel.
    pub(super) async fn due(&self) -> Arc<Connection> {
        loop {
            let first = {
                let mut state = self.state.lock();
                let now = Instant::now();
                match state.queue.first_key_value() {
                    Some((&(at, _), connection)) if at <= now => {
                        let id = connection.id().clone();
                        if let Some(connection) = state.take(&id) {
                            return connection;
                        }
                        None
                    }
                    Some((&(at, _), _)) => Some(at),
                    None => None,
                }
            };
            match first {
                Some(at) => tokio::select! {
                    () = sleep_until(at) => {}
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

impl State {
    fn take(&mut self, connection: &ConnectionId) -> Option<Arc<Connection>> {
        let key = self.keys.remove(connection)?;
        self.queue.remove(&key)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio_util::task::TaskTracker;

    use super::super::lanes::Lanes;
    use super::super::link::fake::FakeLink;
    use super::super::wires::SessionId;
    use super::*;
    use crate::flow::Session;

    fn connection(id: &str) -> Arc<Connection> {
        let session = Session::new(ConnectionId::new(id), None);
        let lanes = Lanes::new(8, TaskTracker::new());
        Arc::new(Connection::new(SessionId::new(id), session, lanes, FakeLink::default()))
    }

    fn after(seconds: u64) -> Instant {
        Instant::now() + Duration::from_secs(seconds)
    }

    async fn next(deadlines: &Deadlines) -> (String, u64) {
        let began = Instant::now();
        let connection = deadlines.due().await;
        (connection.id().to_string(), began.elapsed().as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn connections_come_when_their_moment_does_in_order_and_once() {
        let deadlines = Deadlines::default();
        let (a, b, c) = (connection("a"), connection("b"), connection("c"));
        deadlines.set(&a, Some(after(3)));
        deadlines.set(&b, Some(after(1)));
        deadlines.set(&c, Some(after(1)));
        assert_eq!(next(&deadlines).await, ("b".to_owned(), 1));
        assert_eq!(next(&deadlines).await, ("c".to_owned(), 0));
        assert_eq!(next(&deadlines).await, ("a".to_owned(), 2));
        assert_eq!(deadlines.count(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn an_earlier_moment_that_comes_while_it_waits_is_not_missed() {
        let deadlines = Arc::new(Deadlines::default());
        let (late, soon) = (connection("late"), connection("soon"));
        deadlines.set(&late, Some(after(100)));
        let waiting = Arc::clone(&deadlines);
        let waits = tokio::spawn(async move { next(&waiting).await });
        tokio::task::yield_now().await;
        deadlines.set(&soon, Some(after(5)));
        assert_eq!(waits.await.unwrap(), ("soon".to_owned(), 5));
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_has_one_moment_and_loses_it_with_its_end() {
        let deadlines = Deadlines::default();
        let (a, b) = (connection("a"), connection("b"));
        deadlines.set(&a, Some(after(1)));
        deadlines.set(&a, Some(after(9)));
        deadlines.set_no_later(&a, after(20));
        deadlines.set_no_later(&a, after(7));
        deadlines.set(&b, Some(after(2)));
        deadlines.set(&b, None);
        assert_eq!(deadlines.count(), 1);
        assert_eq!(next(&deadlines).await, ("a".to_owned(), 7));
        assert_eq!(deadlines.count(), 0);
    }
}
