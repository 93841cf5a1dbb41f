//! Announces connections to plugins: for each connection first that it opened, then that it closed, a few at a time.
//!
//! A connection costs a task only while a plugin is being called for it. If too many connections wait, a new one is
//! announced neither way, so that every `disconnected` has its `connected`. The end of an announced connection is
//! always announced, too.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use super::connections::Connection;
use tidegate_core::flow::ports::Phase;
use tidegate_core::flow::{Gates, Session};
use tidegate_core::telemetry;

/// Connections that are announced at the same time. A storm of reconnects must not take all turns of a plugin.
const ANNOUNCEMENTS_MAX: usize = 8;

/// Listens for connections.
pub(super) trait Listener: Send + Sync + 'static {
    /// Whether anybody listens.
    fn listens(&self) -> bool;

    /// Announces a connection.
    fn announce<'a>(&'a self, session: &'a Session, phase: Phase) -> BoxFuture<'a, ()>;
}

impl Listener for Gates {
    fn listens(&self) -> bool {
        self.has_listeners()
    }

    fn announce<'a>(&'a self, session: &'a Session, phase: Phase) -> BoxFuture<'a, ()> {
        self.tell_plugins(session, phase).boxed()
    }
}

/// The state of announcing one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Announced {
    /// Not announced.
    #[default]
    No,
    /// Its opening is being announced.
    Coming,
    /// It closed while its opening is being announced: the same task will announce that, too.
    ComingAndGone,
    /// Its opening was announced.
    Here,
    /// Nothing is left to announce.
    Over,
}

/// Tells of connections.
pub(super) struct ConnectionEvents {
    /// Places for connections that wait to be announced (`limits.connection_events`).
    places: Arc<Semaphore>,
    turns: Arc<Semaphore>,
    tasks: TaskTracker,
}

impl ConnectionEvents {
    /// With this many places for waiting connections.
    pub(super) fn new(places: usize) -> Self {
        let places = Arc::new(Semaphore::new(places.min(Semaphore::MAX_PERMITS)));
        Self { places, turns: Arc::new(Semaphore::new(ANNOUNCEMENTS_MAX)), tasks: TaskTracker::new() }
    }

