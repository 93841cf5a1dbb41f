//! Nodes that share a Redis: publications go through Pub/Sub, one channel for each topic; messages to every node go
//! through a stream.
//!
//! There are two connections. The [`publisher`] sends, pipelined and in order. The [`subscriber`] receives the topics with
//! subscribers here. A third, made when it is first needed, reads histories ([`history`]). With each publication Redis counts a number for the topic. After a lost connection a node sees by
//! these numbers which topics missed something, and sends their subscribers a gap.

mod history;
mod history_scripts;
mod idempotency;
mod names;
mod presence;
mod publisher;
mod questions;
mod retained;
mod retained_scripts;
mod subscriber;

mod scripts;

use std::sync::Arc;
use std::time::Duration;

use ::redis::{Client, IntoConnectionInfo as _, ProtocolVersion, Value};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::byte_budget::ByteBudget;
use super::delivery::Followed;
use super::interest::Interest;
use super::links::{Link, Links};
use super::message::Heading;
use super::pending_gaps::PendingGaps;
use super::settings::BrokerSettings;
use history::HistoryReader;
pub use idempotency::RedisIdempotencyKeys;
use names::Names;
pub use presence::RedisSharedMembers;
use publisher::{Command, Publisher, QueuedCommand};
use subscriber::Subscriber;
use tidegate_core::channels::Rate;
use tidegate_core::config::RedisUrl;
use tidegate_core::flow::Publication;
use tidegate_core::flow::broker::{Broker, BrokerAway, HearsNodes, Sending};
use tidegate_core::flow::ports::{HistoryAway, Page, Wanted};
use tidegate_core::protocol::{Position, Topic, User};
use tidegate_core::telemetry;

/// The settings of a broker in Redis.
pub type RedisBrokerSettings = BrokerSettings<RedisUrl>;

/// The port; [`RedisConnections`] does the work.
pub struct RedisBroker {
    commands: mpsc::Sender<QueuedCommand>,
    state: Arc<State>,
}

/// A command on its way to Redis.
type Sent = Result<oneshot::Receiver<Value>, BrokerAway>;

/// The connections to Redis. Nothing is sent or received before [`RedisConnections::run`].
pub struct RedisConnections {
    publisher: Publisher,
    subscriber: Subscriber,
    state: Arc<State>,
}

/// What the port and the connections share.
struct State {
    names: Names,
    /// Distinguishes this node's publications from others'.
    node: String,
    timeout: Duration,
    interest: Interest,
    pending_gaps: PendingGaps,
    bytes: Arc<ByteBudget>,
    reader: HistoryReader,
    once_for: Duration,
    links: Links,
}

impl RedisBroker {
    /// A broker and its connections.
    ///
    /// # Errors
    /// The driver's error, if it does not accept the URL.
    pub fn new(settings: RedisBrokerSettings) -> Result<(Arc<Self>, RedisConnections), ::redis::RedisError> {
        let client = client(&settings.url)?;
        let names = Names::new(&settings.prefix, settings.url.database());
        let state = Arc::new(State {
            node: uuid::Uuid::new_v4().simple().to_string(),
            timeout: settings.timeout,
            interest: Interest::new(settings.linger),
            pending_gaps: PendingGaps::default(),
            bytes: Arc::new(ByteBudget::new(settings.queue_bytes_max)),
            reader: HistoryReader::new(client.clone(), &names, settings.timeout),
            names,
            once_for: settings.once_for,
            links: Links::new(settings.url.to_string()),
        });
        let (commands, waiting) = mpsc::channel(settings.queue_max.clamp(1, 1 << 20));
        let publisher = Publisher::new(client.clone(), Arc::clone(&state), waiting);
        let subscriber = Subscriber::new(client, Arc::clone(&state));
        let connections = RedisConnections { publisher, subscriber, state: Arc::clone(&state) };
        Ok((Arc::new(Self { commands, state }), connections))
    }

    /// Puts a command into the queue of the publisher. While the connection is known to be lost it refuses at once, so
    /// that nobody waits.
    fn send(&self, command: Command) -> Sent {
        if !self.state.links.is_up(Link::Out) {
            return Err(BrokerAway);
        }
        let permit = self.state.bytes.take(command.bytes()).ok_or(BrokerAway)?;
        let (answer, answered) = oneshot::channel();
        let until = Instant::now() + self.state.timeout;
        self.commands.try_send(QueuedCommand { command, answer, until, _permit: permit }).map_err(|_| BrokerAway)?;
        telemetry::broker_queue(self.commands.max_capacity() - self.commands.capacity(), self.state.bytes.taken());
        Ok(answered)
    }

