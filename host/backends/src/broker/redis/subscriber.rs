//! Incoming messages: one connection that listens to the topics of this node. It connects again when the connection is
//! lost.
//!
//! The task that reads a message delivers it before it reads the next one. If a node cannot keep up, messages wait in
//! Redis, which closes the connection when there are too many (`client-output-buffer-limit pubsub`); then gaps are
//! sent.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::streams::StreamReadReply;
use ::redis::{AsyncConnectionConfig, Client, FromRedisValue, PushInfo, PushKind, RedisResult, Value};
use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use super::super::delivery::Delivery;
use super::super::interest::Heard;
use super::super::links::Link;
use super::super::message::{Body, Message};
use super::super::{Lost, PROBE_INTERVAL, no_answer, pause};
use super::publisher::told;
use super::{State, scripts};
use tidegate_core::flow::broker::HearsNodes;
use tidegate_core::protocol::Topic;
use tidegate_core::telemetry;

/// Topics that are subscribed to at once.
const TOPICS_PER_ASK: usize = 500;
/// Messages between nodes that are read at once.
const CONTROL_MESSAGES_PER_READ: usize = 100;

/// The incoming connection.
pub(super) struct Subscriber {
    client: Client,
    state: Arc<State>,
    /// The run of the last Redis: it differs after every start of Redis.
    run: Option<String>,
    /// The last message between nodes that was read.
    read_up_to: String,
}

/// Receives the messages of one connection.
struct PushHandler {
    delivery: Delivery<State>,
    /// The connection is in use. Messages of an abandoned connection come too late.
    is_live: AtomicBool,
    began: Instant,
    /// When something was received, in ms after `began`.
    heard_ms: AtomicU64,
    lost: Notify,
    /// There is a new message for every node.
    control: Notify,
}

/// A connection and its receiver. When this is dropped, messages of the receiver no longer count.
struct Connection {
    redis: MultiplexedConnection,
    handler: Arc<PushHandler>,
    timeout: Duration,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.handler.is_live.store(false, Ordering::Release);
    }
}

impl Subscriber {
    pub(super) fn new(client: Client, state: Arc<State>) -> Self {
        Self { client, state, run: None, read_up_to: "0-0".to_owned() }
    }

    /// Connects and stays connected, for ever.
    pub(super) async fn run(mut self, node: Arc<dyn HearsNodes>) {
        let mut failures = 0;
        loop {
            let state = Arc::clone(&self.state);
            let lost = match self.connect(&node).await {
                Ok((mut connection, gaps)) => {
                    failures = 0;
                    state.links.note(Link::In, Ok(gaps));
                    match self.serve(&mut connection).await {
                        Ok(never) => match never {},
                        Err(lost) => lost,
                    }
                }
                Err(lost) => {
                    failures += 1;
                    lost
                }
            };
            state.links.note(Link::In, Err(&lost));
            state.interest.lost();
            state.interest.take_left();
            sleep(pause(failures)).await;
        }
    }

