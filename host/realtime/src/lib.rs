//! Stock Socket.IO clients in, publications out. The only home of axum's socket side.
//!
//! The life of a connection, in order:
//!
//! 1. `listener` accepts its TCP connection, and `timed_stream` gives every wait of HTTP a deadline.
//! 2. The transport keeps its session, and asks the `handler`: `admission` turns away what cannot be served now, and
//!    `handshake` takes the client through gate 1. `connections` knows it from then on.
//! 3. Each event of the client is a `client_event`; it waits for its turn in the `inbound_queue`, and is answered.
//! 4. `membership` and `rooms` follow the topics that the session holds. All that the client receives is a `frame`,
//!    written to its `link`.
//!    A client without a session of the transport may have a `stream`: a connection with one topic. A client with recovery
//!    has a `trail`, and a session in the `parking`; `comeback` gives it back.
//! 5. `expiry` and `revalidation` watch its credential by a `timer_queue`, and `eviction` is how it ends; `drain` ends
//!    all. `connection_events` announces the beginning and the end to plugins.

mod admission;
mod client_event;
mod comeback;
mod connection_events;
mod connections;
mod cors;
mod drain;
mod eviction;
mod expiry;
mod failed_logins;
mod frame;
mod handler;
mod handshake;
mod inbound_queue;
mod inspect;
mod link;
mod listener;
mod membership;
mod origin_address;
mod parking;
mod refusals;
mod revalidation;
mod room;
mod rooms;
mod stream;
mod timed_stream;
mod timer_queue;
mod trail;
mod visitor;

pub use inspect::{Client, ClientsAsked, ListedTopic, Page, Subscriber, Subscribers, TopicCounts, TopicsAsked};
pub use listener::{ListenerLimits, serve};
pub use stream::{Since, StreamRequest};
pub use timed_stream::Peer;
pub use visitor::Visitors;

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use futures_util::StreamExt;
use tidegate_transport::{Settings, Transport};
use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;

use tidegate_core::channels::Channel;
use tidegate_core::config::{self, Auth, Limits};
use tidegate_core::flow::broker::Broker;
use tidegate_core::flow::ports::Removed;
use tidegate_core::flow::{Gates, Publication, ports};
use tidegate_core::protocol::{PresenceChange, SessionEvent, Topic};
use tidegate_core::telemetry;

use comeback::Sessions;
use connection_events::ConnectionEvents;
use connections::{Connection, Connections};
use drain::Drain;
use expiry::Expiry;
use failed_logins::FailedLogins;
use frame::Frame;
use handler::Entrance;
use origin_address::Addresses;
use parking::Parking;
use rooms::Rooms;
use stream::Streams;

/// Connections whose subscriptions are re-authorized at the same time after a reload, because authorizers have other
/// work, too.
const REAUTHORIZATIONS_MAX: usize = 16;

/// The clients of this server.
pub struct Realtime {
    limits: Limits,
    connections: Arc<Connections>,
    rooms: Rooms,
    failed_logins: FailedLogins,
    connection_events: ConnectionEvents,
    expiry: Expiry,
    drain: Drain,
    streams: Streams,
    transport: OnceLock<Transport<Entrance>>,
    /// The sessions of clients with recovery; empty where there is none.
    sessions: OnceLock<Arc<Sessions>>,
    /// The gates of these clients; weak, because the gates own this as their port.
    gates: OnceLock<Weak<Gates>>,
}

impl Realtime {
    /// No clients yet; `broker` learns which topics have subscribers. This is the [`ports::Rooms`] of the gates, which
    /// are created after it and passed to [`Realtime::attach`].
    #[must_use]
    pub fn new(limits: Limits, broker: Arc<dyn Broker>) -> Arc<Self> {
        Arc::new(Self {
            connection_events: ConnectionEvents::new(limits.connection_events_max),
            failed_logins: FailedLogins::new(limits.failed_connects_max),
            limits,
            connections: Arc::default(),
            rooms: Rooms::new(broker),
            expiry: Expiry::default(),
            drain: Drain::default(),
            streams: Streams::default(),
            transport: OnceLock::new(),
            sessions: OnceLock::new(),
            gates: OnceLock::new(),
        })
    }

    /// The same as [`Realtime::attach`], for clients that are served on another runtime: everything about them happens
    /// there.
    pub fn attach_apart(
        self: &Arc<Self>,
        router: axum::Router,
        gates: &Arc<Gates>,
        auth: &Auth,
        transport: &config::Transport,
        runtime: Handle,
    ) -> axum::Router {
        self.attach_to(router, gates, auth, transport, Some(runtime))
    }

    /// Adds the transport to a router. `auth` says which origins may poll, and which proxies are trusted; `transport`
    /// how clients connect. Call it once; the result is for [`serve`], without which nothing becomes a websocket.
    pub fn attach(
        self: &Arc<Self>,
        router: axum::Router,
        gates: &Arc<Gates>,
        auth: &Auth,
        transport: &config::Transport,
    ) -> axum::Router {
        self.attach_to(router, gates, auth, transport, None)
    }

