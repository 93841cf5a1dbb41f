//! Stock Socket.IO clients in, publications out. The only home of socketioxide and of axum's socket side.
//!
//! `link` is the port to one client's transport, and `socketio` implements it. Everything between them and the flow
//! (`answer`, `lanes`, `rooms`, `connections`) is independent of the transport.

mod announcer;
mod answer;
mod connections;
mod cors;
mod cuttable_stream;
mod deadlines;
mod door;
mod endings;
mod failures;
mod foreign;
mod lanes;
mod link;
mod listener;
mod looks;
mod membership;
mod origin_address;
mod rooms;
mod socketio;
mod timed_body;
mod wires;

pub use cuttable_stream::Peer;
pub use listener::{ListenerLimits, serve};

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use futures_util::StreamExt;
use serde_json::value::{RawValue, to_raw_value};
use tokio::time::{Instant, timeout_at};
use tokio_util::task::TaskTracker;

use tidegate_core::config::{Auth, Limits};
use tidegate_core::flow::broker::Broker;
use tidegate_core::flow::{Gates, Publication, ports};
use tidegate_core::protocol::{Meta, SessionEvent, Topic};
use tidegate_core::telemetry;

use announcer::Announcer;
use connections::{Barred, Connection, Connections};
use deadlines::{Deadlines, UnixMs};
use failures::Failures;
use foreign::Foreign;
use link::LinkError;
use rooms::Rooms;
use wires::Wires;

/// Connections whose subscriptions are re-authorized at the same time after a reload, because authorizers have other
/// work, too.
const REAUTHORIZATIONS_MAX: usize = 16;

/// The clients of this server.
pub struct Realtime {
    limits: Limits,
    connections: Arc<Connections>,
    rooms: Rooms,
    wires: Arc<Wires>,
    failures: Failures,
    foreign: Arc<Foreign>,
    /// All tasks that answer events.
    tasks: TaskTracker,
    announcer: Announcer,
    /// The server drains, and every client was informed.
    drain_told: AtomicBool,
    transport: OnceLock<socketio::Transport>,
    /// The gates of these clients; weak, because the gates own this as their port.
    gates: OnceLock<Weak<Gates>>,
    /// When credentials end, by the wall clock.
    endings: Deadlines<UnixMs>,
    /// When subscriptions are re-authorized, in the time of [`Gates::elapsed`].
    rechecks: Deadlines<Instant>,
    /// When credentials are checked again.
    looks: Deadlines<Instant>,
    /// When the transports of dismissed clients are cut.
    partings: Deadlines<Instant>,
    /// The second argument of every publication.
    meta: Box<RawValue>,
}

impl Realtime {
    /// No clients yet; `broker` learns which topics have subscribers. This is the [`ports::Rooms`] of the gates, which
    /// are created after it and passed to [`Realtime::attach`].
    #[must_use]
    pub fn new(limits: Limits, broker: Arc<dyn Broker>) -> Arc<Self> {
        Arc::new(Self {
            announcer: Announcer::new(limits.connection_events_max),
            failures: Failures::new(limits.failed_connects_max),
            foreign: Arc::default(),
            limits,
            connections: Arc::default(),
            rooms: Rooms::new(broker),
            wires: Arc::default(),
            tasks: TaskTracker::new(),
            drain_told: AtomicBool::new(false),
            transport: OnceLock::new(),
            gates: OnceLock::new(),
            endings: Deadlines::default(),
            rechecks: Deadlines::default(),
            looks: Deadlines::default(),
            partings: Deadlines::default(),
            meta: to_raw_value(&Meta).unwrap_or_default(),
        })
    }

    /// Adds `/socket.io/` to a router. `auth` says which origins may poll, and which proxies are trusted. Call it once;
    /// the result is for [`serve`], without which a client that does not read cannot be cut.
    pub fn attach(self: &Arc<Self>, router: axum::Router, gates: &Arc<Gates>, auth: &Auth) -> axum::Router {
        let _ = self.gates.set(Arc::downgrade(gates));
        let (transport, routes) = socketio::Transport::new(self, gates, auth);
        if self.transport.set(transport).is_err() {
            tracing::error!("clients are attached already, so the second transport will not drain");
        }
        router.merge(routes)
    }

