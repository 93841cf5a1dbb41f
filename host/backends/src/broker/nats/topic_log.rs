//! What a node knows of the log of one topic, from the messages that it read in their order.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use super::super::message::Body;
use super::entry::{Entry, ShelfStand, Stand};
use super::stream::Kept;
use tidegate_core::channels::HistoryPolicy;
use tidegate_core::protocol::{Epoch, Key, Payload, Position, RetainedValue};

/// The log of a topic up to a message.
#[derive(Debug, Default)]
pub(super) struct TopicLog {
    /// The last message that was read; 0: none.
    pub(super) seq: u64,
    /// What it says.
    pub(super) stand: Option<Stand>,
    /// The place of the message that ended the history; 0 if none did.
    pub(super) unnumbered: u64,
    /// The newest position; `None` without a history that has one.
    pub(super) newest: Option<Position>,
    /// The publications that the history keeps, as far as they were read: place and bytes up to each.
    entries: VecDeque<Mark>,
    /// The values, or their versions alone.
    pub(super) shelf: Shelf,
    /// Whether payloads are kept.
    keeps_payloads: bool,
    /// Whether the first of the publications that are kept is known.
    knows_first: bool,
    /// Keys with messages that nobody needs any more.
    pub(super) garbage: Vec<Key>,
}

#[derive(Debug)]
struct Mark {
    seq: u64,
    at_ms: u64,
    /// The bytes of all payloads before it.
    before: u64,
    key: Key,
}

/// The last publication of each key.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    keys: HashMap<Key, Shelved>,
    by_age: BTreeMap<u64, Key>,
    bytes: usize,
}

/// The last publication of a key.
#[derive(Debug)]
pub(super) struct Shelved {
    seq: u64,
    at_ms: u64,
    cost: usize,
    pub(super) version: Option<String>,
    pub(super) position: Position,
    payload: Option<Payload>,
}

impl Shelf {
    /// The last publication of a key.
    pub(super) fn get(&self, key: &Key) -> Option<&Shelved> {
        self.keys.get(key)
    }

    /// The keys, the one that was published longest ago first.
    pub(super) fn keys(&self) -> Vec<Key> {
        self.by_age.values().cloned().collect()
    }

    /// Their bytes.
    pub(super) fn cost(&self) -> usize {
        self.bytes
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// The values.
    pub(super) fn values(&self) -> Vec<RetainedValue> {
        let value = |key: &Key| {
            let Shelved { payload, position, .. } = self.keys.get(key)?;
            Some(RetainedValue { key: key.clone(), payload: payload.clone()?, position: Some(position.clone()) })
        };
        self.by_age.values().filter_map(value).collect()
    }

    fn put(&mut self, key: Key, shelved: Shelved) {
        self.drop(&key);
        self.bytes += shelved.cost;
        self.by_age.insert(shelved.seq, key.clone());
        self.keys.insert(key, shelved);
    }

    fn drop(&mut self, key: &Key) -> bool {
        let Some(shelved) = self.keys.remove(key) else { return false };
        self.by_age.remove(&shelved.seq);
        self.bytes -= shelved.cost;
        true
    }

    fn oldest(&self) -> Option<(Key, &Shelved)> {
        let (_, key) = self.by_age.first_key_value()?;
        Some((key.clone(), self.keys.get(key)?))
    }

    fn clear(&mut self) -> Vec<Key> {
        let keys = self.keys();
        *self = Self::default();
        keys
    }
}

impl TopicLog {
    /// A log of which nothing is read yet, and that is read from its beginning.
    pub(super) fn whole(keeps_payloads: bool) -> Self {
        Self { keeps_payloads, knows_first: true, ..Self::default() }
    }

    /// What the next publication asks of it: its newest message, without what is kept.
    pub(super) fn head(&self) -> Self {
        let (stand, newest) = (self.stand.clone(), self.newest.clone());
        Self { seq: self.seq, stand, unnumbered: self.unnumbered, newest, ..Self::default() }
    }

