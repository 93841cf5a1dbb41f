//! Nodes that share a Redis: publications by Pub/Sub, one channel a topic; words for every node by a stream.
//!
//! Two links. The [`outlet`] carries what goes out, pipelined, in order. The [`inlet`] hears the topics that have
//! subscribers here. A number for each topic is counted in Redis beside each publication, so that a node knows after a
//! lost link which topics missed something, and tells their subscribers.

mod inlet;
mod interest;
mod message;
mod names;
mod outlet;
mod room;
mod scripts;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ::redis::{Client, IntoConnectionInfo as _, ProtocolVersion};
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, ready};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use inlet::Inlet;
use interest::Interest;
use names::Names;
use outlet::{Order, Outlet, Word};
use room::Waiting;
use tidegate_core::channels::Rate;
use tidegate_core::config::{Limits, RedisUrl};
use tidegate_core::flow::Publication;
use tidegate_core::flow::broker::{Broker, BrokerAway, HearsNodes, Sending};
use tidegate_core::flow::ports::Rooms;
use tidegate_core::protocol::{Topic, User};
use tidegate_core::telemetry;

/// How long a link that failed is left alone before it is made again: the first time, and at most.
const RETRY_MIN: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(1);
/// How often it is tried on a link that is idle whether Redis is still there, and takes what links carry.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);

/// What a broker is made of.
#[derive(Debug, Clone)]
pub struct RedisBrokerSettings {
    /// Where the Redis is.
    pub url: RedisUrl,
    /// What its keys and channels begin with.
    pub prefix: String,
    /// Words that may wait for it, and their bytes.
    pub queue_max: usize,
    /// See `queue_max`.
    pub queue_bytes_max: usize,
    /// How long it may take to answer, and a link to be made.
    pub timeout: Duration,
    /// How long a topic is still heard whose last subscriber left.
    pub linger: Duration,
}

impl RedisBrokerSettings {
    /// Those of a configuration.
    #[must_use]
    pub fn new(url: RedisUrl, prefix: &str, limits: &Limits) -> Self {
        Self {
            url,
            prefix: prefix.to_owned(),
            queue_max: limits.broker_queue_max,
            queue_bytes_max: limits.broker_queue_bytes_max,
            timeout: limits.broker_timeout,
            linger: limits.broker_linger,
        }
    }
}

/// The port; [`RedisLinks`] does the work.
pub struct RedisBroker {
    orders: mpsc::Sender<Order>,
    state: Arc<State>,
}

/// The links to Redis. Nothing goes out or comes in before [`RedisLinks::run`].
pub struct RedisLinks {
    outlet: Outlet,
    inlet: Inlet,
}

/// What the port and the links share.
struct State {
    names: Names,
    /// Tells this node's publications from others'.
    node: String,
    timeout: Duration,
    interest: Interest,
    owed: outlet::Owed,
    waiting: Arc<Waiting>,
    outlet_up: Health,
    inlet_up: Health,
    /// Where the Redis is, without its password.
    place: String,
}

impl RedisBroker {
    /// A broker and its links.
    ///
    /// # Errors
    /// The driver's, when the URL is none that it takes.
    pub fn new(settings: RedisBrokerSettings) -> Result<(Arc<Self>, RedisLinks), ::redis::RedisError> {
        let client = client(&settings.url)?;
        let state = Arc::new(State {
            names: Names::new(&settings.prefix, settings.url.database()),
            node: uuid::Uuid::new_v4().simple().to_string(),
            timeout: settings.timeout,
            interest: Interest::new(settings.linger),
            owed: outlet::Owed::default(),
            waiting: Arc::new(Waiting::new(settings.queue_bytes_max)),
            outlet_up: Health::default(),
            inlet_up: Health::default(),
            place: settings.url.to_string(),
        });
        let (orders, waiting) = mpsc::channel(settings.queue_max.clamp(1, 1 << 20));
        let outlet = Outlet::new(client.clone(), Arc::clone(&state), waiting);
        let inlet = Inlet::new(client, Arc::clone(&state));
        Ok((Arc::new(Self { orders, state }), RedisLinks { outlet, inlet }))
    }

    /// Puts a word into the queue of the outlet. A link that is known to be lost takes none: nobody waits for it.
    fn send(&self, word: Word) -> Result<oneshot::Receiver<bool>, BrokerAway> {
        if !self.state.outlet_up.is_up() {
            return Err(BrokerAway);
        }
        let room = self.state.waiting.take(word.bytes()).ok_or(BrokerAway)?;
        let (answer, answered) = oneshot::channel();
        let until = Instant::now() + self.state.timeout;
        self.orders.try_send(Order { word, answer, until, _room: room }).map_err(|_| BrokerAway)?;
        telemetry::broker_queue(self.orders.max_capacity() - self.orders.capacity(), self.state.waiting.bytes());
        Ok(answered)
    }