    fn gates(&self) -> Option<Arc<Gates>> {
        self.gates.get()?.upgrade()
    }

    /// How many clients are connected.
    #[must_use]
    pub fn connections_count(&self) -> usize {
        self.connections.count()
    }

    /// After a reload: ends the subscriptions that the current catalog no longer admits, and informs the clients.
    pub fn recheck_all(&self, gates: &Gates) {
        for connection in self.connections.all() {
            gates.recheck(&self.member(&connection));
        }
    }

    /// After a reload: re-authorizes the subscriptions whose authorizers changed, some connections at a time, ends
    /// those that are refused, and informs the clients.
    pub async fn reauthorize_all(&self, gates: &Gates) {
        let connections = futures_util::stream::iter(self.connections.all());
        let ask = |connection| async move { self.reauthorize(gates, &connection).await };
        connections.for_each_concurrent(REAUTHORIZATIONS_MAX, ask).await;
    }

    async fn reauthorize(&self, gates: &Gates, connection: &Arc<Connection>) {
        gates.reauthorize(&self.member(connection)).await;
        self.await_recheck(gates, connection);
    }

    /// Tells every client that the server is about to stop, waits for running events to be answered, and closes the
    /// transports, so that stock clients reconnect. New sessions are refused from the beginning. Keep serving HTTP
    /// until it is done, because polling clients need it to learn of it. At the end the closed connections are
    /// announced to plugins. Ends within `limits.drain_timeout`; returns how many connections had to be cut.
    pub async fn drain(&self, gates: &Arc<Gates>) -> usize {
        let began = Instant::now();
        let part = self.limits.drain_timeout / 4;
        gates.drain();
        telemetry::draining(self.connections.count());
        for connection in self.connections.all() {
            self.tell(&connection, &SessionEvent::Draining);
        }
        self.drain_told.store(true, Ordering::Release);
        self.tasks.close();
        // Events that still run after that get no answer; the client asks again elsewhere.
        let _ = timeout_at(began + part, self.tasks.wait()).await;
        let _ = timeout_at(began + part * 2, self.polls_taken()).await;
        let Some(transport) = self.transport.get() else { return 0 };
        // Closing waits until every peer has read what is queued, so a peer that does not read would delay it for ever.
        let closed = timeout_at(began + part * 3, transport.close()).await;
        let mut cut = 0;
        for connection in self.connections.all() {
            cut += usize::from(closed.is_err() && !connection.session.is_closed());
            self.end(&connection);
            connection.cut();
            self.announcer.went(gates, &connection);
        }
        // What was not announced by then is not announced: a slow plugin does not delay the end.
        let _ = timeout_at(began + part * 4, self.announcer.all_told()).await;
        cut
    }

    /// Waits until polling clients have fetched what is queued: between two polls they cannot be reached, and closing
    /// drops what waits.
    async fn polls_taken(&self) {
        for connection in self.connections.all() {
            if !self.wires.carries(&connection.transport) {
                connection.heard_last_word().await;
            }
        }
    }

    /// Sends a client a message about its session. If that fails, the client is made to reconnect.
    fn tell(&self, connection: &Arc<Connection>, event: &SessionEvent) {
        if let Err(error) = connection.tell(event) {
            self.cut(connection, error);
        }
    }

    /// A client did not receive something: it must reconnect, and so learns that it missed something.
    fn cut(&self, connection: &Arc<Connection>, error: LinkError) {
        if error == LinkError::Full && !connection.session.is_closed() {
            telemetry::outbound_overflow();
        }
        self.end(connection);
        connection.cut();
    }

    /// From now on the connection holds nothing. It stays known until its transport is gone.
    fn end(&self, connection: &Arc<Connection>) {
        for topic in connection.session.close() {
            let _membership = connection.membership();
            self.rooms.leave(&topic, connection.id());
        }
        connection.lanes.close();
    }

