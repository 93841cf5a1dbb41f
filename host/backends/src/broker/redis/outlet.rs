//! Outgoing commands: one connection, one queue, one running batch. While Redis answers a batch, the next one gathers.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ::redis::aio::MultiplexedConnection;
use ::redis::{AsyncConnectionConfig, Client, Cmd, Pipeline, RedisResult, ServerErrorKind, Value};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, timeout};

use super::room::Room;
use super::{PROBE_INTERVAL, State, message, pause, scripts};
use tidegate_core::channels::Rate;
use tidegate_core::protocol::{ConnectionId, Payload, Topic};
use tidegate_core::telemetry;

/// The most commands of one batch, and about how many bytes.
const BATCH_MAX: usize = 512;
const BATCH_BYTES_MAX: usize = 1 << 20;
/// Most topics whose gaps are sent one by one; with more, every topic gets a gap.
const OWED_MAX: usize = 10_000;

/// A command for Redis, and the receiver of its answer: whether it was a 1. Dropped if there is no answer.
pub(super) struct Order {
    pub(super) word: Word,
    pub(super) answer: oneshot::Sender<bool>,
    /// When nobody waits for the answer any more.
    pub(super) until: Instant,
    /// Its part of the bytes that may wait.
    pub(super) _room: Room,
}

/// The command.
pub(super) enum Word {
    /// A publication for the other nodes.
    Publish { topic: Topic, except: Option<ConnectionId>, payload: Payload },
    /// Take one message from a rate window.
    Take { window: String, rate: Rate },
    /// A message for every node.
    Tell { message: Vec<u8> },
}

impl Word {
    /// Its approximate size.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Publish { payload, .. } => payload.as_str().len(),
            Self::Take { window, .. } => window.len(),
            Self::Tell { message } => message.len(),
        }
    }
}

/// The topics with publications that Redis may not have accepted: their subscribers on other nodes receive a gap as
/// soon as Redis accepts messages again.
#[derive(Default)]
pub(super) struct Owed {
    topics: Mutex<HashSet<Topic>>,
    every_topic: AtomicBool,
}

impl Owed {
    /// A publication of this topic was not sent.
    pub(super) fn owe(&self, topic: Topic) {
        let mut topics = self.topics.lock();
        if topics.len() < OWED_MAX {
            topics.insert(topic);
        } else if !topics.contains(&topic) {
            self.every_topic.store(true, Ordering::Release);
        }
    }

    fn is_empty(&self) -> bool {
        self.topics.lock().is_empty() && !self.every_topic.load(Ordering::Acquire)
    }

    /// The gaps to send: for some topics, or for all of them.
    fn take(&self) -> (Vec<Topic>, bool) {
        let topics = std::mem::take(&mut *self.topics.lock()).into_iter().collect();
        (topics, self.every_topic.swap(false, Ordering::AcqRel))
    }

    fn put_back(&self, (topics, every_topic): (Vec<Topic>, bool)) {
        topics.into_iter().for_each(|topic| self.owe(topic));
        self.every_topic.fetch_or(every_topic, Ordering::AcqRel);
    }
}

/// The outgoing connection.
pub(super) struct Outlet {
    client: Client,
    state: Arc<State>,
    orders: mpsc::Receiver<Order>,
}

/// Why a connection is abandoned.
pub(super) type Lost = String;

impl Outlet {
    pub(super) const fn new(client: Client, state: Arc<State>, orders: mpsc::Receiver<Order>) -> Self {
        Self { client, state, orders }
    }

    /// Connects and stays connected, for ever.
    pub(super) async fn run(mut self) {
        let mut failures = 0;
        loop {
            let (lost, was_up) = match self.connect().await {
                Ok(link) => {
                    self.state.note("out", &self.state.outlet_up, Ok(0));
                    (self.serve(link).await, true)
                }
                Err(lost) => (lost, false),
            };
            self.state.note("out", &self.state.outlet_up, Err(&lost));
            self.refuse_waiting();
            failures = if was_up { 0 } else { failures + 1 };
            sleep(pause(failures)).await;
        }
    }