    async fn answered(answered: oneshot::Receiver<bool>, timeout: Duration) -> Result<bool, BrokerAway> {
        match tokio::time::timeout(timeout, answered).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) | Err(_) => Err(BrokerAway),
        }
    }
}

impl Broker for RedisBroker {
    fn publish(&self, publication: &Publication) -> Option<Sending> {
        let started = Instant::now();
        let Publication { topic, except, payload, .. } = publication;
        let word = Word::Publish { topic: topic.clone(), except: except.clone(), payload: payload.clone() };
        let sent = self.send(word);
        if sent.is_err() {
            self.state.owed.owe(topic.clone());
        }
        let timeout = self.state.timeout;
        let sending = async move {
            let taken = match sent {
                Ok(answered) => Self::answered(answered, timeout).await,
                Err(away) => Err(away),
            };
            telemetry::broker_published(taken.is_ok(), started.elapsed());
            taken.map(drop)
        };
        Some(sending.boxed())
    }

    fn subscribed(&self, topic: &Topic, channel: &str) {
        self.state.interest.subscribed(topic, channel);
    }

    fn unsubscribed(&self, topic: &Topic) {
        self.state.interest.unsubscribed(topic);
    }

    fn listening(&self, topic: &Topic) -> Option<Sending> {
        let heard = self.state.interest.listening(topic)?;
        let timeout = self.state.timeout;
        let sending = async move {
            match tokio::time::timeout(timeout, heard).await {
                Ok(Ok(())) => Ok(()),
                Ok(Err(_)) | Err(_) => Err(BrokerAway),
            }
        };
        Some(sending.boxed())
    }

    fn take(&self, channel: &str, user: &User, rate: Rate) -> Option<BoxFuture<'static, bool>> {
        let sent = self.send(Word::Take { window: self.state.names.window(channel, user), rate });
        let timeout = self.state.timeout;
        let asked = async move {
            let left = match sent {
                Ok(answered) => Self::answered(answered, timeout).await,
                Err(away) => Err(away),
            };
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
        let timeout = self.state.timeout;
        Some(match self.send(Word::Tell { message }) {
            Ok(answered) => async move { Self::answered(answered, timeout).await.map(drop) }.boxed(),
            Err(away) => ready(Err(away)).boxed(),
        })
    }

    fn is_away(&self) -> bool {
        self.state.is_away()
    }
}

impl State {
    fn is_away(&self) -> bool {
        !(self.outlet_up.is_up() && self.inlet_up.is_up())
    }

    /// Notes that a link works, with the number of topics whose subscribers were told of a gap, or why it does not; and
    /// tells of it, once for each reason.
    fn note(&self, link: &'static str, health: &Health, outcome: Result<usize, &str>) {
        let was = std::mem::replace(&mut *health.away_for.lock(), outcome.err().map(str::to_owned));
        health.is_up.store(outcome.is_ok(), Ordering::Release);
        telemetry::broker_up(!self.is_away());
        match outcome {
            Ok(gaps) => telemetry::broker_back(&self.place, link, gaps),
            Err(why) if was.as_deref() != Some(why) => telemetry::broker_away(&self.place, link, why),
            Err(_) => {}
        }
    }
}

/// Whether a link works.
#[derive(Default)]
struct Health {
    is_up: AtomicBool,
    /// Why not, as it was told last.
    away_for: Mutex<Option<String>>,
}

impl Health {
    fn is_up(&self) -> bool {
        self.is_up.load(Ordering::Acquire)
    }
}

impl RedisLinks {
    /// Makes the links and keeps them, until `shutdown`. What comes in goes to `rooms`, and what nodes tell each other to
    /// `node`.
    pub async fn run(self, rooms: Arc<dyn Rooms>, node: Option<Arc<dyn HearsNodes>>, shutdown: CancellationToken) {
        let Self { outlet, inlet } = self;
        tokio::join!(shutdown.run_until_cancelled(outlet.run()), shutdown.run_until_cancelled(inlet.run(rooms, node)));
    }
}

fn client(url: &RedisUrl) -> Result<Client, ::redis::RedisError> {
    let info = url.expose().into_connection_info()?;
    let tcp = info.tcp_settings().clone().set_nodelay(true);
    // Messages and answers on one link, in the order they happened.
    let redis = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
    Client::open(info.set_tcp_settings(tcp).set_redis_settings(redis))
}

/// How long to leave a link alone that failed so often in a row.
fn pause(failures: u32) -> Duration {
    RETRY_MIN.saturating_mul(1 << failures.min(10)).min(RETRY_MAX)
}
