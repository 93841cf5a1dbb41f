//! Nodes that share a NATS with JetStream. Publications without positions go out at once, and whoever listens hears them
//! ([`publisher`], [`hearing`]). Everything that is kept is in one stream ([`stream`]): the log of each topic with its
//! positions, which are its values, too; and messages between nodes ([`words`]).
//!
//! A write says which message of its subjects it expects to be the last one: of two nodes that write at once one is
//! refused, reads what the other wrote, and tries again. The stream sends on what it took, and nothing that it refused.

mod batch;
mod bucket;
mod connection;
mod draft;
mod entry;
mod hearing;
mod history;
mod idempotency;
mod mirror;
mod names;
mod presence;
mod publisher;
mod rates;
mod reader;
mod reading;
mod retained;
mod stream;
mod topic_log;
mod words;
mod writer;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::byte_budget::ByteBudget;
use super::delivery::Followed;
use super::interest::Interest;
use super::links::{Link, Links};
use super::message::Heading;
use super::pending_gaps::PendingGaps;
use super::settings::BrokerSettings;
use super::{Lost, pause};
pub use idempotency::NatsIdempotencyKeys;
pub use presence::NatsSharedMembers;

use connection::Connection;
use draft::Wish;
use hearing::Hearing;
use names::Names;
use publisher::{Command, Publisher, QueuedCommand};
use stream::{Stored, Stream, Terms};
use tidegate_core::channels::Rate;
use tidegate_core::config::NatsUrl;
use tidegate_core::flow::Publication;
use tidegate_core::flow::broker::{Broker, BrokerAway, HearsNodes, Sending};
use tidegate_core::flow::ports::{HistoryAway, Page, Wanted};
use tidegate_core::protocol::{Epoch, Topic, User};
use tidegate_core::telemetry;
use writer::Writer;

/// How long a topic without a history is known to have none, and how many such topics are remembered.
const UNNUMBERED_FOR: Duration = Duration::from_secs(60);
const UNNUMBERED_MAX: usize = 100_000;
/// How many characters of the life of the stream, and of the run of a server, are in an epoch.
const LIFE_CHARS: usize = 8;

/// The settings of a broker in NATS.
pub type NatsBrokerSettings = BrokerSettings<NatsUrl>;

/// The port; [`NatsConnections`] does the work.
pub struct NatsBroker {
    commands: mpsc::Sender<QueuedCommand>,
    state: Arc<State>,
}

/// A command on its way to NATS.
type Sent = Result<oneshot::Receiver<()>, BrokerAway>;

/// The connection to NATS. Nothing is sent or received before [`NatsConnections::run`].
pub struct NatsConnections {
    settings: NatsBrokerSettings,
    publisher: Publisher,
    state: Arc<State>,
}

/// What the port and the links share.
struct State {
    names: Arc<Names>,
    /// Distinguishes this node's publications from others'.
    node: String,
    timeout: Duration,
    interest: Interest,
    pending_gaps: PendingGaps,
    bytes: Arc<ByteBudget>,
    connection: Arc<Connection>,
    stream: Stream,
    /// The newest place in the stream that this node knows of.
    newest: AtomicU64,
    links: Links,
    writer: Writer,
    /// How many messages this node wrote.
    ids: AtomicU64,
    /// Topics that are known to have no history, and since when.
    unnumbered: Mutex<HashMap<Topic, Instant>>,
    /// Rate windows that are asked at once; with more only the window of this node counts.
    rates: Arc<Semaphore>,
}

impl NatsBroker {
    /// A broker and its connection.
    #[must_use]
    pub fn new(settings: NatsBrokerSettings) -> (Arc<Self>, NatsConnections) {
        let names = Arc::new(Names::new(&settings.prefix));
        let connection = Arc::new(Connection::new(settings.timeout));
        let (stream_names, stream_connection) = (Arc::clone(&names), Arc::clone(&connection));
        let state = Arc::new(State {
            node: uuid::Uuid::new_v4().simple().to_string(),
            timeout: settings.timeout,
            interest: Interest::new(settings.linger),
            pending_gaps: PendingGaps::default(),
            bytes: Arc::new(ByteBudget::new(settings.queue_bytes_max)),
            stream: Stream::new(stream_connection, stream_names, settings.timeout, settings.once_for),
            connection,
            names,
            newest: AtomicU64::new(0),
            links: Links::new(settings.url.to_string()),
            writer: Writer::new(settings.queue_max),
            ids: AtomicU64::new(0),
            unnumbered: Mutex::default(),
            rates: Arc::new(Semaphore::new(settings.queue_max.clamp(1, 1 << 20))),
        });
        let (commands, waiting) = mpsc::channel(settings.queue_max.clamp(1, 1 << 20));
        let publisher = Publisher::new(Arc::clone(&state), waiting);
        let connections = NatsConnections { settings, publisher, state: Arc::clone(&state) };
        (Arc::new(Self { commands, state }), connections)
    }

    /// Puts a command into the queue of the publisher. While the link is known to be lost it refuses at once, so that
    /// nobody waits.
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

    /// Whether a command was taken.
    async fn answered(sent: Sent, timeout: Duration) -> Result<(), BrokerAway> {
        match tokio::time::timeout(timeout, sent?).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(BrokerAway),
        }
    }
}

