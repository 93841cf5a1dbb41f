//! The last values and versions of a single node, in its memory: real for a server without a broker, and the fake of all
//! tests.
//!
//! Each topic with a key has a [`Shelf`]. Its `order` is held from the judgement of a version until the publication is
//! delivered and kept, so that a reader finds all of it or nothing. The positions are those of the history, which numbers
//! the publications of channels that keep none, too.
//!
//! Locks are taken in this order: the `order` of a shelf, the index, the content of a shelf.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use parking_lot::Mutex;
use serde_json::value::RawValue;
use tokio::time::Instant;

use super::Publication;
use super::ages::Ages;
use super::ports::{
    Appended, ENTRY_BYTES, History, Removal, Removed, Retained, RetainedAway, Taken, Values, ValuesUnread, Wanted,
};
use crate::channels::{Channel, HistoryPolicy, Keeping, Resolved};
use crate::protocol::{Key, Position, RetainedValue, Topic, Version};
use crate::telemetry;

/// About what a topic takes beside its keys.
const SHELF_BYTES: usize = 400;

/// The last values and versions of one node.
pub struct MemoryRetained {
    index: Mutex<Index>,
    bytes_max: usize,
    history: Arc<dyn History>,
}

#[derive(Default)]
struct Index {
    shelves: HashMap<Topic, Arc<Shelf>>,
    /// The topics by their last publication.
    ages: Ages<Topic>,
    /// The bytes of all shelves.
    bytes: usize,
    /// How many values there are.
    values: usize,
}

/// The keys of one topic.
#[derive(Default)]
struct Shelf {
    order: Mutex<()>,
    content: Mutex<Content>,
}

#[derive(Default)]
struct Content {
    kept: HashMap<Key, KeptKey>,
    /// The keys by their last publication.
    ages: Ages<Key>,
    /// The bytes of keys, versions and values.
    bytes: usize,
    values: usize,
    ttl: Duration,
    /// By which places in the payloads the keys and versions were found.
    found_by: u64,
    /// Its age in the index.
    age: u64,
}

struct KeptKey {
    text: Option<Arc<RawValue>>,
    version: Option<Version>,
    position: Position,
    at: Instant,
    /// Its age among the keys.
    age: u64,
}

/// Why a key made room for others.
#[derive(Clone, Copy)]
enum Displaced {
    Keys,
    Bytes,
    Node,
}

impl Displaced {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Keys => "keys",
            Self::Bytes => "bytes",
            Self::Node => "retained_bytes",
        }
    }
}

impl KeptKey {
    fn bytes(&self, key: &Key) -> usize {
        let version = self.version.as_ref().map_or(0, |version| version.as_str().len());
        key.as_str().len() + version + self.text.as_ref().map_or(0, |text| text.get().len())
    }
}

impl Content {
    /// What it counts in the bytes of the node.
    fn cost(&self) -> usize {
        SHELF_BYTES + self.bytes + self.kept.len() * ENTRY_BYTES
    }

    fn take(&mut self, key: &Key) -> Option<KeptKey> {
        let kept = self.kept.remove(key)?;
        self.ages.remove(kept.age);
        self.bytes -= kept.bytes(key);
        self.values -= usize::from(kept.text.is_some());
        Some(kept)
    }

    fn oldest(&self) -> Option<(&Key, &KeptKey)> {
        let key = self.ages.oldest()?;
        Some((key, self.kept.get(key)?))
    }

    fn take_oldest(&mut self) {
        if let Some(key) = self.ages.oldest().cloned() {
            self.take(&key);
        }
    }

    fn displace(&mut self, why: Displaced) {
        telemetry::retained_displaced(why.as_str());
        self.take_oldest();
    }

    fn expire(&mut self) {
        let now = Instant::now();
        while self.oldest().is_some_and(|(_, kept)| now.duration_since(kept.at) >= self.ttl) {
            self.take_oldest();
        }
    }

    /// Forgets what other places found: it says nothing about the keys and versions of now.
    fn found_by(&mut self, found_by: u64) {
        if self.found_by != found_by {
            self.found_by = found_by;
            while !self.kept.is_empty() {
                self.take_oldest();
            }
        }
    }

    fn is_stale(&self, key: &Key, version: Option<&Version>, ttl: Duration) -> bool {
        let last = self.kept.get(key).filter(|kept| kept.at.elapsed() < ttl).and_then(|kept| kept.version.as_ref());
        version.zip(last).is_some_and(|(version, last)| version <= last)
    }

