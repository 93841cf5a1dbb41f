//! How a connection ends. A client that left, and a client whose transport is gone, are forgotten. A slow consumer is
//! cut, so that it reconnects. A client whose credential has expired or was revoked is evicted for good: it learns why
//! and is disconnected by Socket.IO, and a stock client stays away.

use std::collections::HashMap;
use std::sync::Arc;

use tidegate_transport::{CloseReason, SendError};

use super::connections::Connection;
use super::frame::Frame;
use super::{Realtime, connection_events};
use tidegate_core::flow::Gates;
use tidegate_core::flow::ports::{Clients, Touched};
use tidegate_core::flow::revoke::Revocation;
use tidegate_core::protocol::{Code, SessionEvent, Topic};
use tidegate_core::telemetry;

/// The end of a revoked session.
pub(super) const fn revoked(reason: Code) -> SessionEvent {
    SessionEvent::SessionRevoked { reason }
}

impl Realtime {
    /// Sends a client a frame. A client that does not receive it must reconnect, and so learns that it missed something.
    pub(super) fn send(&self, connection: &Arc<Connection>, frame: &Frame) {
        if let Err(error) = connection.send(frame) {
            self.cut(connection, error);
        }
    }

    /// Makes a client reconnect that did not receive a frame.
    pub(super) fn cut(&self, connection: &Arc<Connection>, error: SendError) {
        self.end(connection);
        connection.cut(match error {
            SendError::SlowConsumer => CloseReason::SlowConsumer,
            SendError::Closed => CloseReason::TransportClose,
        });
    }

    /// From now on the connection holds nothing. It stays known until its transport is gone.
    pub(super) fn end(&self, connection: &Arc<Connection>) {
        let recovering = connection.recovering.as_deref();
        let held = if recovering.is_some() { connection.session.topics() } else { Vec::new() };
        let mut infos: HashMap<Topic, _> =
            held.into_iter().filter_map(|topic| Some((topic.clone(), connection.session.info(&topic)?))).collect();
        for topic in connection.session.close() {
            {
                let _membership = connection.membership();
                self.leave(&topic, connection);
            }
            if let Some(recovering) = recovering {
                let info = infos.remove(&topic);
                recovering.ended(topic, info);
            }
        }
        connection.inbound.close();
    }

    /// The connection is in the room of a topic no more, and nothing of the room comes after what is sent from now on.
    pub(super) fn leave(&self, topic: &Topic, connection: &Arc<Connection>) {
        let room = self.rooms.leave(topic, connection);
        // Waits for a delivery of what was held back.
        connection.held.forget(topic);
        if let Some(room) = room {
            connection.forget(room);
        }
    }

    /// A connection is there: from here on it is known, until [`Realtime::forget`].
    pub(super) fn enter(&self, connection: &Arc<Connection>) {
        self.connections.insert(Arc::clone(connection));
        telemetry::connection_opened();
        let user = connection.session.user();
        let user = user.as_ref().map(|user| user.id.as_str());
        telemetry::connected(connection.id().as_str(), user, connection.carrier());
    }

    /// The transport is gone.
    pub(super) fn forget<L: connection_events::Listener>(
        &self,
        listener: &Arc<L>,
        connection: &Arc<Connection>,
        reason: &'static str,
    ) {
        self.end(connection);
        self.expiry.forget(connection);
        if self.connections.remove(connection) {
            telemetry::connection_closed(reason);
            let user = connection.session.user();
            let user = user.as_ref().map(|user| user.id.as_str());
            telemetry::disconnected(connection.id().as_str(), user, reason);
            self.connection_events.closed(listener, connection);
        }
    }

    /// Ends a session for good: it receives nothing more except the reason, and is disconnected.
    pub(super) fn evict(
        &self,
        gates: &Arc<Gates>,
        connection: &Arc<Connection>,
        event: &SessionEvent,
        reason: &'static str,
    ) {
        self.end(connection);
        self.give_up(connection);
        let sent = connection.send(&Frame::session_event(event)).and_then(|()| connection.send(&Frame::Disconnect));
        self.forget(gates, connection, reason);
        match sent {
            // Its transport has no more use: without a connection it would count in no limit.
            Ok(()) => connection.finish(CloseReason::ServerClose),
            // It comes back, and learns it from gate 1.
            Err(SendError::SlowConsumer | SendError::Closed) => connection.cut(CloseReason::SlowConsumer),
        }
    }
}

