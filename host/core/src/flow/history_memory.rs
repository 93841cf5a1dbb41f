//! The history of a single node, in its memory: real for a server without a broker, and the fake of all tests.
//!
//! Each topic with publications has a [`Line`]. Its `order` is held from the numbering of a publication until it is
//! delivered, so that the rooms have it in the order of offsets. Readers do not wait for deliveries.
//!
//! A topic without publications costs nothing. Its position is offset 0 of the epoch that its line would begin with,
//! which is the same for all new lines until a line is forgotten.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use parking_lot::Mutex;
use serde_json::value::RawValue;
use tokio::time::Instant;

use super::Publication;
use super::ages::Ages;
use super::ports::{Appended, ENTRY_BYTES, Entry, Extent, History, HistoryAway, Page, Wanted};
use crate::channels::HistoryPolicy;
use crate::protocol::{ConnectionId, Epoch, Position, Topic, TraceContext};
use crate::telemetry;

/// About what a topic takes beside its publications.
const LINE_BYTES: usize = 400;
/// What the place in a trace takes, where a publication has one.
const TRACE_BYTES: usize = size_of::<TraceContext>();

/// The histories of one node.
pub struct MemoryHistory {
    index: Mutex<Index>,
    bytes_max: usize,
    /// Of this process: no other has the same.
    process: String,
}

#[derive(Default)]
struct Index {
    lines: HashMap<Topic, Arc<Line>>,
    /// The topics by their last publication.
    ages: Ages<Topic>,
    /// The bytes of all lines.
    bytes: usize,
    /// How many times lines were forgotten: each time the lines after it begin another epoch.
    forgotten: u64,
}

/// The history of one topic.
struct Line {
    epoch: Epoch,
    order: Mutex<()>,
    ring: Mutex<Ring>,
}

struct Ring {
    kept: VecDeque<KeptEntry>,
    newest: u64,
    displaced: u64,
    removed_before: u64,
    /// The bytes of the payloads.
    bytes: usize,
    ttl: Duration,
    /// Its age in the index.
    age: u64,
    /// It is not in the index any more.
    is_forgotten: bool,
}

struct KeptEntry {
    text: Arc<RawValue>,
    except: Option<ConnectionId>,
    /// Boxed: few have one.
    trace: Option<Box<TraceContext>>,
    at: Instant,
}

impl KeptEntry {
    fn bytes(&self) -> usize {
        self.text.get().len() + self.trace.as_ref().map_or(0, |_| TRACE_BYTES)
    }
}

impl Ring {
    /// What it counts in the bytes of the node.
    fn cost(&self) -> usize {
        LINE_BYTES + self.bytes + self.kept.len() * ENTRY_BYTES
    }

    fn pop(&mut self) {
        if let Some(entry) = self.kept.pop_front() {
            self.bytes -= entry.bytes();
        }
        if self.kept.len() < self.kept.capacity() / 4 {
            self.kept.shrink_to(self.kept.len() * 2);
        }
    }

    /// Removes the oldest publication to make room.
    fn displace(&mut self) {
        self.displaced = self.newest + 1 - self.kept.len() as u64;
        self.pop();
    }

    fn expire(&mut self) {
        let now = Instant::now();
        while self.kept.front().is_some_and(|entry| now.duration_since(entry.at) >= self.ttl) {
            self.pop();
        }
    }

    fn push(&mut self, publication: &Publication, policy: HistoryPolicy) {
        self.ttl = policy.ttl;
        self.expire();
        if policy.messages_max == 0 {
            while !self.kept.is_empty() {
                self.pop();
            }
            self.newest += 1;
            self.displaced = self.newest;
            return;
        }
        // By a quarter and not by doubling: what is reserved and empty is memory, too.
        if self.kept.len() == self.kept.capacity() {
            self.kept.reserve_exact((self.kept.len() / 4).max(4));
        }
        let (text, except) = (publication.payload.text(), publication.except.clone());
        let trace = publication.trace_shown().cloned().map(Box::new);
        let entry = KeptEntry { text, except, trace, at: Instant::now() };
        self.bytes += entry.bytes();
        self.kept.push_back(entry);
        self.newest += 1;
        while self.kept.len() > policy.messages_max || self.bytes > policy.bytes_max {
            self.displace();
        }
    }

