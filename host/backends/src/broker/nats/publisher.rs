//! What goes out: publications without positions, and messages between nodes. One queue, one batch under way; the next
//! one gathers meanwhile. A batch is taken when a message of this node to itself, sent behind it, comes back.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, timeout};

use super::super::byte_budget::BytePermit;
use super::super::links::Link;
use super::super::message::{self, Heading};
use super::super::{Lost, PROBE_INTERVAL, pause};
use super::State;
use super::stream::{Stored, Terms};
use super::words;
use tidegate_core::protocol::{Payload, Topic};
use tidegate_core::telemetry;

/// The most commands of one batch.
const BATCH_MAX: usize = 512;
/// Topics whose numbers of publications this node remembers; with more it begins to count anew.
const COUNTS_MAX: usize = 100_000;
/// How often a server of a cluster fails in a row before another one is tried.
const FAILURES_OF_A_SERVER: u32 = 5;
/// How long a test of what the stream accepts is kept.
const PROBE_TTL: Duration = Duration::from_secs(60);

/// A command, and the receiver of its answer. Dropped if there is no answer.
pub(super) struct QueuedCommand {
    pub(super) command: Command,
    pub(super) answer: oneshot::Sender<()>,
    /// When nobody waits for the answer any more.
    pub(super) until: Instant,
    /// Its part of the bytes that may wait.
    pub(super) _permit: BytePermit,
}

/// The command.
pub(super) enum Command {
    /// A publication for the other nodes.
    Publish { topic: Topic, heading: Heading, payload: Payload },
    /// A message for every node.
    Control { message: String },
}

impl Command {
    /// Its approximate size.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Publish { payload, .. } => payload.as_str().len(),
            Self::Control { message } => message.len(),
        }
    }
}

/// How many publications of each topic went out: a receiver sees by the numbers which it missed.
#[derive(Default)]
struct Counts {
    of_topics: HashMap<Topic, u64>,
    newest: u64,
}

impl Counts {
    /// The number of the publication before, 0 if it is not known, and of the next one.
    fn next(&mut self, topic: &Topic) -> (u64, u64) {
        if self.of_topics.len() >= COUNTS_MAX && !self.of_topics.contains_key(topic) {
            self.of_topics.clear();
        }
        self.newest += 1;
        (self.of_topics.insert(topic.clone(), self.newest).unwrap_or(0), self.newest)
    }
}

/// The outgoing link.
pub(super) struct Publisher {
    state: Arc<State>,
    commands: mpsc::Receiver<QueuedCommand>,
    counts: Counts,
    /// Topics of publications since the stream was last known to be reached: perhaps only the server of this node has
    /// them.
    unproven: HashSet<Topic>,
    probed_at: Instant,
}

impl Publisher {
    pub(super) fn new(state: Arc<State>, commands: mpsc::Receiver<QueuedCommand>) -> Self {
        Self { state, commands, counts: Counts::default(), unproven: HashSet::new(), probed_at: Instant::now() }
    }

    /// Connects and stays connected, for ever.
    pub(super) async fn run(mut self) {
        let mut failures = 0;
        loop {
            let (lost, was_up) = match self.begin().await {
                Ok(()) => {
                    self.state.links.note(Link::Out, Ok(0));
                    match self.serve().await {
                        Ok(never) => match never {},
                        Err(lost) => (lost, true),
                    }
                }
                Err(lost) => (lost, false),
            };
            self.state.links.note(Link::Out, Err(&lost));
            self.drop_waiting();
            self.state.writer.forget();
            self.unproven.drain().for_each(|topic| self.state.pending_gaps.add(topic));
            failures = if was_up { 0 } else { failures + 1 };
            if failures > 0 && failures % FAILURES_OF_A_SERVER == 0 {
                self.state.connection.go_elsewhere().await;
            }
            sleep(pause(failures)).await;
        }
    }

    /// The stream is there and accepts messages, and all pending gaps are sent.
    async fn begin(&mut self) -> Result<(), Lost> {
        self.state.stream.ensure().await?;
        self.probe().await?;
        self.send_gaps().await
    }