    /// A connection with the scripts loaded and all pending gaps sent.
    async fn connect(&self) -> Result<MultiplexedConnection, Lost> {
        let within = self.state.timeout;
        // The connection's own limit for an answer covers a whole batch.
        let config =
            AsyncConnectionConfig::new().set_connection_timeout(Some(within)).set_response_timeout(Some(within));
        let connecting = self.client.get_multiplexed_async_connection_with_config(&config);
        let mut link = timeout(within, connecting).await.map_err(|_| no_answer(within))?.map_err(told)?;
        scripts::load(&mut link).await.map_err(told)?;
        self.probe(&mut link).await?;
        self.make_up(&mut link).await.map_err(told)?;
        Ok(link)
    }

    /// Checks that Redis accepts publications. A Redis that answers may still refuse them: a replica after a failover,
    /// one without memory, or one without permission for this user.
    async fn probe(&self, link: &mut MultiplexedConnection) -> Result<(), Lost> {
        let answers = batch(link, [scripts::probe(&self.state.names)].into_iter()).await.map_err(told)?;
        match answers.into_iter().next() {
            Some(Value::ServerError(error)) => {
                let details = error.details().unwrap_or_default();
                // The line number in a script helps nobody.
                let why = details.split(" script: ").next().unwrap_or_default();
                Err(format!("it does not accept publications: {} {why}", error.code()))
            }
            _ => Ok(()),
        }
    }

    /// Sends the pending gaps to the other nodes. Gaps that Redis refuses stay pending.
    async fn make_up(&self, link: &mut MultiplexedConnection) -> RedisResult<()> {
        let owed = self.state.owed.take();
        match self.tell_of(link, &owed).await {
            Ok(true) => Ok(()),
            refused => {
                self.state.owed.put_back(owed);
                refused.map(drop)
            }
        }
    }

    async fn tell_of(&self, link: &mut MultiplexedConnection, owed: &(Vec<Topic>, bool)) -> RedisResult<bool> {
        let (topics, every_topic) = owed;
        let mut answers = Vec::new();
        let names = &self.state.names;
        let gap = message::gap(&self.state.node);
        for topics in topics.chunks(BATCH_MAX) {
            let commands =
                topics.iter().map(|topic| scripts::publish(&names.count(topic), &names.channel(topic), &gap, now_us()));
            answers.extend(batch(link, commands).await?);
        }
        if *every_topic {
            let mut everywhere = ::redis::cmd("PUBLISH");
            everywhere.arg(names.nodes()).arg(scripts::GAP_EVERYWHERE);
            answers.extend(batch(link, [everywhere].into_iter()).await?);
        }
        Ok(answers.iter().all(|answer| matches!(answer, Value::Int(_))))
    }

    /// Sends the waiting commands to Redis until the connection is lost.
    async fn serve(&mut self, mut link: MultiplexedConnection) -> Lost {
        let mut orders = Vec::with_capacity(BATCH_MAX);
        loop {
            let said = match timeout(PROBE_INTERVAL, self.orders.recv_many(&mut orders, BATCH_MAX)).await {
                // Nothing to send: check whether Redis would accept it.
                Err(_) => self.probe(&mut link).await,
                // Nobody is left who could send anything.
                Ok(0) => std::future::pending().await,
                Ok(_) => {
                    let said = self.say_all(&mut link, &mut orders).await;
                    telemetry::broker_queue(self.orders.len(), self.state.waiting.bytes());
                    said
                }
            };
            let said = match said {
                Ok(()) if !self.state.owed.is_empty() => self.make_up(&mut link).await.map_err(told),
                said => said,
            };
            if let Err(lost) = said {
                return lost;
            }
        }
    }

    /// Sends the gathered commands, a limited number of bytes at a time.
    async fn say_all(&self, link: &mut MultiplexedConnection, orders: &mut Vec<Order>) -> Result<(), Lost> {
        let now = Instant::now();
        // Callers that waited too long know already that it was not sent.
        let (orders, late): (Vec<_>, Vec<_>) = orders.drain(..).partition(|order| order.until > now);
        self.owe(late);
        let mut orders = VecDeque::from(orders);
        while !orders.is_empty() {
            let (mut part, mut bytes) = (Vec::new(), 0);
            while bytes < BATCH_BYTES_MAX
                && let Some(order) = orders.pop_front()
            {
                bytes += order.word.bytes();
                part.push(order);
            }
            if let Err(lost) = self.say(link, part).await {
                self.owe(orders);
                return Err(lost);
            }
        }
        Ok(())
    }