    /// A connection that listens to all topics of this node, and the number of topics whose subscribers received a gap.
    async fn connect(&mut self, node: &Arc<dyn HearsNodes>) -> Result<(Connection, usize), Lost> {
        let within = self.state.timeout;
        let handler = Arc::new(PushHandler::new(Arc::clone(&self.state), Arc::clone(node)));
        let handling = Arc::clone(&handler);
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(within))
            .set_response_timeout(None)
            .set_push_sender(move |push| {
                handling.handle(&push);
                Ok::<(), ::redis::aio::SendError>(())
            });
        let connecting = self.client.get_multiplexed_async_connection_with_config(&config);
        let redis = timeout(within, connecting).await.map_err(|_| no_answer(within))?.map_err(told)?;
        let mut connection = Connection { redis, handler, timeout: within };
        self.recognise(&mut connection).await?;
        connection.subscribe(&[self.state.names.nodes()]).await?;
        connection.probe(&self.state).await?;
        let mut gaps = 0;
        loop {
            let wanted = self.state.interest.take_wanted(TOPICS_PER_ASK);
            if wanted.is_empty() {
                break;
            }
            gaps += self.listen(&mut connection, wanted).await?;
        }
        self.state.interest.found();
        self.read_control(&mut connection).await?;
        Ok((connection, gaps))
    }

    /// Finds out whether this is the same Redis as before, with its data.
    async fn recognise(&mut self, connection: &mut Connection) -> Result<(), Lost> {
        let info: String = connection.ask(::redis::cmd("INFO").arg("server")).await?;
        let run = info.lines().find_map(|line| line.strip_prefix("run_id:")).unwrap_or_default().trim().to_owned();
        if self.run.as_ref().is_some_and(|before| *before != run) {
            self.state.interest.forgot();
            self.read_up_to = "0-0".to_owned();
        }
        self.run = Some(run);
        Ok(())
    }

    /// Listens to topics, and sends a gap to the subscribers of those that missed something. Returns how many those
    /// are.
    async fn listen(&self, connection: &mut Connection, topics: Vec<Topic>) -> Result<usize, Lost> {
        let names = &self.state.names;
        let channels: Vec<String> = topics.iter().map(|topic| names.channel(topic)).collect();
        // Before the subscription: of what is heard from then on nothing is missed.
        let again: Vec<&Topic> = topics.iter().filter(|topic| self.state.interest.has_delivered(topic)).collect();
        connection.subscribe(&channels).await?;
        // Read after the subscription: every message after this count is received.
        let mut counts = ::redis::cmd("MGET");
        topics.iter().for_each(|topic| {
            counts.arg(names.count(topic));
        });
        let counts: Vec<Option<u64>> = connection.ask(&counts).await?;
        let mut missed = self.state.interest.heard(topics.iter().cloned().zip(counts));
        // Whoever reads the history tells the gap, if there is one, and at its place.
        let read: HashSet<&Topic> =
            again.into_iter().filter(|topic| connection.handler.delivery.follow_again(topic)).collect();
        missed.retain(|topic| !read.contains(topic));
        missed.iter().for_each(|topic| connection.handler.delivery.tell_gap(topic));
        Ok(missed.len())
    }

    async fn serve(&mut self, connection: &mut Connection) -> Result<std::convert::Infallible, Lost> {
        let mut probes = interval(PROBE_INTERVAL);
        probes.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let state = Arc::clone(&self.state);
        let handler = Arc::clone(&connection.handler);
        loop {
            tokio::select! {
                () = handler.lost.notified() => return Err("the connection was closed".to_owned()),
                () = handler.control.notified() => self.read_control(connection).await?,
                () = state.interest.wanted.notified() => {
                    loop {
                        let wanted = state.interest.take_wanted(TOPICS_PER_ASK);
                        if wanted.is_empty() {
                            break;
                        }
                        self.listen(connection, wanted).await?;
                    }
                }
                _ = probes.tick() => {
                    connection.probe(&state).await?;
                    for left in state.interest.take_left().chunks(TOPICS_PER_ASK) {
                        let channels: Vec<String> = left.iter().map(|topic| state.names.channel(topic)).collect();
                        connection.unsubscribe(&channels).await?;
                    }
                }
            }
        }
    }

    /// Reads the new messages between nodes.
    async fn read_control(&mut self, connection: &mut Connection) -> Result<(), Lost> {
        loop {
            let mut read = ::redis::cmd("XREAD");
            read.arg("COUNT")
                .arg(CONTROL_MESSAGES_PER_READ)
                .arg("STREAMS")
                .arg(self.state.names.control())
                .arg(&self.read_up_to);
            let reply: Option<StreamReadReply> = connection.ask(&read).await?;
            let Some(stream) = reply.and_then(|mut reply| reply.keys.pop()) else { return Ok(()) };
            for entry in stream.ids {
                if let Some(Value::BulkString(message)) = entry.map.get("m") {
                    connection.handler.delivery.node.hear_control(message);
                }
                self.read_up_to = entry.id;
            }
        }
    }
}

impl Connection {
    /// Asks Redis something. A connection that receives messages is alive, however long the answer waits behind them.
    async fn ask<T: FromRedisValue>(&mut self, command: &::redis::Cmd) -> Result<T, Lost> {
        let (timeout, handler) = (self.timeout, Arc::clone(&self.handler));
        let answer = command.query_async(&mut self.redis);
        patiently(timeout, &handler, answer).await
    }