    fn put(&mut self, key: Key, mut kept: KeptKey, keeping: Keeping) {
        self.ttl = keeping.ttl;
        self.expire();
        self.take(&key);
        kept.age = self.ages.add(key.clone());
        self.bytes += kept.bytes(&key);
        self.values += usize::from(kept.text.is_some());
        self.kept.insert(key, kept);
        while self.kept.len() > keeping.keys_max {
            self.displace(Displaced::Keys);
        }
        while self.bytes > keeping.bytes_max && !self.kept.is_empty() {
            self.displace(Displaced::Bytes);
        }
    }

    fn values(&self) -> Vec<RetainedValue> {
        let kept = self.ages.all().filter_map(|key| Some((key, self.kept.get(key)?)));
        let value = |(key, kept): (&Key, &KeptKey)| {
            let payload = Arc::clone(kept.text.as_ref()?).into();
            Some(RetainedValue { key: key.clone(), payload, position: Some(kept.position.clone()) })
        };
        kept.filter_map(value).collect()
    }
}

impl Index {
    /// Changes a shelf, and counts what it costs afterwards.
    fn change<T>(&mut self, shelf: &Shelf, change: impl FnOnce(&mut Content) -> T) -> T {
        let mut content = shelf.content.lock();
        let (bytes, values) = (content.cost(), content.values);
        let changed = change(&mut content);
        self.bytes = self.bytes - bytes + content.cost();
        self.values = self.values - values + content.values;
        changed
    }

    /// Makes room: the oldest keys of the topic that was published on longest ago go first.
    fn shrink(&mut self, bytes_max: usize) {
        let mut from = 0;
        while self.bytes > bytes_max
            && let Some((age, topic)) = self.ages.from(from).map(|(age, topic)| (age, topic.clone()))
        {
            from = age + 1;
            let Some(shelf) = self.shelves.get(&topic).map(Arc::clone) else { continue };
            while self.bytes > bytes_max && self.change(&shelf, |content| !content.kept.is_empty()) {
                self.change(&shelf, |content| content.displace(Displaced::Node));
            }
            drop(shelf);
            self.forget_empty(&topic);
        }
    }

    /// Forgets an empty shelf that nobody uses: everybody who does has it from here.
    fn forget_empty(&mut self, topic: &Topic) {
        let Some(shelf) = self.shelves.get(topic) else { return };
        let (age, cost) = {
            let content = shelf.content.lock();
            if Arc::strong_count(shelf) > 1 || !content.kept.is_empty() {
                return;
            }
            (content.age, content.cost())
        };
        self.bytes -= cost;
        self.ages.remove(age);
        self.shelves.remove(topic);
    }

    fn tell(&self) {
        telemetry::retained(self.values, self.bytes);
    }
}

impl MemoryRetained {
    /// Nothing is kept yet, and so many bytes may be. `history` numbers the publications.
    #[must_use]
    pub fn new(bytes_max: usize, history: Arc<dyn History>) -> Self {
        Self { index: Mutex::default(), bytes_max, history }
    }

    /// The values that are kept, and the bytes that they take with their keys and versions.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        let index = self.index.lock();
        (index.values, index.bytes)
    }

    fn shelf(&self, topic: &Topic) -> Arc<Shelf> {
        let mut index = self.index.lock();
        if let Some(shelf) = index.shelves.get(topic) {
            return Arc::clone(shelf);
        }
        let content = Content { age: index.ages.add(topic.clone()), ..Content::default() };
        index.bytes += content.cost();
        let shelf = Arc::new(Shelf { order: Mutex::default(), content: Mutex::new(content) });
        index.shelves.insert(topic.clone(), Arc::clone(&shelf));
        shelf
    }

    /// The newest position of a topic.
    fn position(&self, topic: &Topic, channel: &Channel) -> Option<Position> {
        let policy = channel.history.unwrap_or(HistoryPolicy::NUMBERS);
        let page = self.history.read(topic, policy, Wanted::position()).now_or_never()?;
        page.ok().map(|page| page.newest)
    }

    fn keep(&self, shelf: &Shelf, key: Key, kept: KeptKey, keeping: Keeping) {
        let mut index = self.index.lock();
        index.change(shelf, |content| content.put(key, kept, keeping));
        index.ages.renew(&mut shelf.content.lock().age);
        index.shrink(self.bytes_max);
        index.tell();
    }
}