    /// Takes the next message. `None`: this version does not understand it.
    pub(super) fn take(&mut self, kept: &Kept) -> Option<()> {
        let entry = Entry::read(&kept.text)?;
        let Some((epoch, offset)) = entry.place() else {
            *self = Self { seq: kept.seq, unnumbered: kept.seq, ..Self::whole(self.keeps_payloads) };
            return Some(());
        };
        let position = Position { epoch: Epoch::parse(epoch)?, offset };
        if self.newest.as_ref().is_none_or(|newest| newest.epoch != position.epoch) {
            self.garbage.extend(self.entries.drain(..).map(|mark| mark.key));
        }
        let misses = |shelf: ShelfStand| {
            let was = self.stand.as_ref().and_then(|stand| stand.shelf);
            was.is_none_or(|was| was.found_by != shelf.found_by)
        };
        if entry.stand.shelf.is_none_or(misses) {
            let gone = self.shelf.clear();
            self.garbage.extend(gone);
        }
        if let Some(ShelfStand { from, .. }) = entry.stand.shelf.filter(|shelf| shelf.from > 0) {
            self.forget_before(from);
        }
        let key = Key::new(entry.key);
        match entry.message.as_ref()?.body {
            Body::Removed { keys, .. } => {
                let keys: Vec<&serde_json::value::RawValue> = serde_json::from_str(keys).ok()?;
                for key in keys.into_iter().map(|key| Key::new(key.get())) {
                    if self.shelf.drop(&key) {
                        self.garbage.push(key);
                    }
                }
            }
            Body::Numbered { payload, .. } => {
                let before = entry.stand.bytes.saturating_sub(payload.len() as u64);
                self.entries.push_back(Mark { seq: kept.seq, at_ms: kept.at_ms, before, key: key.clone() });
                if let Some(shelf) = entry.stand.shelf {
                    self.shelve(&shelf, key, entry.version, &position, payload, kept)?;
                }
            }
            Body::Publication { .. } | Body::Gap => return None,
        }
        self.seq = kept.seq;
        self.unnumbered = entry.stand.unnumbered;
        self.newest = Some(position);
        self.trim(&entry.stand, kept.at_ms);
        let or_this = |seq: u64| if seq == 0 { kept.seq } else { seq };
        let shelf = entry.stand.shelf.map(|shelf| ShelfStand { from: or_this(shelf.from), ..shelf });
        self.stand = Some(Stand { began: or_this(entry.stand.began), shelf, ..entry.stand });
        Some(())
    }

    fn shelve(
        &mut self,
        stand: &ShelfStand,
        key: Key,
        version: Option<&str>,
        position: &Position,
        payload: &str,
        kept: &Kept,
    ) -> Option<()> {
        let payload_bytes = if stand.keeping.values { payload.len() } else { 0 };
        let payload = (stand.keeping.values && self.keeps_payloads).then(|| Payload::parse(payload.to_owned()).ok());
        self.shelf.put(
            key.clone(),
            Shelved {
                seq: kept.seq,
                at_ms: kept.at_ms,
                cost: key.as_str().len() + version.map_or(1, str::len) + 1 + payload_bytes,
                version: version.map(str::to_owned),
                position: position.clone(),
                payload: match payload {
                    Some(payload) => Some(payload?),
                    None => None,
                },
            },
        );
        self.expire(stand.keeping.ttl, kept.at_ms);
        while (self.shelf.len() > stand.keeping.keys_max || self.shelf.bytes > stand.keeping.bytes_max)
            && let Some((oldest, _)) = self.shelf.oldest()
        {
            self.shelf.drop(&oldest);
            self.garbage.push(oldest);
        }
        Some(())
    }

    /// Forgets the values whose time is over.
    pub(super) fn expire(&mut self, ttl: Duration, now_ms: u64) {
        while let Some((key, shelved)) = self.shelf.oldest()
            && is_over(shelved.at_ms, ttl, now_ms)
        {
            self.shelf.drop(&key);
            self.garbage.push(key);
        }
    }

    /// Forgets the values that were published before a place.
    fn forget_before(&mut self, seq: u64) {
        while let Some((key, shelved)) = self.shelf.oldest()
            && shelved.seq < seq
        {
            self.shelf.drop(&key);
            self.garbage.push(key);
        }
    }

    /// Forgets the publications that the history does not keep any more.
    fn trim(&mut self, stand: &Stand, now_ms: u64) {
        let HistoryPolicy { messages_max, bytes_max, ttl } = stand.policy;
        while let Some(first) = self.entries.front() {
            let is_more =
                self.entries.len() > messages_max || stand.bytes.saturating_sub(first.before) > bytes_max as u64;
            if !is_more && !is_over(first.at_ms, ttl, now_ms) {
                return;
            }
            let Some(Mark { key, seq, .. }) = self.entries.pop_front() else { return };
            self.knows_first = true;
            if self.shelf.get(&key).is_none_or(|shelved| shelved.seq != seq) {
                self.garbage.push(key);
            }
        }
    }