impl Broker for NatsBroker {
    fn publish(&self, publication: &Publication) -> Option<Sending> {
        let started = Instant::now();
        let Publication { topic, payload, .. } = publication;
        let heading = Heading::of(publication);
        let sent = self.send(Command::Publish { topic: topic.clone(), heading, payload: payload.unread() });
        if sent.is_err() {
            self.state.pending_gaps.add(topic.clone());
        }
        let ended = self.state.end_history(topic);
        let timeout = self.state.timeout;
        let sending = async move {
            let mut taken = Self::answered(sent, timeout).await;
            if let Some(ended) = ended {
                taken = taken.and(ended.await.unwrap_or(Err(BrokerAway)));
            }
            telemetry::broker_published(taken.is_ok(), started.elapsed());
            taken
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
        let (state, window) = (Arc::clone(&self.state), self.state.names.window(channel, user));
        let permit = Arc::clone(&state.rates).try_acquire_owned();
        let asked = async move {
            match permit {
                Ok(_permit) if state.links.is_up(Link::Out) => state.take_from(&window, rate).await,
                _ => {
                    telemetry::broker_rate("unasked");
                    true
                }
            }
        };
        Some(asked.boxed())
    }

    fn tell(&self, message: Vec<u8>) -> Option<Sending> {
        // They are JSON.
        let message = String::from_utf8(message).ok();
        let sent = message.ok_or(BrokerAway).and_then(|message| self.send(Command::Control { message }));
        let timeout = self.state.timeout;
        Some(async move { Self::answered(sent, timeout).await }.boxed())
    }

    fn is_away(&self) -> bool {
        self.state.links.is_away()
    }
}

impl State {
    /// The stream reaches at least so far.
    fn saw(&self, seq: u64) {
        self.newest.fetch_max(seq, Ordering::AcqRel);
    }

    /// How far the stream reaches at least.
    fn seen(&self) -> u64 {
        self.newest.load(Ordering::Acquire)
    }

    /// A name for a message that this node writes.
    fn next_id(&self) -> String {
        format!("{}-{}", self.node, self.ids.fetch_add(1, Ordering::Relaxed))
    }

    /// A publication without a position ends the history of its topic, if it has one. `None`: it is known to have none.
    fn end_history(self: &Arc<Self>, topic: &Topic) -> Option<JoinHandle<Result<(), BrokerAway>>> {
        if !self.links.is_up(Link::Out) {
            return None;
        }
        let mut known = self.unnumbered.lock();
        if known.get(topic).is_some_and(|at| at.elapsed() < UNNUMBERED_FOR) {
            return None;
        }
        if known.len() >= UNNUMBERED_MAX {
            known.clear();
        }
        // Those that are published while this one is asked need not ask.
        known.insert(topic.clone(), Instant::now());
        drop(known);
        let (state, topic) = (Arc::clone(self), topic.clone());
        Some(tokio::spawn(async move {
            let ended = state.written(state.write(&topic, Wish::End)).await;
            if ended.is_err() {
                state.unnumbered.lock().remove(&topic);
            }
            ended.map(drop)
        }))
    }

    /// Reports why a log was not read.
    fn unread(&self, topic: &Topic, why: &str) -> HistoryAway {
        tracing::debug!(%topic, why, "a history cannot be read");
        HistoryAway
    }

    /// What the epochs of this time begin with: the life of the stream, and the run of a server that is alone. A start of
    /// such a server may have lost something; in a cluster the others have it.
    async fn tag(&self) -> Result<String, Lost> {
        let life = self.life().await?;
        Ok(format!("{}{}", life.get(..LIFE_CHARS).unwrap_or(&life), self.run()?))
    }

    /// The run of the server.
    fn run(&self) -> Result<String, Lost> {
        let info = self.connection.server().ok_or("not connected yet")?;
        if info.cluster.is_some() {
            return Ok("0".repeat(LIFE_CHARS));
        }
        let chars: Vec<char> = info.server_id.chars().filter(char::is_ascii_alphanumeric).collect();
        Ok(chars.iter().rev().take(LIFE_CHARS).collect())
    }

    /// Whether an epoch did not end with a start of the server.
    fn is_of_this_run(&self, epoch: &Epoch) -> bool {
        let of_run = epoch.as_str().get(LIFE_CHARS..2 * LIFE_CHARS);
        self.run().is_ok_and(|run| of_run == Some(run.as_str()))
    }

    /// What tells the data of the stream from what it held before it was emptied, and from that of another stream.
    async fn life(&self) -> Result<String, Lost> {
        loop {
            if let Some(life) = self.stream.last(&self.names.life()).await? {
                return Ok(life.text);
            }
            let life = uuid::Uuid::new_v4().simple().to_string();
            let terms = Terms { after: Some((self.names.life(), 0)), ..Terms::default() };
            if self.stream.store(self.names.life(), life.clone(), &terms).await? != Stored::Behind {
                return Ok(life);
            }
        }
    }
}

impl Followed for State {
    fn interest(&self) -> &Interest {
        &self.interest
    }

    async fn read_missed(&self, topic: &Topic, wanted: &Wanted) -> Result<(Page, u64), HistoryAway> {
        if !self.links.is_up(Link::Out) {
            return Err(HistoryAway);
        }
        self.read_history(topic, wanted).await.map_err(|why| self.unread(topic, &why))
    }
}

impl NatsConnections {
    /// Connects and stays connected until `shutdown`. Publications, gaps and control messages go to `node`.
    pub async fn run(self, node: Arc<dyn HearsNodes>, shutdown: CancellationToken) {
        let Self { settings, publisher, state } = self;
        state.links.tell(Arc::clone(&node));
        let linked = async {
            let mut failures = 0;
            while let Err(why) = state.connection.open(&settings).await {
                state.links.note(Link::Out, Err(&why));
                failures += 1;
                tokio::time::sleep(pause(failures)).await;
            }
            tokio::join!(publisher.run(), Hearing::new(Arc::clone(&state), node).run())
        };
        shutdown.run_until_cancelled(linked).await;
    }
}
