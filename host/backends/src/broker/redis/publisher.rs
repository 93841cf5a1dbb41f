//! Outgoing commands: one connection, one queue, one running batch. While Redis answers a batch, the next one gathers.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ::redis::aio::MultiplexedConnection;
use ::redis::{AsyncConnectionConfig, Client, Cmd, Pipeline, RedisResult, ServerErrorKind, Value};
use sha2::{Digest as _, Sha256};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, timeout};

use super::super::byte_budget::BytePermit;
use super::super::links::Link;
use super::super::message::{self, Heading};
use super::super::{Lost, PROBE_INTERVAL, no_answer, pause};
use super::history_scripts::{self, Append, Life};
use super::{State, retained_scripts, scripts};
use tidegate_core::channels::{HistoryPolicy, Keeping, Rate};
use tidegate_core::protocol::{Key, Payload, Topic, Version};
use tidegate_core::telemetry;

/// The most commands of one batch, and about how many bytes.
const BATCH_MAX: usize = 512;
const BATCH_BYTES_MAX: usize = 1 << 20;

/// A command for Redis, and the receiver of its answer. Dropped if there is no answer.
pub(super) struct QueuedCommand {
    pub(super) command: Command,
    pub(super) answer: oneshot::Sender<Value>,
    /// When nobody waits for the answer any more.
    pub(super) until: Instant,
    /// Its part of the bytes that may wait.
    pub(super) _permit: BytePermit,
}

/// The command.
pub(super) enum Command {
    /// A publication for the other nodes.
    Publish { topic: Topic, heading: Heading, payload: Payload },
    /// A publication for the history, which every node hears.
    Append {
        topic: Topic,
        heading: Heading,
        payload: Payload,
        policy: HistoryPolicy,
        /// What no second publication has, if every node makes it.
        once: Option<Arc<str>>,
    },
    /// A publication for the retained values and versions, and for the history, which every node hears.
    Keep {
        topic: Topic,
        heading: Heading,
        payload: Payload,
        policy: HistoryPolicy,
        once: Option<Arc<str>>,
        key: Key,
        version: Option<Version>,
        keeping: Keeping,
        found_by: u64,
    },
    /// Take retained values away, which every node hears.
    Remove { topic: Topic, key: Option<Key>, ttl: Duration, found_by: u64, once: Option<Arc<str>> },
    /// Take one message from a rate window.
    Take { window: String, rate: Rate },
    /// A message for every node.
    Control { message: Vec<u8> },
}

impl Command {
    /// Its approximate size.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Publish { payload, .. } | Self::Append { payload, .. } | Self::Keep { payload, .. } => {
                payload.as_str().len()
            }
            Self::Remove { key, .. } => key.as_ref().map_or(0, |key| key.as_str().len()),
            Self::Take { window, .. } => window.len(),
            Self::Control { message } => message.len(),
        }
    }
}

/// The outgoing connection.
pub(super) struct Publisher {
    client: Client,
    state: Arc<State>,
    commands: mpsc::Receiver<QueuedCommand>,
    /// The data of the Redis that the connection leads to.
    life: Life,
    /// How the messages of this node's publications with positions begin.
    numbered: String,
}

/// What the scripts that number name in Redis, for one topic.
struct TopicKeys {
    record: String,
    entries: String,
    channel: String,
    once: Option<(String, Duration)>,
}

impl Publisher {
    pub(super) fn new(client: Client, state: Arc<State>, commands: mpsc::Receiver<QueuedCommand>) -> Self {
        let numbered = message::numbered(&state.node);
        Self { client, state, commands, life: Life::default(), numbered }
    }

    /// Connects and stays connected, for ever.
    pub(super) async fn run(mut self) {
        let mut failures = 0;
        loop {
            let (lost, was_up) = match self.connect().await {
                Ok(connection) => {
                    self.state.links.note(Link::Out, Ok(0));
                    (self.serve(connection).await, true)
                }
                Err(lost) => (lost, false),
            };
            self.state.links.note(Link::Out, Err(&lost));
            self.drop_waiting();
            failures = if was_up { 0 } else { failures + 1 };
            sleep(pause(failures)).await;
        }
    }

    /// A connection with the scripts loaded and all pending gaps sent.
    async fn connect(&mut self) -> Result<MultiplexedConnection, Lost> {
        let within = self.state.timeout;
        // The connection's own limit for an answer covers a whole batch.
        let config =
            AsyncConnectionConfig::new().set_connection_timeout(Some(within)).set_response_timeout(Some(within));
        let connecting = self.client.get_multiplexed_async_connection_with_config(&config);
        let mut connection = timeout(within, connecting).await.map_err(|_| no_answer(within))?.map_err(told)?;
        scripts::load(&mut connection).await.map_err(told)?;
        self.life = Life::of(&mut connection, &self.state.names.life()).await.map_err(told)?;
        self.probe(&mut connection).await?;
        self.send_gaps(&mut connection).await.map_err(told)?;
        Ok(connection)
    }