    fn attach_to(
        self: &Arc<Self>,
        router: axum::Router,
        gates: &Arc<Gates>,
        auth: &Auth,
        transport: &config::Transport,
        apart: Option<Handle>,
    ) -> axum::Router {
        let _ = self.gates.set(Arc::downgrade(gates));
        let entrance =
            Entrance { realtime: Arc::clone(self), gates: Arc::clone(gates), addresses: Addresses::new(auth) };
        if transport.recovery.get() > Duration::ZERO {
            let _ = self.sessions.set(Parking::new(transport.recovery.get(), self.limits.parked_sessions_max));
        }
        let settings = transport_settings(&self.limits, transport);
        let path = settings.path.clone();
        let transport = Transport::new(entrance, settings);
        if self.transport.set(transport.clone()).is_err() {
            tracing::error!("clients are attached already, so the second transport will not drain");
        }
        let serve = move |mut request: Request| {
            let (transport, apart) = (transport.clone(), apart.clone());
            let upgrade = hyper::upgrade::on(&mut request);
            let answer =
                async move { transport.serve(request, Box::pin(listener::websocket(upgrade))).await.map(Body::new) };
            async move {
                match apart {
                    None => answer.await,
                    // A request that its client gives up ends there, too.
                    Some(runtime) => {
                        let answer = AbortOnDropHandle::new(runtime.spawn(answer)).await;
                        answer.unwrap_or_else(|_| admission::full().map(Body::new))
                    }
                }
            }
        };
        let routes = axum::Router::new()
            .route(&path, axum::routing::any(serve))
            .layer(cors::layer(gates, auth.cors_headers.as_deref()));
        router.merge(routes)
    }

    /// The sessions of clients with recovery.
    fn sessions(&self) -> Option<&Arc<Sessions>> {
        self.sessions.get()
    }

    fn gates(&self) -> Option<Arc<Gates>> {
        self.gates.get()?.upgrade()
    }

    /// How many clients are connected.
    #[must_use]
    pub fn connections_count(&self) -> usize {
        self.connections.count()
    }

    /// How many topics have subscribers.
    #[must_use]
    pub fn topics_count(&self) -> usize {
        self.rooms.count()
    }

    /// How many clients are subscribed to a topic.
    #[must_use]
    pub fn subscribers_count(&self, topic: &Topic) -> usize {
        self.rooms.members_count(topic)
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
        self.schedule_recheck(gates, connection);
    }
}

impl Realtime {
    /// Sends a message about a topic to its members, after the ack of a subscribe that is under way.
    fn tell_members(&self, topic: &Topic, event: &SessionEvent) {
        let frame = Frame::session_event(event);
        for connection in self.rooms.members(topic) {
            if let Err(error) = connection.tell_of(topic, &frame) {
                self.cut(&connection, error);
            }
        }
    }
}

fn transport_settings(limits: &Limits, transport: &config::Transport) -> Settings {
    let config::Transport {
        path,
        transports,
        ping_interval,
        ping_timeout,
        upgrade_timeout,
        window,
        compression,
        recovery: _,
    } = transport;
    Settings {
        path: path.clone(),
        polling: transports.contains(&config::Carrier::Polling),
        websocket: transports.contains(&config::Carrier::Websocket),
        ping_interval: ping_interval.get(),
        ping_timeout: ping_timeout.get(),
        connect_timeout: limits.handshake_timeout,
        upgrade_timeout: upgrade_timeout.get(),
        body_timeout: limits.body_timeout,
        payload_bytes_max: limits.frame_bytes_max,
        outbound_bytes_max: limits.outbound_bytes_max,
        window_bytes_max: window.as_usize(),
        compressed_from: compression.as_ref().map(|compression| compression.threshold.as_usize()),
        ..Settings::default()
    }
}

impl ports::Rooms for Realtime {
    fn deliver(&self, publication: &Publication) {
        telemetry::published(publication.channel.template.as_str());
        self.rooms.deliver(publication);
    }

    fn tell_gap(&self, topic: &Topic) {
        self.tell_members(topic, &SessionEvent::Gap { topic: topic.clone() });
    }

    fn tell_removed(&self, topic: &Topic, channel: &Arc<Channel>, removed: &Removed) {
        self.rooms.tell_removed(topic, channel, removed);
    }

    fn tell_presence(&self, change: &PresenceChange) {
        self.tell_members(&change.topic, &SessionEvent::Presence(change.clone()));
    }

    fn tell_gap_in(&self, channels: &BTreeSet<&str>) -> usize {
        let topics = self.rooms.topics_of(channels);
        topics.iter().for_each(|topic| self.tell_gap(topic));
        topics.len()
    }
}