    /// Checks that the stream accepts messages: that most of its replicas are there.
    async fn probe(&mut self) -> Result<(), Lost> {
        self.probed_at = Instant::now();
        let terms = Terms { ttl: Some(PROBE_TTL), is_alone: true, ..Terms::default() };
        let stored = self.state.stream.store(self.state.names.probe(&self.state.node), String::new(), &terms).await;
        if let Stored::At(seq) = stored.map_err(|why| format!("it does not accept publications: {why}"))? {
            self.state.saw(seq);
        }
        self.unproven.clear();
        Ok(())
    }

    /// Sends the pending gaps to the other nodes. Gaps that were not taken stay pending.
    async fn send_gaps(&mut self) -> Result<(), Lost> {
        let gaps = self.state.pending_gaps.take();
        let sent = self.send_gap_messages(&gaps).await;
        if sent.is_err() {
            self.state.pending_gaps.put_back(gaps);
        }
        sent
    }

    async fn send_gap_messages(&mut self, (topics, every_topic): &(Vec<Topic>, bool)) -> Result<(), Lost> {
        if topics.is_empty() && !every_topic {
            return Ok(());
        }
        let gap = message::gap(&self.state.node);
        for topic in topics {
            let (before, count) = self.counts.next(topic);
            self.state.connection.publish(self.state.names.plain(topic), format!("{before} {count} {gap}")).await?;
        }
        if *every_topic {
            self.state.connection.publish(self.state.names.nodes(), words::GAP_EVERYWHERE.to_owned()).await?;
        }
        self.state.connection.round_trip().await
    }

    /// Sends the waiting commands until the link is lost.
    async fn serve(&mut self) -> Result<std::convert::Infallible, Lost> {
        let mut commands = Vec::with_capacity(BATCH_MAX);
        loop {
            let until_probe = PROBE_INTERVAL.saturating_sub(self.probed_at.elapsed());
            match timeout(until_probe, self.commands.recv_many(&mut commands, BATCH_MAX)).await {
                Err(_) => {}
                // Nobody is left who could send anything.
                Ok(0) => std::future::pending().await,
                Ok(_) => self.send_all(&mut commands).await?,
            }
            telemetry::broker_queue(self.commands.len(), self.state.bytes.taken());
            if self.probed_at.elapsed() >= PROBE_INTERVAL {
                self.probe().await?;
            }
            if !self.state.pending_gaps.is_empty() {
                self.send_gaps().await?;
            }
        }
    }

    /// Sends the gathered commands. A connection that was lost meanwhile may have lost some of them.
    async fn send_all(&mut self, commands: &mut Vec<QueuedCommand>) -> Result<(), Lost> {
        let now = Instant::now();
        // Callers that waited too long know already that it was not sent.
        let (commands, late): (Vec<_>, Vec<_>) = commands.drain(..).partition(|queued| queued.until > now);
        self.remember_gaps(late);
        let connected = self.state.connection.times_lost();
        let mut sent = Vec::with_capacity(commands.len());
        for queued in commands {
            match self.send(&queued.command).await {
                Ok(()) => sent.push(queued),
                Err(why) => {
                    telemetry::broker_refused(&why);
                    self.remember_gaps([queued]);
                }
            }
        }
        let taken = match self.state.connection.round_trip().await {
            Ok(()) if self.state.connection.times_lost() != connected => Err("the connection was closed".to_owned()),
            taken => taken,
        };
        match taken {
            Ok(()) => sent.into_iter().for_each(|queued| {
                let _ = queued.answer.send(());
            }),
            Err(_) => self.remember_gaps(sent),
        }
        taken
    }

    async fn send(&mut self, command: &Command) -> Result<(), Lost> {
        match command {
            Command::Publish { topic, heading, payload } => {
                let (before, count) = self.counts.next(topic);
                let publication = message::publication(&self.state.node, heading, payload);
                let message = format!("{before} {count} {publication}");
                if self.state.connection.is_of_cluster() {
                    self.unproven.insert(topic.clone());
                }
                self.state.connection.publish(self.state.names.plain(topic), message).await
            }
            Command::Control { message } => words::tell(&self.state, message.clone()).await,
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