    /// Up to which place nobody needs the messages of a key; of all keys without values.
    pub(super) fn needless_before(&self, key: Option<&Key>) -> u64 {
        if !self.knows_first {
            return 0;
        }
        let history = self.entries.front().map_or(self.seq, |mark| mark.seq);
        let shelved = key.and_then(|key| self.shelf.get(key)).map_or(self.seq, |shelved| shelved.seq);
        history.min(shelved)
    }
}

/// Whether what was taken at one time is not kept any more at another.
pub(super) fn is_over(at_ms: u64, ttl: Duration, now_ms: u64) -> bool {
    let ttl_ms = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
    at_ms.saturating_add(ttl_ms) <= now_ms
}

#[cfg(test)]
mod tests {
    use tidegate_core::channels::Keeping;

    use super::super::entry::write;
    use super::*;

    const FOUND_BY: u64 = 7;

    fn stand(bytes: u64, messages_max: usize, keeping: Option<Keeping>) -> Stand {
        let policy = HistoryPolicy { messages_max, bytes_max: 1 << 20, ttl: Duration::from_secs(60) };
        let shelf = keeping.map(|keeping| ShelfStand { from: 1, found_by: FOUND_BY, keeping });
        let id = "n-1".to_owned();
        Stand { id, began: 1, unnumbered: 0, bytes, policy, removals: 0, removed_before: 0, shelf }
    }

    /// A publication of one byte of a key, at this place and offset.
    fn publication(at: u64, key: &str, messages_max: usize, keeping: Option<Keeping>) -> Kept {
        let heard = format!("{} {at} n h - e 1", at - 1);
        Kept { seq: at * 10, at_ms: at, text: write(&stand(at, messages_max, keeping), key, None, &heard) }
    }

    fn read(all: &[Kept]) -> TopicLog {
        let mut log = TopicLog::whole(true);
        all.iter().for_each(|kept| log.take(kept).unwrap());
        log
    }

    fn keys(log: &TopicLog) -> Vec<String> {
        log.shelf.keys().iter().map(|key| key.as_str().to_owned()).collect()
    }

    #[test]
    fn what_the_history_does_not_keep_is_needless_and_nothing_else_is() {
        let log = read(&[1, 2, 3, 4, 5].map(|at| publication(at, "null", 3, None)));
        assert_eq!((log.seq, log.newest.as_ref().unwrap().offset, log.garbage.len()), (50, 5, 2));
        assert_eq!(log.needless_before(None), 30);
        let mut part = TopicLog::default();
        part.take(&publication(5, "null", 3, None)).unwrap();
        assert_eq!(part.needless_before(None), 0, "it does not know what is kept before");
    }

    #[test]
    fn the_last_of_every_key_is_a_value_until_keys_or_time_make_it_go() {
        let keeping = Keeping { values: true, keys_max: 2, ..Keeping::VERSIONS };
        let of = |at, key| publication(at, key, 0, Some(keeping));
        let mut log = read(&[of(1, "1"), of(2, "2"), of(3, "1"), of(4, "3")]);
        assert_eq!(keys(&log), ["1", "3"]);
        assert_eq!(log.needless_before(Some(&Key::new("1"))), 30);
        log.expire(Duration::from_millis(5), 8);
        assert_eq!((keys(&log), log.shelf.cost()), (vec!["3".to_owned()], 4));
    }

    #[test]
    fn values_that_missed_a_publication_or_were_found_elsewhere_are_forgotten() {
        let kept = publication(1, "1", 0, Some(Keeping::VERSIONS));
        assert_eq!(read(&[kept.clone(), publication(2, "null", 9, None)]).shelf.len(), 0);
        let shelf = ShelfStand { from: 0, found_by: FOUND_BY + 1, keeping: Keeping::VERSIONS };
        let elsewhere = write(&Stand { shelf: Some(shelf), ..stand(2, 0, None) }, "2", None, "1 2 n h - e 1");
        let log = read(&[kept.clone(), Kept { seq: 20, at_ms: 2, text: elsewhere }]);
        assert_eq!((keys(&log), log.stand.unwrap().shelf.unwrap().from), (vec!["2".to_owned()], 20));
        let ended = write(&stand(1, 0, None), "null", None, "");
        let log = read(&[kept, Kept { seq: 20, at_ms: 2, text: ended }]);
        assert_eq!((log.newest, log.unnumbered, log.shelf.len()), (None, 20, 0));
    }

    #[test]
    fn what_was_taken_away_is_no_value() {
        let of = |at, key| publication(at, key, 0, Some(Keeping::VERSIONS));
        let removed = write(&stand(2, 0, Some(Keeping::VERSIONS)), "1", None, "1 2 n r - e [1]");
        let log = read(&[of(1, "1"), of(2, "2"), Kept { seq: 25, at_ms: 3, text: removed }]);
        assert_eq!((keys(&log), log.newest.unwrap().offset), (vec!["2".to_owned()], 2));
    }
}
