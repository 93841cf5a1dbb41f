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
use tidegate_core::flow::Gates;
use tidegate_core::flow::Session;
use tidegate_core::flow::ports::Phase;
use tidegate_core::telemetry;

/// Connections that are announced at the same time. A storm of reconnects must not take all turns of a plugin.
const TELLERS: usize = 8;

/// Listens for connections.
pub(super) trait Listener: Send + Sync + 'static {
    /// Whether anybody listens.
    fn listens(&self) -> bool;

    /// Announces a connection.
    fn tell<'a>(&'a self, session: &'a Session, phase: Phase) -> BoxFuture<'a, ()>;
}

impl Listener for Gates {
    fn listens(&self) -> bool {
        self.has_listeners()
    }

    fn tell<'a>(&'a self, session: &'a Session, phase: Phase) -> BoxFuture<'a, ()> {
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
pub(super) struct Announcer {
    /// Places for connections that wait to be announced (`limits.connection_events`).
    places: Arc<Semaphore>,
    tellers: Arc<Semaphore>,
    tasks: TaskTracker,
}

impl Announcer {
    /// An announcer with this many places for waiting connections.
    pub(super) fn new(places: usize) -> Self {
        let places = Arc::new(Semaphore::new(places.min(Semaphore::MAX_PERMITS)));
        Self { places, tellers: Arc::new(Semaphore::new(TELLERS)), tasks: TaskTracker::new() }
    }

    /// Called when a connection cleared gate 1. Never waits.
    pub(super) fn came<L: Listener>(&self, listener: &Arc<L>, connection: &Arc<Connection>) {
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
        let tellers = Arc::clone(&self.tellers);
        self.tasks.spawn(async move {
            tell(&tellers, &*listener, &connection, Phase::Connected).await;
            drop(place);
            let is_gone = {
                let mut announced = connection.announced();
                let is_gone = *announced == Announced::ComingAndGone;
                *announced = if is_gone { Announced::Over } else { Announced::Here };
                is_gone
            };
            if is_gone {
                tell(&tellers, &*listener, &connection, Phase::Disconnected).await;
            }
        });
    }

    /// Called when a connection has ended. Never waits; only the first call has an effect.
    pub(super) fn went<L: Listener>(&self, listener: &Arc<L>, connection: &Arc<Connection>) {
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
        let tellers = Arc::clone(&self.tellers);
        self.tasks.spawn(async move { tell(&tellers, &*listener, &connection, Phase::Disconnected).await });
    }

    /// Resolves when everything was announced.
    pub(super) async fn all_told(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// A panic is a bug of the server; it costs only this announcement.
async fn tell(tellers: &Semaphore, listener: &impl Listener, connection: &Connection, phase: Phase) {
    let Ok(_teller) = tellers.acquire().await else { return };
    if AssertUnwindSafe(listener.tell(&connection.session, phase)).catch_unwind().await.is_err() {
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

    use super::super::lanes::Lanes;
    use super::super::link::fake::FakeLink;
    use super::super::wires::SessionId;
    use super::*;
    use tidegate_core::protocol::ConnectionId;

    /// Takes each word when the test lets it, and remembers all of them.
    struct Ear {
        listens: bool,
        released: Semaphore,
        arrived: Semaphore,
        at_once: AtomicUsize,
        heard: Mutex<Vec<String>>,
    }

    impl Ear {
        fn new(released: usize) -> Arc<Self> {
            Arc::new(Self {
                listens: true,
                released: Semaphore::new(released),
                arrived: Semaphore::new(0),
                at_once: AtomicUsize::new(0),
                heard: Mutex::default(),
            })
        }

        fn heard(&self) -> Vec<String> {
            self.heard.lock().clone()
        }
    }

    impl Listener for Ear {
        fn listens(&self) -> bool {
            self.listens
        }

        fn tell<'a>(&'a self, session: &'a Session, phase: Phase) -> BoxFuture<'a, ()> {
            async move {
                self.at_once.fetch_add(1, Ordering::SeqCst);
                self.arrived.add_permits(1);
                self.released.acquire().await.unwrap().forget();
                self.heard.lock().push(format!("{} {}", session.connection().as_str(), phase.as_str()));
                self.at_once.fetch_sub(1, Ordering::SeqCst);
                assert!(session.connection().as_str() != "panics", "as it was told");
            }
            .boxed()
        }
    }

    fn connection(id: &str) -> Arc<Connection> {
        let lanes = Lanes::new(1, TaskTracker::new());
        Arc::new(Connection::new(
            SessionId::new(id),
            Session::new(ConnectionId::new(id), None),
            lanes,
            FakeLink::default(),
        ))
    }

    #[tokio::test]
    async fn a_connection_that_ends_before_it_was_told_of_is_told_of_in_order() {
        let (announcer, ear, one) = (Announcer::new(8), Ear::new(0), connection("a"));
        announcer.came(&ear, &one);
        ear.arrived.acquire().await.unwrap().forget();
        announcer.went(&ear, &one);
        ear.released.add_permits(2);
        announcer.all_told().await;
        assert_eq!(ear.heard(), ["a connected", "a disconnected"]);
    }

    #[tokio::test]
    async fn an_end_is_told_once_however_often_it_is_noticed() {
        let (announcer, ear, one) = (Announcer::new(8), Ear::new(8), connection("a"));
        announcer.came(&ear, &one);
        announcer.all_told().await;
        announcer.went(&ear, &one);
        announcer.went(&ear, &one);
        announcer.all_told().await;
        announcer.came(&ear, &one);
        announcer.all_told().await;
        assert_eq!(ear.heard(), ["a connected", "a disconnected"]);
    }

    #[tokio::test]
    async fn beyond_the_bound_a_connection_is_announced_neither_way_and_room_made_is_used_again() {
        let (announcer, ear) = (Announcer::new(1), Ear::new(0));
        let (first, second, third) = (connection("first"), connection("second"), connection("third"));
        announcer.came(&ear, &first);
        announcer.came(&ear, &second);
        announcer.went(&ear, &second);
        ear.released.add_permits(8);
        announcer.all_told().await;
        announcer.came(&ear, &third);
        announcer.went(&ear, &first);
        announcer.all_told().await;
        let mut heard = ear.heard();
        heard.sort();
        assert_eq!(heard, ["first connected", "first disconnected", "third connected"]);
    }

    #[tokio::test]
    async fn a_storm_is_told_a_few_connections_at_a_time() {
        let (announcer, ear) = (Announcer::new(100), Ear::new(0));
        let storm: Vec<_> = (0..50).map(|number| connection(&number.to_string())).collect();
        storm.iter().for_each(|one| announcer.came(&ear, one));
        for _ in 0..TELLERS {
            ear.arrived.acquire().await.unwrap().forget();
        }
        tokio::task::yield_now().await;
        assert_eq!(ear.at_once.load(Ordering::SeqCst), TELLERS);
        ear.released.add_permits(50);
        announcer.all_told().await;
        assert_eq!(ear.heard().len(), 50);
    }

    #[tokio::test]
    async fn a_panic_costs_no_other_word() {
        let (announcer, ear, one) = (Announcer::new(1), Ear::new(8), connection("panics"));
        announcer.came(&ear, &one);
        announcer.went(&ear, &one);
        announcer.all_told().await;
        announcer.came(&ear, &connection("next"));
        announcer.all_told().await;
        assert_eq!(ear.heard(), ["panics connected", "panics disconnected", "next connected"]);
    }

    #[tokio::test]
    async fn where_nobody_listens_nothing_is_told_and_no_task_is_started() {
        let mut ear = Ear::new(8);
        Arc::get_mut(&mut ear).unwrap().listens = false;
        let (announcer, one) = (Announcer::new(8), connection("a"));
        announcer.came(&ear, &one);
        announcer.went(&ear, &one);
        assert!(announcer.tasks.is_empty());
        assert_eq!(ear.heard(), Vec::<String>::new());
    }
}