    fn extent(&self, epoch: &Epoch) -> Extent {
        let (kept, displaced) = (self.kept.len() as u64, self.displaced);
        Extent { epoch: epoch.clone(), newest: self.newest, kept, displaced }
    }

    fn page(&self, epoch: &Epoch, wanted: &Wanted) -> Page {
        let at = |offset| Position { epoch: epoch.clone(), offset };
        let (newest, removed_before) = (at(self.newest), self.removed_before);
        let missed = match &wanted.since {
            None => Ok(self.kept.len().min(wanted.entries_max) as u64),
            Some(since) => self.extent(epoch).missed_since(since),
        };
        let missed = match missed {
            Ok(missed) => missed,
            Err(reason) => return Page { entries: Err(reason), more: false, newest, removed_before },
        };
        let (first, skipped) = (self.newest - missed + 1, self.kept.len() - usize::try_from(missed).unwrap_or(0));
        let (mut entries, mut bytes) = (Vec::new(), 0);
        for (offset, kept) in (first..).zip(self.kept.iter().skip(skipped)) {
            let cost = kept.bytes() + ENTRY_BYTES;
            if !wanted.has_room(entries.len(), bytes, cost) {
                break;
            }
            bytes += cost;
            let (payload, except) = (Arc::clone(&kept.text).into(), kept.except.clone());
            let trace = kept.trace.as_deref().cloned();
            entries.push(Entry { position: at(offset), payload, except, trace });
        }
        let more = wanted.since.is_some() && (entries.len() as u64) < missed;
        Page { entries: Ok(entries), more, newest, removed_before }
    }
}

impl Index {
    /// What a line costs now, instead of `before`.
    fn recount(&mut self, before: usize, ring: &Ring) {
        if !ring.is_forgotten {
            self.bytes = self.bytes - before + ring.cost();
        }
    }

    fn forget(&mut self, topic: &Topic) {
        let Some(line) = self.lines.remove(topic) else { return };
        let mut ring = line.ring.lock();
        ring.is_forgotten = true;
        self.ages.remove(ring.age);
        self.bytes -= ring.cost();
        self.forgotten += 1;
    }

    /// Makes room: the oldest publications of the topic that was published on longest ago go first, then that topic.
    fn shrink(&mut self, bytes_max: usize) {
        while self.bytes > bytes_max
            && let Some(topic) = self.ages.oldest().cloned()
            && let Some(line) = self.lines.get(&topic).map(Arc::clone)
        {
            let mut ring = line.ring.lock();
            let before = ring.cost();
            while self.bytes - before + ring.cost() > bytes_max && !ring.kept.is_empty() {
                ring.displace();
            }
            self.recount(before, &ring);
            drop(ring);
            if self.bytes > bytes_max {
                // The line that was just published on is the last one.
                if self.lines.len() == 1 {
                    return;
                }
                self.forget(&topic);
            }
        }
    }
}