    /// The transport is gone.
    fn forget<L: announcer::Listener>(&self, listener: &Arc<L>, connection: &Arc<Connection>, reason: &'static str) {
        self.end(connection);
        self.endings.set(connection, None);
        self.rechecks.set(connection, None);
        self.looks.set(connection, None);
        if self.connections.remove(connection) {
            telemetry::connection_closed(reason);
            let user = connection.session.user();
            let user = user.as_ref().map(|user| user.id.as_str());
            telemetry::disconnected(connection.id().as_str(), user, reason);
            self.announcer.went(listener, connection);
        }
    }

    /// The client left by itself. Its transport has no more use: without a connection it would count in no limit, so it
    /// is closed, too.
    fn hang_up(&self, gates: &Arc<Gates>, connection: &Arc<Connection>, reason: &'static str) {
        self.forget(gates, connection, reason);
        self.connections.bar(connection.transport.clone(), Barred::Ended, socketio::SESSION_TIMEOUT);
        connection.cut();
    }
}

impl ports::Rooms for Realtime {
    fn deliver(&self, publication: &Publication) {
        for (connection, error) in self.rooms.deliver(publication, &self.meta) {
            self.cut(&connection, error);
        }
    }

    fn tell_gap(&self, topic: &Topic) {
        let event = SessionEvent::Gap { topic: topic.clone() };
        for connection in self.rooms.members(topic) {
            self.tell(&connection, &event);
        }
    }

    fn tell_gap_in(&self, channels: &BTreeSet<&str>) -> usize {
        let topics = self.rooms.topics_of(channels);
        topics.iter().for_each(|topic| self.tell_gap(topic));
        topics.len()
    }
}

#[cfg(test)]
mod tests {
    use super::link::fake::FakeLink;
    use super::*;
    use tidegate_core::flow::Session;
    use tidegate_core::protocol::ConnectionId;
    use tidegate_testkit::FakeBroker;

    /// No plugin hears of connections.
    struct Nobody;

    impl announcer::Listener for Nobody {
        fn listens(&self) -> bool {
            false
        }

        fn tell<'a>(&'a self, _: &'a Session, _: ports::Phase) -> futures_util::future::BoxFuture<'a, ()> {
            unreachable!("nobody listens")
        }
    }

    fn connect(realtime: &Arc<Realtime>, id: &str, link: &FakeLink) -> Arc<Connection> {
        let session = Session::new(ConnectionId::new(id), None);
        let lanes = lanes::Lanes::new(8, realtime.tasks.clone());
        let connection = Arc::new(Connection::new(wires::SessionId::new(id), session, lanes, link.clone()));
        realtime.connections.insert(Arc::clone(&connection));
        connection
    }

    #[test]
    fn a_subscriber_that_does_not_read_is_cut_and_the_others_receive() {
        let realtime = Realtime::new(Limits::default(), Arc::new(FakeBroker::default()));
        let (reads, reads_not) = (FakeLink::default(), FakeLink::full());
        let publication = rooms::fixture::publication("feed", "feed", r#"{"n": 1}"#);
        let topic = &publication.topic;
        let slow = connect(&realtime, "slow", &reads_not);
        realtime.rooms.join(topic, "feed", &connect(&realtime, "fast", &reads));
        realtime.rooms.join(topic, "feed", &slow);
        ports::Rooms::deliver(&*realtime, &publication);
        assert_eq!(reads.events(), [r#"feed({"n": 1}, {})"#]);
        assert!(!reads.is_killed());
        assert!(reads_not.is_killed());
        assert!(slow.session.is_closed());
    }

    #[tokio::test]
    async fn a_cut_connection_is_known_until_its_transport_is_gone() {
        let realtime = Realtime::new(Limits::default(), Arc::new(FakeBroker::default()));
        let connection = connect(&realtime, "slow", &FakeLink::full());
        realtime.tell(&connection, &SessionEvent::Draining);
        connection.was_cut().await;
        assert_eq!(realtime.connections_count(), 1);
        realtime.forget(&Arc::new(Nobody), &connection, "transport_close");
        assert_eq!(realtime.connections_count(), 0);
    }
}