    async fn say(&self, link: &mut MultiplexedConnection, orders: Vec<Order>) -> Result<(), Lost> {
        let answers = match batch(link, orders.iter().map(|order| self.command(&order.word))).await {
            Ok(answers) => answers,
            Err(error) => {
                self.owe(orders);
                return Err(told(error));
            }
        };
        let (mut unknown, mut refused) = (Vec::new(), None);
        for (order, answer) in orders.into_iter().zip(answers) {
            match answer {
                Value::Int(answer) => drop(order.answer.send(answer == 1)),
                // Nothing was done, because the scripts were removed. Send once more, in the same order.
                Value::ServerError(error) if error.kind() == Some(ServerErrorKind::NoScript) => unknown.push(order),
                other => {
                    refused.get_or_insert_with(|| format!("{other:?}"));
                    self.owe([order]);
                }
            }
        }
        if let Some(why) = refused {
            // An error of one command, for example because its key holds something else, or of all: another Redis may
            // have taken its place, and a new connection leads there.
            if let Err(lost) = self.probe(link).await {
                self.owe(unknown);
                return Err(lost);
            }
            telemetry::broker_refused(&why);
        }
        if unknown.is_empty() {
            return Ok(());
        }
        if let Err(error) = scripts::load(link).await {
            self.owe(unknown);
            return Err(told(error));
        }
        Box::pin(self.say(link, unknown)).await
    }

    fn command(&self, word: &Word) -> Cmd {
        let State { names, node, .. } = &*self.state;
        match word {
            Word::Publish { topic, except, payload } => {
                let message = message::publication(node, except.as_ref(), payload);
                scripts::publish(&names.count(topic), &names.channel(topic), &message, now_us())
            }
            Word::Take { window, rate } => scripts::take(window, *rate),
            Word::Tell { message } => scripts::tell(names, message),
        }
    }

    /// The waiting callers learn at once that there is no connection.
    fn refuse_waiting(&mut self) {
        let mut waiting = Vec::new();
        while let Ok(order) = self.orders.try_recv() {
            waiting.push(order);
        }
        self.owe(waiting);
        telemetry::broker_queue(self.orders.len(), self.state.waiting.bytes());
    }

    /// Remembers the topics with publications that were not sent, or may not have been.
    fn owe(&self, orders: impl IntoIterator<Item = Order>) {
        for order in orders {
            if let Word::Publish { topic, .. } = order.word {
                self.state.owed.owe(topic);
            }
        }
    }
}

/// Sends all commands at once; an error of one command is its answer.
async fn batch(link: &mut MultiplexedConnection, commands: impl Iterator<Item = Cmd>) -> RedisResult<Vec<Value>> {
    let mut pipeline = Pipeline::new();
    pipeline.ignore_errors();
    for command in commands {
        pipeline.add_command(command);
    }
    if pipeline.is_empty() { Ok(Vec::new()) } else { pipeline.query_async(link).await }
}

/// The error as text, without the driver's own remarks.
pub(super) fn told(error: ::redis::RedisError) -> Lost {
    error.to_string()
}

/// The message when no answer came.
pub(super) fn no_answer(within: Duration) -> Lost {
    format!("no answer within {within:?} (limits.broker_timeout)")
}

fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(number: usize) -> Topic {
        Topic::parse(&format!("feed.{number}")).unwrap()
    }

    #[test]
    fn a_topic_is_owed_once_and_too_many_are_owed_as_all() {
        let owed = Owed::default();
        owed.owe(topic(1));
        owed.owe(topic(1));
        assert_eq!(owed.take(), (vec![topic(1)], false));
        assert_eq!(owed.take(), (Vec::new(), false));
        (0..=OWED_MAX).for_each(|number| owed.owe(topic(number)));
        let all = owed.take();
        assert_eq!((all.0.len(), all.1), (OWED_MAX, true));
        owed.put_back(all);
        let again = owed.take();
        assert_eq!((again.0.len(), again.1), (OWED_MAX, true));
    }
}