impl Clients for Realtime {
    fn revoke(&self, revocation: &Arc<Revocation>) -> Touched {
        let mut touched = Touched::default();
        let Some(gates) = self.gates() else { return touched };
        let Revocation { user, token, topic, .. } = &**revocation;
        let meant = match (user, token, topic) {
            (Some(user), _, _) => self.connections.of_user(user),
            (None, Some(token), _) => self.connections.of_token(token),
            (None, None, Some(topic)) => self.rooms.members(topic),
            (None, None, None) => Vec::new(),
        };
        if let Some(topic) = topic {
            self.withdraw_from_parked(topic, |user| revocation.covers(user));
        }
        for connection in meant {
            let session = &connection.session;
            let is_covered = !session.is_backend() && revocation.covers(session.user().as_deref());
            match topic {
                None if is_covered => {
                    self.evict(&gates, &connection, &revoked(Code::TokenRevoked), "revoked");
                    touched.sessions += 1;
                    continue;
                }
                Some(topic) if is_covered && gates.withdraw(&self.member(&connection), topic) => {
                    touched.subscriptions += 1;
                }
                None | Some(_) => {}
            }
            if user.is_some() {
                self.expiry.rechecks.set_no_later(&connection, gates.elapsed().now());
                touched.rechecked += 1;
            }
        }
        touched
    }
}

#[cfg(test)]
mod tests {
    use super::super::link::fake::FakeLink;
    use super::super::rooms::fixture::{newest, publication};
    use super::*;
    use futures_util::future::BoxFuture;
    use tidegate_core::config::Limits;
    use tidegate_core::flow::Session;
    use tidegate_core::flow::ports::{self, Rooms as _};
    use tidegate_testkit::FakeBroker;

    /// No plugin hears of connections.
    struct Nobody;

    impl connection_events::Listener for Nobody {
        fn listens(&self) -> bool {
            false
        }

        fn announce<'a>(&'a self, _: &'a Session, _: ports::Phase) -> BoxFuture<'a, ()> {
            unreachable!("nobody listens")
        }
    }

    fn realtime() -> Arc<Realtime> {
        Realtime::new(Limits::default(), Arc::new(FakeBroker::default()))
    }

    fn connect(realtime: &Arc<Realtime>, id: &str, link: &FakeLink) -> Arc<Connection> {
        let connection = Connection::over(link.clone(), id);
        realtime.connections.insert(Arc::clone(&connection));
        connection
    }

    #[test]
    fn a_slow_consumer_is_cut_and_the_others_receive() {
        let realtime = realtime();
        let (reads, reads_not) = (FakeLink::default(), FakeLink::full());
        let publication = publication("feed", "feed", r#"{"n": 1}"#);
        let topic = &publication.topic;
        let slow = connect(&realtime, "slow", &reads_not);
        realtime.rooms.join(topic, "feed", &connect(&realtime, "fast", &reads));
        realtime.rooms.join(topic, "feed", &slow);
        realtime.deliver(&publication);
        assert_eq!(reads.frames(), [r#"feed({"n": 1}, {})"#]);
        assert!(!reads.is_cut());
        assert!(reads_not.is_cut());
    }

    #[test]
    fn nothing_of_a_topic_waits_any_more_for_a_client_that_left_it() {
        let (realtime, link) = (realtime(), FakeLink::default());
        let client = connect(&realtime, "one", &link);
        let publications = ["left", "held"].map(|topic| newest(topic, topic, r#"{"key": 1}"#));
        for publication in &publications {
            realtime.rooms.join(&publication.topic, publication.topic.as_str(), &client);
            realtime.deliver(publication);
        }
        realtime.leave(&publications[0].topic, &client);
        assert_eq!(link.frames(), [r#"held({"key": 1}, {})"#]);
    }

    #[test]
    fn a_client_that_subscribes_gets_the_newest_of_each_key_after_its_ack() {
        let (realtime, link) = (realtime(), FakeLink::default());
        let client = connect(&realtime, "one", &link);
        let of = |key: u8, n: u8| newest("feed", "feed", &format!(r#"{{"key":{key},"n":{n}}}"#));
        let topic = &of(0, 0).topic;
        client.held.hold(topic);
        realtime.rooms.join(topic, "feed", &client);
        (0..10).for_each(|n| realtime.deliver(&of(n % 2, n)));
        assert!(link.frames().is_empty());
        client.held.resume(topic, None, |frame| client.send(frame).unwrap());
        assert_eq!(link.frames(), [r#"feed({"key":0,"n":8}, {})"#, r#"feed({"key":1,"n":9}, {})"#]);
    }

    #[tokio::test]
    async fn a_cut_connection_is_known_until_its_transport_is_gone() {
        let realtime = realtime();
        let connection = connect(&realtime, "slow", &FakeLink::full());
        realtime.send(&connection, &Frame::session_event(&SessionEvent::Draining { retry_in_s: 1.0 }));
        assert_eq!(realtime.connections_count(), 1);
        realtime.forget(&Arc::new(Nobody), &connection, "transport_close");
        assert_eq!(realtime.connections_count(), 0);
    }
}