    /// Checks that Redis accepts publications. A Redis that answers may still refuse them: a replica after a failover,
    /// one without memory, or one without permission for this user.
    async fn probe(&self, connection: &mut MultiplexedConnection) -> Result<(), Lost> {
        let answers = batch(connection, [scripts::probe(&self.state.names)].into_iter()).await.map_err(told)?;
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
    async fn send_gaps(&self, connection: &mut MultiplexedConnection) -> RedisResult<()> {
        let gaps = self.state.pending_gaps.take();
        match self.send_gap_messages(connection, &gaps).await {
            Ok(true) => Ok(()),
            refused => {
                self.state.pending_gaps.put_back(gaps);
                refused.map(drop)
            }
        }
    }

    async fn send_gap_messages(
        &self,
        connection: &mut MultiplexedConnection,
        gaps: &(Vec<Topic>, bool),
    ) -> RedisResult<bool> {
        let (topics, every_topic) = gaps;
        let mut answers = Vec::new();
        let names = &self.state.names;
        let gap = message::gap(&self.state.node);
        for topics in topics.chunks(BATCH_MAX) {
            let commands = topics.iter().map(|topic| scripts::publish(names, topic, &gap, now_us()));
            answers.extend(batch(connection, commands).await?);
        }
        if *every_topic {
            let mut everywhere = ::redis::cmd("PUBLISH");
            everywhere.arg(names.nodes()).arg(scripts::GAP_EVERYWHERE);
            answers.extend(batch(connection, [everywhere].into_iter()).await?);
        }
        Ok(answers.iter().all(|answer| matches!(answer, Value::Int(_))))
    }

    /// Sends the waiting commands to Redis until the connection is lost.
    async fn serve(&mut self, mut connection: MultiplexedConnection) -> Lost {
        let mut commands = Vec::with_capacity(BATCH_MAX);
        loop {
            let sent = match timeout(PROBE_INTERVAL, self.commands.recv_many(&mut commands, BATCH_MAX)).await {
                // Nothing to send: check whether Redis would accept it.
                Err(_) => self.probe(&mut connection).await,
                // Nobody is left who could send anything.
                Ok(0) => std::future::pending().await,
                Ok(_) => {
                    let sent = self.send_all(&mut connection, &mut commands).await;
                    telemetry::broker_queue(self.commands.len(), self.state.bytes.taken());
                    sent
                }
            };
            let sent = match sent {
                Ok(()) if !self.state.pending_gaps.is_empty() => self.send_gaps(&mut connection).await.map_err(told),
                sent => sent,
            };
            if let Err(lost) = sent {
                return lost;
            }
        }
    }

    /// Sends the gathered commands, a limited number of bytes at a time.
    async fn send_all(
        &self,
        connection: &mut MultiplexedConnection,
        commands: &mut Vec<QueuedCommand>,
    ) -> Result<(), Lost> {
        let now = Instant::now();
        // Callers that waited too long know already that it was not sent.
        let (commands, late): (Vec<_>, Vec<_>) = commands.drain(..).partition(|queued| queued.until > now);
        self.remember_gaps(late);
        let mut commands = VecDeque::from(commands);
        while !commands.is_empty() {
            let (mut part, mut bytes) = (Vec::new(), 0);
            while bytes < BATCH_BYTES_MAX
                && let Some(queued) = commands.pop_front()
            {
                bytes += queued.command.bytes();
                part.push(queued);
            }
            if let Err(lost) = self.send(connection, part).await {
                self.remember_gaps(commands);
                return Err(lost);
            }
        }
        Ok(())
    }

    async fn send(&self, connection: &mut MultiplexedConnection, commands: Vec<QueuedCommand>) -> Result<(), Lost> {
        let answers = match batch(connection, commands.iter().map(|queued| self.encode(&queued.command))).await {
            Ok(answers) => answers,
            Err(error) => {
                self.remember_gaps(commands);
                return Err(told(error));
            }
        };
        let (mut unknown, mut refused) = (Vec::new(), None);
        for (queued, answer) in commands.into_iter().zip(answers) {
            match answer {
                answer @ (Value::Int(_) | Value::BulkString(_)) => drop(queued.answer.send(answer)),
                // Nothing was done, because the scripts were removed. Send once more, in the same order.
                Value::ServerError(error) if error.kind() == Some(ServerErrorKind::NoScript) => unknown.push(queued),
                other => {
                    refused.get_or_insert_with(|| format!("{other:?}"));
                    self.remember_gaps([queued]);
                }
            }
        }
        if let Some(why) = refused {
            // An error of one command, for example because its key holds something else, or of all: another Redis may
            // have taken its place, and a new connection leads there.
            if let Err(lost) = self.probe(connection).await {
                self.remember_gaps(unknown);
                return Err(lost);
            }
            telemetry::broker_refused(&why);
        }
        if unknown.is_empty() {
            return Ok(());
        }
        if let Err(error) = scripts::load(connection).await {
            self.remember_gaps(unknown);
            return Err(told(error));
        }
        Box::pin(self.send(connection, unknown)).await
    }

    fn encode(&self, command: &Command) -> Cmd {
        let State { names, node, .. } = &*self.state;
        match command {
            Command::Publish { topic, heading, payload } => {
                let message = message::publication(node, heading, payload);
                scripts::publish(names, topic, &message, now_us())
            }
            Command::Append { topic, heading, payload, policy, once } => {
                let keys = self.keys(topic, once.as_ref());
                history_scripts::append(&self.append(&keys, heading, payload, *policy))
            }
            Command::Keep { topic, heading, payload, policy, once, key, version, keeping, found_by } => {
                let keys = self.keys(topic, once.as_ref());
                let append = self.append(&keys, heading, payload, *policy);
                let version = version.as_ref().map(Version::as_str);
                retained_scripts::keep(&append, &names.shelf(topic), key.as_str(), version, *keeping, *found_by)
            }
            Command::Remove { topic, key, ttl, found_by, once } => {
                let TopicKeys { record, entries, channel, once } = self.keys(topic, once.as_ref());
                let shelf = names.shelf(topic);
                let (life, found_by) = (&self.life, *found_by);
                let place =
                    retained_scripts::Place { record: &record, entries: &entries, shelf: &shelf, life, found_by };
                let key = key.as_ref().map(Key::as_str);
                retained_scripts::remove(&place, once, &channel, &message::removed(node), key, *ttl)
            }
            Command::Take { window, rate } => scripts::take(window, *rate),
            Command::Control { message } => scripts::tell(names, message),
        }
    }

    fn keys(&self, topic: &Topic, once: Option<&Arc<str>>) -> TopicKeys {
        let State { names, once_for, .. } = &*self.state;
        let digest = |once: &Arc<str>| format!("{:x}", Sha256::digest(once.as_bytes()));
        TopicKeys {
            record: names.record(topic),
            entries: names.entries(topic),
            channel: names.channel(topic),
            once: once.map(|once| (names.once(&digest(once)), *once_for)),
        }
    }

    fn append<'a>(
        &'a self,
        keys: &'a TopicKeys,
        heading: &'a Heading,
        payload: &'a Payload,
        policy: HistoryPolicy,
    ) -> Append<'a> {
        Append {
            record: &keys.record,
            entries: &keys.entries,
            once: keys.once.clone(),
            life: &self.life,
            policy,
            channel: &keys.channel,
            head: &self.numbered,
            heading: heading.word(),
            payload: payload.as_str(),
        }
    }

    /// The waiting callers learn at once that there is no connection.
    fn drop_waiting(&mut self) {
        let mut waiting = Vec::new();
        while let Ok(queued) = self.commands.try_recv() {
            waiting.push(queued);
        }
        self.remember_gaps(waiting);
        telemetry::broker_queue(self.commands.len(), self.state.bytes.taken());
    }

    /// Remembers the topics with publications that were not sent, or may not have been.
    fn remember_gaps(&self, commands: impl IntoIterator<Item = QueuedCommand>) {
        for queued in commands {
            if let Command::Publish { topic, .. } = queued.command {
                self.state.pending_gaps.add(topic);
            }
        }
    }
}

/// Sends all commands at once; an error of one command is its answer.
async fn batch(connection: &mut MultiplexedConnection, commands: impl Iterator<Item = Cmd>) -> RedisResult<Vec<Value>> {
    let mut pipeline = Pipeline::new();
    pipeline.ignore_errors();
    for command in commands {
        pipeline.add_command(command);
    }
    if pipeline.is_empty() { Ok(Vec::new()) } else { pipeline.query_async(connection).await }
}

/// The error as text, without the driver's own remarks.
pub(super) fn told(error: ::redis::RedisError) -> Lost {
    error.to_string()
}

fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}