    /// Called when a connection cleared gate 1. Never waits.
    pub(super) fn opened<L: Listener>(&self, listener: &Arc<L>, connection: &Arc<Connection>) {
        if !listener.listens() {
            return;
        }
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            return telemetry::connection_unannounced();
        };
        {
            let mut announced = connection.announced();
            if *announced != Announced::No {
                return;
            }
            *announced = Announced::Coming;
        }
        let (listener, connection) = (Arc::clone(listener), Arc::clone(connection));
        let turns = Arc::clone(&self.turns);
        self.tasks.spawn(async move {
            announce(&turns, &*listener, &connection, Phase::Connected).await;
            drop(place);
            let is_gone = {
                let mut announced = connection.announced();
                let is_gone = *announced == Announced::ComingAndGone;
                *announced = if is_gone { Announced::Over } else { Announced::Here };
                is_gone
            };
            if is_gone {
                announce(&turns, &*listener, &connection, Phase::Disconnected).await;
            }
        });
    }

    /// Called when a connection has ended. Never waits; only the first call has an effect.
    pub(super) fn closed<L: Listener>(&self, listener: &Arc<L>, connection: &Arc<Connection>) {
        {
            let mut announced = connection.announced();
            let before = *announced;
            *announced = match before {
                Announced::Coming | Announced::ComingAndGone => Announced::ComingAndGone,
                Announced::No | Announced::Here | Announced::Over => Announced::Over,
            };
            if before != Announced::Here {
                return;
            }
        }
        let (listener, connection) = (Arc::clone(listener), Arc::clone(connection));
        let turns = Arc::clone(&self.turns);
        self.tasks.spawn(async move { announce(&turns, &*listener, &connection, Phase::Disconnected).await });
    }

    /// Resolves when everything was announced.
    pub(super) async fn all_announced(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// A panic is a bug of the server; it costs only this announcement.
async fn announce(turns: &Semaphore, listener: &impl Listener, connection: &Connection, phase: Phase) {
    let Ok(_turn) = turns.acquire().await else { return };
    if AssertUnwindSafe(listener.announce(&connection.session, phase)).catch_unwind().await.is_err() {
        tracing::error!(
            connection = connection.id().as_str(),
            phase = phase.as_str(),
            "announcing a connection to plugins panicked"
        );
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use parking_lot::Mutex;

    use super::super::link::fake::FakeLink;
    use super::*;

    /// Takes each announcement when the test lets it, and remembers all of them.
    struct FakeListener {
        listens: bool,
        released: Semaphore,
        arrived: Semaphore,
        at_once: AtomicUsize,
        announced: Mutex<Vec<String>>,
    }

    impl FakeListener {
        fn new(released: usize) -> Arc<Self> {
            Arc::new(Self {
                listens: true,
                released: Semaphore::new(released),
                arrived: Semaphore::new(0),
                at_once: AtomicUsize::new(0),
                announced: Mutex::default(),
            })
        }

        fn announced(&self) -> Vec<String> {
            self.announced.lock().clone()
        }
    }

    impl Listener for FakeListener {
        fn listens(&self) -> bool {
            self.listens
        }

        fn announce<'a>(&'a self, session: &'a Session, phase: Phase) -> BoxFuture<'a, ()> {
            async move {
                self.at_once.fetch_add(1, Ordering::SeqCst);
                self.arrived.add_permits(1);
                self.released.acquire().await.unwrap().forget();
                self.announced.lock().push(format!("{} {}", session.connection().as_str(), phase.as_str()));
                self.at_once.fetch_sub(1, Ordering::SeqCst);
                assert!(session.connection().as_str() != "panics", "as announced");
            }
            .boxed()
        }
    }

    fn connection(id: &str) -> Arc<Connection> {
        Connection::over(FakeLink::default(), id)
    }

    #[tokio::test]
    async fn a_connection_that_ends_while_its_opening_is_announced_is_announced_in_order() {
        let (events, listener, one) = (ConnectionEvents::new(8), FakeListener::new(0), connection("a"));
        events.opened(&listener, &one);
        listener.arrived.acquire().await.unwrap().forget();
        events.closed(&listener, &one);
        listener.released.add_permits(2);
        events.all_announced().await;
        assert_eq!(listener.announced(), ["a connected", "a disconnected"]);
    }

    #[tokio::test]
    async fn an_end_is_announced_once_however_often_it_is_noticed() {
        let (events, listener, one) = (ConnectionEvents::new(8), FakeListener::new(8), connection("a"));
        events.opened(&listener, &one);
        events.all_announced().await;
        events.closed(&listener, &one);
        events.closed(&listener, &one);
        events.all_announced().await;
        events.opened(&listener, &one);
        events.all_announced().await;
        assert_eq!(listener.announced(), ["a connected", "a disconnected"]);
    }

    #[tokio::test]
    async fn beyond_the_bound_a_connection_is_announced_neither_way_and_room_made_is_used_again() {
        let (events, listener) = (ConnectionEvents::new(1), FakeListener::new(0));
        let (first, second, third) = (connection("first"), connection("second"), connection("third"));
        events.opened(&listener, &first);
        events.opened(&listener, &second);
        events.closed(&listener, &second);
        listener.released.add_permits(8);
        events.all_announced().await;
        events.opened(&listener, &third);
        events.closed(&listener, &first);
        events.all_announced().await;
        let mut announced = listener.announced();
        announced.sort();
        assert_eq!(announced, ["first connected", "first disconnected", "third connected"]);
    }

    #[tokio::test]
    async fn a_storm_is_announced_a_few_connections_at_a_time() {
        let (events, listener) = (ConnectionEvents::new(100), FakeListener::new(0));
        let storm: Vec<_> = (0..50).map(|number| connection(&number.to_string())).collect();
        storm.iter().for_each(|one| events.opened(&listener, one));
        for _ in 0..ANNOUNCEMENTS_MAX {
            listener.arrived.acquire().await.unwrap().forget();
        }
        tokio::task::yield_now().await;
        assert_eq!(listener.at_once.load(Ordering::SeqCst), ANNOUNCEMENTS_MAX);
        listener.released.add_permits(50);
        events.all_announced().await;
        assert_eq!(listener.announced().len(), 50);
    }

    #[tokio::test]
    async fn a_panic_costs_no_other_announcement() {
        let (events, listener, one) = (ConnectionEvents::new(1), FakeListener::new(8), connection("panics"));
        events.opened(&listener, &one);
        events.closed(&listener, &one);
        events.all_announced().await;
        events.opened(&listener, &connection("next"));
        events.all_announced().await;
        assert_eq!(listener.announced(), ["panics connected", "panics disconnected", "next connected"]);
    }

    #[tokio::test]
    async fn where_nobody_listens_nothing_is_announced_and_no_task_is_started() {
        let mut listener = FakeListener::new(8);
        Arc::get_mut(&mut listener).unwrap().listens = false;
        let (events, one) = (ConnectionEvents::new(8), connection("a"));
        events.opened(&listener, &one);
        events.closed(&listener, &one);
        assert!(events.tasks.is_empty());
        assert_eq!(listener.announced(), Vec::<String>::new());
    }
}