impl Retained for MemoryRetained {
    fn publish(&self, publication: &Publication, keeping: Keeping, deliver: &mut dyn FnMut(Position)) -> Taken {
        let Publication { channel, payload, topic, .. } = publication;
        let key = channel.delivery.key_of(payload);
        let version = channel.delivery.version_of(payload).ok().flatten();
        let shelf = self.shelf(topic);
        let _order = shelf.order.lock();
        let found_by = channel.delivery.found_by;
        let is_other = shelf.content.lock().found_by != found_by;
        if is_other {
            self.index.lock().change(&shelf, |content| content.found_by(found_by));
        }
        if shelf.content.lock().is_stale(&key, version.as_ref(), keeping.ttl) {
            return Taken::Stale;
        }
        let policy = channel.history.unwrap_or(HistoryPolicy::NUMBERS);
        match self.history.append(publication, policy, deliver) {
            Appended::At(position) => {
                let text = keeping.values.then(|| payload.text());
                let kept = KeptKey { text, version, position: position.clone(), at: Instant::now(), age: 0 };
                self.keep(&shelf, key, kept, keeping);
                Taken::At(position)
            }
            sent @ Appended::Sent(_) => sent.into(),
        }
    }

    fn read(
        &self,
        of: &Resolved,
        keeping: Keeping,
        bytes_max: usize,
    ) -> BoxFuture<'static, Result<Values, ValuesUnread>> {
        // A new one, if there is none: nobody publishes between the look at the values and the look at the position.
        let shelf = self.shelf(&of.topic);
        let read = {
            let _order = shelf.order.lock();
            let found = self.index.lock().change(&shelf, |content| {
                content.ttl = keeping.ttl;
                content.found_by(of.channel.delivery.found_by);
                content.expire();
                let bytes = content.bytes + content.values * ENTRY_BYTES;
                if bytes > bytes_max { Err(ValuesUnread::TooLarge(bytes)) } else { Ok(content.values()) }
            });
            found.and_then(|values| {
                let position = self.position(&of.topic, &of.channel).ok_or(ValuesUnread::Away)?;
                Ok(Values { values, position })
            })
        };
        let mut index = self.index.lock();
        drop(shelf);
        index.forget_empty(&of.topic);
        ready(read).boxed()
    }

    fn remove(
        &self,
        removal: &Removal,
        tell: &mut dyn FnMut(Removed),
    ) -> BoxFuture<'static, Result<usize, RetainedAway>> {
        let Removal { topic, channel, key, .. } = removal;
        let shelf = self.index.lock().shelves.get(topic).map(Arc::clone);
        let Some(shelf) = shelf else { return ready(Ok(0)).boxed() };
        let _order = shelf.order.lock();
        let Some(after) = self.position(topic, channel) else { return ready(Err(RetainedAway)).boxed() };
        let keys = {
            let mut index = self.index.lock();
            let keys = index.change(&shelf, |content| {
                content.found_by(channel.delivery.found_by);
                content.expire();
                let keys = match key {
                    Some(key) => vec![key.clone()],
                    None => content.ages.all().cloned().collect(),
                };
                keys.into_iter().filter(|key| content.take(key).is_some()).collect::<Vec<_>>()
            });
            index.tell();
            keys
        };
        let count = keys.len();
        if count > 0 {
            self.history.note_removed(topic, channel.history.unwrap_or(HistoryPolicy::NUMBERS));
            tell(Removed { keys, after });
        }
        ready(Ok(count)).boxed()
    }

    fn keep_only(&self, is_kept: &dyn Fn(&Topic) -> bool) {
        let mut index = self.index.lock();
        let lost: Vec<Topic> = index.shelves.keys().filter(|topic| !is_kept(topic)).cloned().collect();
        for topic in lost {
            if let Some(shelf) = index.shelves.get(&topic).map(Arc::clone) {
                index.change(&shelf, |content| {
                    (content.kept, content.ages) = Default::default();
                    (content.bytes, content.values) = (0, 0);
                });
            }
            index.forget_empty(&topic);
        }
        index.tell();
    }

    fn sweep(&self) {
        let topics: Vec<Topic> = self.index.lock().shelves.keys().cloned().collect();
        for topic in topics {
            let mut index = self.index.lock();
            if let Some(shelf) = index.shelves.get(&topic).map(Arc::clone) {
                index.change(&shelf, Content::expire);
            }
            index.forget_empty(&topic);
        }
        self.index.lock().tell();
    }
}