    /// The answer to a command, if it was sent.
    async fn answered(sent: Sent, timeout: Duration) -> Result<Value, BrokerAway> {
        match tokio::time::timeout(timeout, sent?).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) | Err(_) => Err(BrokerAway),
        }
    }
}

impl Broker for RedisBroker {
    fn publish(&self, publication: &Publication) -> Option<Sending> {
        let started = Instant::now();
        let Publication { topic, payload, .. } = publication;
        let heading = Heading::of(publication);
        let command = Command::Publish { topic: topic.clone(), heading, payload: payload.unread() };
        let sent = self.send(command);
        if sent.is_err() {
            self.state.pending_gaps.add(topic.clone());
        }
        let timeout = self.state.timeout;
        let sending = async move {
            let taken = Self::answered(sent, timeout).await;
            telemetry::broker_published(taken.is_ok(), started.elapsed());
            taken.map(drop)
        };
        Some(sending.boxed())
    }

    fn subscribed(&self, topic: &Topic) {
        self.state.interest.subscribed(topic);
    }

    fn unsubscribed(&self, topic: &Topic) {
        self.state.interest.unsubscribed(topic);
    }

    fn listening(&self, topic: &Topic) -> Option<Sending> {
        self.state.interest.listening_within(topic, self.state.timeout)
    }

    fn take(&self, channel: &str, user: &User, rate: Rate) -> Option<BoxFuture<'static, bool>> {
        let sent = self.send(Command::Take { window: self.state.names.window(channel, user), rate });
        let timeout = self.state.timeout;
        let asked = async move {
            let left = Self::answered(sent, timeout).await.map(|answer| answer == Value::Int(1));
            telemetry::broker_rate(match left {
                Ok(true) => "ok",
                Ok(false) => "limited",
                Err(BrokerAway) => "unasked",
            });
            left.unwrap_or(true)
        };
        Some(asked.boxed())
    }

    fn tell(&self, message: Vec<u8>) -> Option<Sending> {
        let (sent, timeout) = (self.send(Command::Control { message }), self.state.timeout);
        Some(async move { Self::answered(sent, timeout).await.map(drop) }.boxed())
    }

    fn is_away(&self) -> bool {
        self.state.links.is_away()
    }
}

impl State {
    /// The position of a publication, as `read` finds it in the answer; `None` if it has none. It counts the publication.
    async fn numbered(
        &self,
        topic: &Topic,
        sent: Sent,
        started: Instant,
        read: impl FnOnce(Value) -> Option<Option<Position>>,
    ) -> Result<Option<Position>, BrokerAway> {
        let answer = RedisBroker::answered(sent, self.timeout).await;
        let position = answer.and_then(|answer| read(answer).ok_or(BrokerAway));
        telemetry::broker_published(position.is_ok(), started.elapsed());
        if let Ok(Some(position)) = &position {
            self.interest.hear_own(topic, position, self.timeout).await;
        }
        position
    }
}

impl Followed for State {
    fn interest(&self) -> &Interest {
        &self.interest
    }

    async fn read_missed(&self, topic: &Topic, wanted: &Wanted) -> Result<(Page, u64), HistoryAway> {
        self.reader.read(self, topic, wanted).await
    }
}

impl RedisConnections {
    /// Connects and stays connected until `shutdown`. Publications, gaps and control messages go to `node`.
    pub async fn run(self, node: Arc<dyn HearsNodes>, shutdown: CancellationToken) {
        let Self { publisher, subscriber, state } = self;
        state.links.tell(Arc::clone(&node));
        tokio::join!(shutdown.run_until_cancelled(publisher.run()), shutdown.run_until_cancelled(subscriber.run(node)));
    }
}

fn client(url: &RedisUrl) -> Result<Client, ::redis::RedisError> {
    let info = url.expose().into_connection_info()?;
    let tcp = info.tcp_settings().clone().set_nodelay(true);
    // Messages and answers come on one connection, in the order in which they happened.
    let redis = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
    Client::open(info.set_tcp_settings(tcp).set_redis_settings(redis))
}