impl MemoryHistory {
    /// Empty histories that may take so many bytes together.
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        let process = uuid::Uuid::new_v4().simple().to_string()[..12].to_owned();
        Self { index: Mutex::default(), bytes_max, process }
    }

    /// The bytes that all histories take.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.index.lock().bytes
    }

    /// The epoch of a line that begins now.
    fn epoch(&self, index: &Index) -> Option<Epoch> {
        Epoch::parse(&format!("{}-{}", self.process, index.forgotten))
    }

    /// The line of a topic; a new one if there is none.
    fn line(&self, topic: &Topic, ttl: Duration) -> Option<Arc<Line>> {
        let mut index = self.index.lock();
        if let Some(line) = index.lines.get(topic) {
            return Some(Arc::clone(line));
        }
        let epoch = self.epoch(&index)?;
        let ring = Ring {
            kept: VecDeque::new(),
            newest: 0,
            displaced: 0,
            removed_before: 0,
            bytes: 0,
            ttl,
            age: index.ages.add(topic.clone()),
            is_forgotten: false,
        };
        index.bytes += ring.cost();
        let line = Arc::new(Line { epoch, order: Mutex::default(), ring: Mutex::new(ring) });
        index.lines.insert(topic.clone(), Arc::clone(&line));
        Some(line)
    }

    /// Numbers a publication; `None` if its line was forgotten meanwhile.
    fn number(&self, line: &Line, publication: &Publication, policy: HistoryPolicy) -> Option<Position> {
        // The locks always in this order: the index, then a ring.
        let mut index = self.index.lock();
        let mut ring = line.ring.lock();
        if ring.is_forgotten {
            return None;
        }
        let before = ring.cost();
        ring.push(publication, policy);
        let position = Position { epoch: line.epoch.clone(), offset: ring.newest };
        index.recount(before, &ring);
        index.ages.renew(&mut ring.age);
        drop(ring);
        index.shrink(self.bytes_max);
        telemetry::history_bytes(index.bytes);
        Some(position)
    }
}

impl History for MemoryHistory {
    fn append(&self, publication: &Publication, policy: HistoryPolicy, deliver: &mut dyn FnMut(Position)) -> Appended {
        loop {
            let Some(line) = self.line(&publication.topic, policy.ttl) else {
                return Appended::Sent(ready(Err(HistoryAway)).boxed());
            };
            let _order = line.order.lock();
            if let Some(position) = self.number(&line, publication, policy) {
                deliver(position.clone());
                return Appended::At(position);
            }
        }
    }

    fn read(
        &self,
        topic: &Topic,
        policy: HistoryPolicy,
        wanted: Wanted,
    ) -> BoxFuture<'static, Result<Page, HistoryAway>> {
        let mut index = self.index.lock();
        let page = if let Some(line) = index.lines.get(topic).map(Arc::clone) {
            let mut ring = line.ring.lock();
            let before = ring.cost();
            ring.ttl = policy.ttl;
            ring.expire();
            index.recount(before, &ring);
            drop(index);
            Ok(ring.page(&line.epoch, &wanted))
        } else {
            self.epoch(&index).ok_or(HistoryAway).map(|epoch| {
                let none = Extent { epoch: epoch.clone(), newest: 0, kept: 0, displaced: 0 };
                let missed = wanted.since.as_ref().map_or(Ok(0), |since| none.missed_since(since));
                let (entries, newest) = (missed.map(|_| Vec::new()), Position { epoch, offset: 0 });
                Page { entries, more: false, newest, removed_before: 0 }
            })
        };
        ready(page).boxed()
    }

    fn note_removed(&self, topic: &Topic, policy: HistoryPolicy) {
        // A new one, if there is none: clients may have the position before its first publication.
        if let Some(line) = self.line(topic, policy.ttl) {
            let mut ring = line.ring.lock();
            ring.removed_before = ring.newest + 1;
        }
    }

    fn keep_only(&self, is_kept: &dyn Fn(&Topic) -> bool) {
        let mut index = self.index.lock();
        let lost: Vec<Topic> = index.lines.keys().filter(|topic| !is_kept(topic)).cloned().collect();
        lost.iter().for_each(|topic| index.forget(topic));
        // For topics without a line, too, to which clients may have positions.
        index.forgotten += 1;
        telemetry::history_bytes(index.bytes);
    }

    fn sweep(&self) {
        let lines: Vec<Arc<Line>> = self.index.lock().lines.values().map(Arc::clone).collect();
        for line in lines {
            let mut index = self.index.lock();
            let mut ring = line.ring.lock();
            let before = ring.cost();
            ring.expire();
            index.recount(before, &ring);
        }
        telemetry::history_bytes(self.index.lock().bytes);
    }
}
