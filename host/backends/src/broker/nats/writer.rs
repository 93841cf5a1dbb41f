//! What is written into the logs of topics: one message after the other on a topic, different topics at once. Each
//! message expects the one that this node knows as the last: if another node was first, this node reads what it wrote,
//! judges again and tries again.

use std::collections::{HashMap, VecDeque};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::{Instant, timeout_at};

use super::super::Lost;
use super::super::byte_budget::BytePermit;
use super::super::links::Link;
use super::State;
use super::batch::{BATCH_BYTES_MAX, BATCH_MAX, BATCH_MIN};
use super::draft::{Draft, Wish, Written};
use super::stream::{Kept, Stored};
use super::topic_log::TopicLog;
use tidegate_core::flow::broker::BrokerAway;
use tidegate_core::protocol::{Key, Topic};
use tidegate_core::telemetry;

/// Topics that are written at once; one more waits.
const TOPICS_AT_ONCE_MAX: usize = 64;
/// Topics whose logs this node remembers when it does not write; with more it forgets some.
const LOGS_MAX: usize = 4_096;
/// How often a message is tried while other nodes are first.
const TRIES_MAX: u32 = 100;
/// So many messages that nobody needs, and they are removed.
const GARBAGE_MAX: usize = 32;
/// Why the writer gives up what it wrote itself.
pub(super) const UNREADABLE: &str = "what was written cannot be read";

/// The topics that this node writes.
pub(super) struct Writer {
    lanes: Mutex<HashMap<Topic, Lane>>,
    /// How many messages may wait (`limits.broker_queue`).
    room: Arc<Semaphore>,
    turns: Semaphore,
}

/// What waits for its turn on one topic.
#[derive(Default)]
struct Lane {
    waiting: VecDeque<Waiting>,
    /// Whether a task writes it.
    is_written: bool,
    /// What this node knows of it, while no task has it.
    log: Option<TopicLog>,
}

/// A wish, and the receiver of its answer. Dropped if there is no answer.
pub(super) struct Waiting {
    pub(super) wish: Wish,
    answer: oneshot::Sender<Written>,
    /// When nobody waits for the answer any more.
    until: Instant,
    _room: OwnedSemaphorePermit,
    _bytes: BytePermit,
}

impl Writer {
    /// Nothing waits yet.
    pub(super) fn new(waiting_max: usize) -> Self {
        Self {
            lanes: Mutex::default(),
            room: Arc::new(Semaphore::new(waiting_max.clamp(1, 1 << 20))),
            turns: Semaphore::new(TOPICS_AT_ONCE_MAX),
        }
    }

    /// What this node knows may be wrong: the link was lost.
    pub(super) fn forget(&self) {
        self.lanes.lock().retain(|_, lane| {
            lane.log = None;
            lane.is_written
        });
    }

    /// The next wish of a topic; `None`, and the log is put back, if there is none.
    fn next(&self, topic: &Topic, log: &mut Option<TopicLog>) -> Option<Waiting> {
        let mut lanes = self.lanes.lock();
        let lane = lanes.get_mut(topic)?;
        if let Some(next) = lane.waiting.pop_front() {
            return Some(next);
        }
        (lane.is_written, lane.log) = (false, log.take());
        if lanes.len() > LOGS_MAX {
            lanes.retain(|_, lane| lane.is_written);
        }
        None
    }

    /// The first wish of a topic, and those behind it that can be written with it; it alone if those are few.
    fn with_others(&self, topic: &Topic, first: Waiting) -> Vec<Waiting> {
        let mut batch = vec![first];
        let mut lanes = self.lanes.lock();
        let Some(lane) = lanes.get_mut(topic) else { return batch };
        let mut bytes = batch[0].wish.bytes();
        let fits = |waiting: &&Waiting| {
            bytes += waiting.wish.bytes();
            waiting.wish.is_for_batch() && bytes <= BATCH_BYTES_MAX
        };
        let others = lane.waiting.iter().take(BATCH_MAX - 1).take_while(fits).count();
        if batch[0].wish.is_for_batch() && others + 1 >= BATCH_MIN {
            batch.extend(lane.waiting.drain(..others));
        }
        batch
    }

