//! What a wish becomes by what is known of its topic: a message for the log, or nothing.

use std::sync::Arc;
use std::time::Duration;

use super::super::Lost;
use super::super::message::{self, Body, Heading};
use super::State;
use super::entry::{self, Entry, ShelfStand, Stand};
use super::stream::Terms;
use super::topic_log::TopicLog;
use super::writer::now_ms;
use tidegate_core::channels::{HistoryPolicy, Keeping};
use tidegate_core::protocol::{Epoch, Key, Payload, Position, Topic, Version};

/// How long the log of a topic is kept after its last publication; at least twice as long as what has a position in it.
pub(super) const RECORD_TTL: Duration = Duration::from_secs(7 * 24 * 3600);
/// What tells two epochs of one stream from each other.
const UNIQUE_CHARS: usize = 12;

/// What a node wishes to write on a topic.
pub(super) enum Wish {
    /// A publication with a position.
    Publish {
        heading: Heading,
        payload: Payload,
        policy: HistoryPolicy,
        /// What no second publication has, if every node makes it.
        once: Option<Arc<str>>,
        /// Its key and version, on a channel that keeps them.
        keep: Option<Keep>,
    },
    /// Values are taken away: of one key, or of every one.
    Remove { key: Option<Key>, found_by: u64, ttl: Duration, once: Option<Arc<str>> },
    /// A publication goes without a position: the history ends.
    End,
}

/// What is kept of a publication beside the history.
pub(super) struct Keep {
    pub(super) key: Key,
    pub(super) version: Option<Version>,
    pub(super) keeping: Keeping,
    /// What tells the places of keys and versions from others.
    pub(super) found_by: u64,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Written {
    /// It has its position.
    At(Position),
    /// It is not newer than the last one of its key.
    Stale,
    /// So many values were taken away.
    Removed(usize),
    /// The history ended.
    Ended,
}

/// What is to be written.
pub(super) enum Draft {
    /// Nothing.
    Nothing(Written),
    /// A message.
    Message { subject: String, text: String, terms: Terms, written: Written },
}

impl Wish {
    /// Its approximate size.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Publish { payload, .. } => payload.as_str().len(),
            Self::Remove { key, .. } => key.as_ref().map_or(0, |key| key.as_str().len()),
            Self::End => 0,
        }
    }
}

impl State {
    /// The epoch of the next publication: the one that goes on, or a new one.
    pub(super) async fn epoch_of(&self, log: &TopicLog) -> Result<Epoch, Lost> {
        if let Some(newest) = &log.newest
            && self.is_of_this_run(&newest.epoch)
        {
            return Ok(newest.epoch.clone());
        }
        let unique = uuid::Uuid::new_v4().simple().to_string();
        let name = format!("{}-{}", self.tag().await?, &unique[..UNIQUE_CHARS]);
        Epoch::parse(&name).ok_or_else(|| format!("{name} is no epoch"))
    }

    /// The newest position and state of a topic in this epoch.
    fn stand(log: &TopicLog, id: &str, epoch: &Epoch) -> (Position, Stand) {
        let id = id.to_owned();
        match (&log.newest, &log.stand) {
            (Some(newest), Some(stand)) if newest.epoch == *epoch => (newest.clone(), Stand { id, ..stand.clone() }),
            (_, before) => {
                let stand = Stand {
                    id,
                    began: 0,
                    unnumbered: log.unnumbered,
                    bytes: 0,
                    policy: before.as_ref().map_or(HistoryPolicy::NUMBERS, |stand| stand.policy),
                    removals: before.as_ref().map_or(0, |stand| stand.removals),
                    removed_before: 0,
                    shelf: before.as_ref().and_then(|stand| stand.shelf),
                };
                (Position { epoch: epoch.clone(), offset: 0 }, stand)
            }
        }
    }

    /// What a wish becomes in an epoch. `id` tells the message from every other.
    pub(super) fn draft(&self, topic: &Topic, log: &mut TopicLog, wish: &Wish, id: &str, epoch: &Epoch) -> Draft {
        let after = Some((self.names.log(topic), log.seq));
        match wish {
            Wish::End => {
                let (_, stand) = Self::stand(log, id, epoch);
                let text = entry::write(&Stand { shelf: None, ..stand }, Key::none().as_str(), None, "");
                let terms = Terms { after, ttl: Some(RECORD_TTL), is_alone: true, once: None };
                Draft::Message { subject: self.names.every_key(topic), text, terms, written: Written::Ended }
            }
            Wish::Publish { heading, payload, policy, once, keep } => {
                if let Some(keep) = keep
                    && let Some(written) = judge(log, keep)
                {
                    return Draft::Nothing(written);
                }
                let (newest, stand) = Self::stand(log, id, epoch);
                let offset = newest.offset + 1;
                let bytes = stand.bytes + payload.as_str().len() as u64;
                let shelf = keep.as_ref().map(|keep| shelf_of(&stand, keep));
                let stand = Stand { bytes, policy: *policy, shelf, ..stand };
                let (none, heading) = (Key::none(), heading.word());
                let key = keep.as_ref().map_or(&none, |keep| &keep.key);
                let version = keep.as_ref().and_then(|keep| keep.version.as_ref()).map(Version::as_str);
                let head = message::numbered(&self.node);
                let before = newest.offset;
                let heard = format!("{before} {offset} {head} {heading} {} {}", epoch.as_str(), payload.as_str());
                let ttl = keep.as_ref().map_or(policy.ttl, |keep| policy.ttl.max(keep.keeping.ttl));
                let once = once.as_ref().map(|name| self.names.once(topic, name));
                let ttl = Some(RECORD_TTL.max(ttl * 2));
                let terms = Terms { after, ttl, is_alone: policy.messages_max == 0, once };
                let written = Written::At(Position { offset, ..newest.clone() });
                let text = entry::write(&stand, key.as_str(), version, &heard);
                Draft::Message { subject: self.names.entry(topic, key), text, terms, written }
            }
            Wish::Remove { key, found_by, ttl, once } => {
                self.draft_removal(topic, log, (key.as_ref(), *found_by, *ttl, once.as_ref()), (id, epoch))
            }
        }
    }