    /// Checks that Redis is there and lets this node read the counts of topics.
    async fn probe(&mut self, state: &State) -> Result<(), Lost> {
        let answer: Result<Value, Lost> = self.ask(::redis::cmd("MGET").arg(state.names.probe())).await;
        answer.map(drop)
    }

    async fn subscribe(&mut self, channels: &[String]) -> Result<(), Lost> {
        let (timeout, handler) = (self.timeout, Arc::clone(&self.handler));
        patiently(timeout, &handler, self.redis.subscribe(channels)).await
    }

    async fn unsubscribe(&mut self, channels: &[String]) -> Result<(), Lost> {
        let (timeout, handler) = (self.timeout, Arc::clone(&self.handler));
        patiently(timeout, &handler, self.redis.unsubscribe(channels)).await
    }
}

async fn patiently<T>(
    within: Duration,
    handler: &PushHandler,
    answer: impl Future<Output = RedisResult<T>>,
) -> Result<T, Lost> {
    let mut answer = std::pin::pin!(answer);
    let mut wait = within;
    loop {
        match timeout(wait, &mut answer).await {
            Ok(answer) => return answer.map_err(told),
            Err(_) => {
                let silent = handler.silent_for();
                if silent >= within {
                    return Err(no_answer(within));
                }
                wait = within - silent;
            }
        }
    }
}

impl PushHandler {
    fn new(state: Arc<State>, node: Arc<dyn HearsNodes>) -> Self {
        Self {
            delivery: Delivery { state, node },
            is_live: AtomicBool::new(true),
            began: Instant::now(),
            heard_ms: AtomicU64::new(0),
            lost: Notify::new(),
            control: Notify::new(),
        }
    }

    fn silent_for(&self) -> Duration {
        self.began.elapsed().saturating_sub(Duration::from_millis(self.heard_ms.load(Ordering::Relaxed)))
    }

    /// Called in order by the task that reads the connection. A panic is a bug of the server; it costs only this
    /// message.
    fn handle(&self, push: &PushInfo) {
        if !self.is_live.load(Ordering::Acquire) {
            return;
        }
        match push.kind {
            PushKind::Disconnection => self.lost.notify_one(),
            PushKind::Message => {
                let now_ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
                self.heard_ms.store(now_ms, Ordering::Relaxed);
                if let [Value::BulkString(channel), Value::BulkString(text)] = push.data.as_slice()
                    && let (Ok(channel), Ok(text)) = (std::str::from_utf8(channel), std::str::from_utf8(text))
                    && catch_unwind(AssertUnwindSafe(|| self.take(channel, text))).is_err()
                {
                    telemetry::panicked("broker", "delivering what another node published");
                }
            }
            _ => {}
        }
    }

    fn take(&self, channel: &str, text: &str) {
        let Some(topic) = self.delivery.state.names.topic(channel) else { return self.control_message(text) };
        let Some(message) = Message::read(text) else {
            return tracing::warn!(topic, "received a message that this version does not understand");
        };
        if let Body::Numbered { heading, epoch, payload } = message.body {
            return self.delivery.numbered(topic, epoch, message.count, heading, payload);
        }
        if let Body::Removed { epoch, keys } = message.body {
            return self.delivery.removed(topic, epoch, message, keys);
        }
        let Some(Heard { topic, is_gap }) = self.delivery.state.interest.counted(topic, message.before, message.count)
        else {
            return;
        };
        if is_gap {
            self.delivery.tell_gap(&topic);
        }
        // This node's own subscribers have had it.
        if message.node == self.delivery.state.node {
            return;
        }
        telemetry::broker_heard();
        match message.body {
            Body::Gap => self.delivery.tell_gap(&topic),
            // Taken above.
            Body::Numbered { .. } | Body::Removed { .. } => {}
            Body::Publication { heading, payload } => self.delivery.plain(&topic, heading, payload),
        }
    }

    /// Handles a message for every node.
    fn control_message(&self, text: &str) {
        match text {
            scripts::READ => self.control.notify_one(),
            scripts::GAP_EVERYWHERE => {
                self.delivery.state.interest.all().iter().for_each(|topic| self.delivery.tell_gap(topic))
            }
            _ => {}
        }
    }
}