    /// Puts wishes back in front of those that wait.
    fn put_back(&self, topic: &Topic, batch: Vec<Waiting>) {
        if let Some(lane) = self.lanes.lock().get_mut(topic) {
            batch.into_iter().rev().for_each(|waiting| lane.waiting.push_front(waiting));
        }
    }
}

impl State {
    /// Writes on a topic, after everything that was to be written on it before. Refuses at once while the link is known
    /// to be lost.
    pub(super) fn write(self: &Arc<Self>, topic: &Topic, wish: Wish) -> Result<oneshot::Receiver<Written>, BrokerAway> {
        if !self.links.is_up(Link::Out) {
            return Err(BrokerAway);
        }
        if !matches!(wish, Wish::End) {
            self.unnumbered.lock().remove(topic);
        }
        let room = Arc::clone(&self.writer.room).try_acquire_owned().map_err(|_| BrokerAway)?;
        let bytes = self.bytes.take(wish.bytes()).ok_or(BrokerAway)?;
        let (answer, answered) = oneshot::channel();
        let until = Instant::now() + self.timeout;
        let mut lanes = self.writer.lanes.lock();
        let lane = lanes.entry(topic.clone()).or_default();
        lane.waiting.push_back(Waiting { wish, answer, until, _room: room, _bytes: bytes });
        if !std::mem::replace(&mut lane.is_written, true) {
            let log = lane.log.take();
            drop(lanes);
            tokio::spawn(Arc::clone(self).serve(topic.clone(), log));
        }
        Ok(answered)
    }

    /// Writes what waits on a topic.
    async fn serve(self: Arc<Self>, topic: Topic, mut log: Option<TopicLog>) {
        let Ok(_turn) = self.writer.turns.acquire().await else { return };
        // How many are to be written one by one.
        let mut alone: u32 = 0;
        while let Some(first) = self.writer.next(&topic, &mut log) {
            // Who waited too long knows already that it was not written.
            if first.until <= Instant::now() {
                continue;
            }
            let turn = if alone == 0 { self.stream.batch() } else { None };
            let batch = if turn.is_some() { self.writer.with_others(&topic, first) } else { vec![first] };
            // Held by who uses it.
            let _turn = turn.filter(|_| batch.len() > 1);
            alone = alone.saturating_sub(1);
            let until = batch[0].until;
            let written = timeout_at(until, self.write_all(&topic, &mut log, &batch)).await;
            match written {
                Ok(Ok(ControlFlow::Continue(written))) => {
                    batch.into_iter().zip(written).for_each(|(waiting, written)| drop(waiting.answer.send(written)));
                }
                Ok(Ok(ControlFlow::Break(first_alone))) => {
                    alone = first_alone;
                    self.writer.put_back(&topic, batch);
                }
                Ok(Err(why)) => {
                    log = None;
                    telemetry::broker_refused(&why);
                }
                // Nobody knows whether it was written.
                Err(_) => log = None,
            }
            if let Some(log) = &mut log
                && log.garbage.len() >= GARBAGE_MAX
            {
                self.tidy(&topic, log).await;
            }
        }
    }

    /// Writes one, or several as a batch.
    async fn write_all(
        &self,
        topic: &Topic,
        log: &mut Option<TopicLog>,
        batch: &[Waiting],
    ) -> Result<ControlFlow<u32, Vec<Written>>, Lost> {
        match batch {
            [one] => Ok(ControlFlow::Continue(vec![self.write_one(topic, log, &one.wish).await?])),
            batch => self.write_batch(topic, log, batch).await,
        }
    }