    fn draft_removal(
        &self,
        topic: &Topic,
        log: &mut TopicLog,
        (key, found_by, ttl, once): (Option<&Key>, u64, Duration, Option<&Arc<str>>),
        (id, epoch): (&str, &Epoch),
    ) -> Draft {
        log.expire(ttl, now_ms());
        let is_theirs =
            log.stand.as_ref().and_then(|stand| stand.shelf).is_some_and(|shelf| shelf.found_by == found_by);
        let keys = match key {
            _ if !is_theirs => Vec::new(),
            Some(key) => log.shelf.get(key).map(|_| key.clone()).into_iter().collect(),
            None => log.shelf.keys(),
        };
        if keys.is_empty() && (once.is_none() || log.newest.is_none()) {
            return Draft::Nothing(Written::Removed(0));
        }
        let (newest, stand) = Self::stand(log, id, epoch);
        let stand = if keys.is_empty() {
            stand
        } else {
            Stand { removals: stand.removals + 1, removed_before: newest.offset + 1, ..stand }
        };
        let texts: Vec<&str> = keys.iter().map(Key::as_str).collect();
        let head = message::removed(&self.node);
        let (removals, offset) = (stand.removals, newest.offset);
        let heard = format!("{removals} {offset} {head} - {} [{}]", epoch.as_str(), texts.join(","));
        let of_one = key.filter(|_| !keys.is_empty());
        let subject = of_one.map_or_else(|| self.names.every_key(topic), |key| self.names.entry(topic, key));
        let text = entry::write(&stand, of_one.unwrap_or(&Key::none()).as_str(), None, &heard);
        let ttl = Some(RECORD_TTL.max(stand.policy.ttl.max(ttl) * 2));
        let once = once.map(|name| self.names.once(topic, name));
        let is_alone = stand.policy.messages_max == 0 && !keys.is_empty();
        let terms = Terms { after: Some((self.names.log(topic), log.seq)), ttl, is_alone, once };
        Draft::Message { subject, text, terms, written: Written::Removed(keys.len()) }
    }

    /// What became of the message at a place, which had the id of this one.
    pub(super) async fn written_before(&self, seq: u64, instead_of: &Written) -> Result<Written, Lost> {
        let before = self.stream.at(seq).await?;
        let entry = before.as_ref().and_then(|kept| Entry::read(&kept.text));
        let Some(entry) = entry else { return Ok(instead_of.clone()) };
        let Some(message) = &entry.message else { return Ok(Written::Ended) };
        let count = |keys: &str| serde_json::from_str::<Vec<serde_json::Value>>(keys).map_or(0, |keys| keys.len());
        Ok(match message.body {
            Body::Removed { keys, .. } => Written::Removed(count(keys)),
            _ => match entry.place().and_then(|(epoch, offset)| Some(Position { epoch: Epoch::parse(epoch)?, offset }))
            {
                Some(position) => Written::At(position),
                None => instead_of.clone(),
            },
        })
    }
}

/// What becomes of a publication that is not newer than the last one of its key.
fn judge(log: &mut TopicLog, keep: &Keep) -> Option<Written> {
    let shelf = log.stand.as_ref().and_then(|stand| stand.shelf)?;
    if shelf.found_by != keep.found_by {
        return None;
    }
    log.expire(keep.keeping.ttl, now_ms());
    let last = log.shelf.get(&keep.key)?.version.as_deref()?;
    let version = keep.version.as_ref()?.as_str();
    (version <= last).then_some(Written::Stale)
}

/// The state of the values behind a publication: they go on, or begin with it.
fn shelf_of(before: &Stand, keep: &Keep) -> ShelfStand {
    let from = before.shelf.filter(|shelf| shelf.found_by == keep.found_by).map_or(0, |shelf| shelf.from);
    ShelfStand { from, found_by: keep.found_by, keeping: keep.keeping }
}