    async fn write_one(&self, topic: &Topic, log: &mut Option<TopicLog>, wish: &Wish) -> Result<Written, Lost> {
        let is_end = matches!(wish, Wish::End);
        let (mut known, mut is_fresh) = match log.take() {
            Some(log) if !is_end => (log, false),
            _ => (self.load(topic).await?, true),
        };
        let id = self.next_id();
        let mut tries = 0;
        let written = loop {
            if is_end && known.newest.is_none() {
                break Written::Ended;
            }
            let epoch = self.epoch_of(&known).await?;
            let (subject, text, terms, written) = match self.draft(topic, &mut known, wish, &id, &epoch) {
                Draft::Nothing(written) if is_fresh => break written,
                // Another node may have written what says otherwise.
                Draft::Nothing(_) => {
                    self.refresh(topic, &mut known, "").await?;
                    is_fresh = true;
                    continue;
                }
                Draft::Message { subject, text, terms, written } => (subject, text, terms, written),
            };
            match self.stream.store(subject, text.clone(), &terms).await? {
                Stored::At(seq) => {
                    self.saw(seq);
                    known.take(&Kept { seq, at_ms: now_ms(), text }).ok_or(UNREADABLE)?;
                    break written;
                }
                Stored::Before(seq) => break self.written_before(seq, &written).await?,
                Stored::Behind if tries == TRIES_MAX => return Err("other nodes were first too often".to_owned()),
                Stored::Behind => tries += 1,
            }
            if self.refresh(topic, &mut known, &id).await? {
                break written;
            }
            is_fresh = true;
        };
        *log = Some(known);
        Ok(written)
    }

    /// The log of a topic: as much of it as a writer needs.
    pub(super) async fn load(&self, topic: &Topic) -> Result<TopicLog, Lost> {
        let mut log = TopicLog::default();
        self.refresh(topic, &mut log, "").await?;
        Ok(log)
    }

    /// Reads what is new in a log. Returns whether the message with this id is there: the answer to it was lost.
    pub(super) async fn refresh(&self, topic: &Topic, log: &mut TopicLog, id: &str) -> Result<bool, Lost> {
        let subjects = self.names.log(topic);
        let Some(last) = self.stream.last(&subjects).await? else {
            *log = TopicLog::whole(false);
            return Ok(false);
        };
        let is_known = log.seq > 0 && log.seq <= last.seq;
        let news = match super::entry::Entry::read(&last.text) {
            _ if is_known => self.stream.range(&subjects, log.seq + 1, last.seq).await?,
            // The newest message tells everything but the values.
            Some(entry) if entry.stand.shelf.is_none() => {
                *log = TopicLog::default();
                vec![last]
            }
            _ => {
                *log = TopicLog::whole(false);
                self.stream.range(&subjects, 1, last.seq).await?
            }
        };
        let mut is_there = false;
        for kept in news {
            is_there |= !id.is_empty() && kept.text.strip_prefix(id).is_some_and(|rest| rest.starts_with(' '));
            log.take(&kept).ok_or("the log holds something that this version does not understand")?;
        }
        Ok(is_there)
    }

    /// Removes what nobody needs any more from a log.
    async fn tidy(&self, topic: &Topic, log: &mut TopicLog) {
        let mut keys: Vec<Key> = std::mem::take(&mut log.garbage);
        keys.sort_unstable();
        keys.dedup();
        let mut purged = Ok(());
        if log.shelf.len() == 0 {
            purged = self.stream.purge(&self.names.log(topic), log.needless_before(None)).await;
        } else {
            for key in &keys {
                let before = log.needless_before(Some(key));
                purged = purged.and(self.stream.purge(&self.names.entry(topic, key), before).await);
            }
        }
        if let Err(why) = purged {
            tracing::debug!(%topic, why, "what nobody needs stays in the log a while");
        }
    }
}

/// The time, in ms since the Unix epoch.
pub(super) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
