//! The members of all nodes that share a NATS, by leases.
//!
//! Each node writes its own part of a topic, a message for each name in a bucket, and reads what all nodes wrote, in the one
//! order that the bucket has ([`super::mirror`]). So nodes do not contend, and of all nodes exactly one tells that a user
//! came or left: the one whose message made it so. A lease is a message that the bucket forgets after a while. Parts of a
//! node whose lease is over are taken away by whoever is first.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::{Instant, sleep};

use super::super::Lost;
use super::super::lease::{LEASE, Lease, name_of};
use super::super::member_text::{ANONYMOUS, write_name, write_there};
use super::NatsBrokerSettings;
use super::bucket::{Bucket, TAKEN_AWAY, Terms};
use super::mirror::{Mirror, Turned, Word};
use super::names::{digest, token};
use tidegate_core::flow::ports::{Elsewhere, MembersAway, MembersNews, MembersUpdate, SharedMembers, TopicUpdate};
use tidegate_core::protocol::Topic;

/// Messages that wait for their answer at once.
const AT_ONCE: usize = 64;
/// How long to wait for a replica that is behind.
const BEHIND: Duration = Duration::from_millis(20);
/// Parts of a node whose lease is over that one exchange takes away, so that it stays short.
const PARTS_PER_CLEAR: usize = 20_000;

/// The members, in NATS.
pub struct NatsSharedMembers {
    bucket: Bucket,
    /// The node's name, and what tells this process from one of that name before it.
    node: String,
    known: Mutex<Known>,
}

/// What this node knows.
struct Known {
    mirror: Mirror,
    /// When it was read last.
    read_at: Instant,
    lease: Lease,
    /// The place of this node's lease.
    lease_seq: u64,
    /// The changes of watched topics that were told last.
    told: HashMap<Topic, u64>,
}

/// A message to write.
struct Part {
    key: String,
    word: Word,
    /// Only if this is the last message of the key.
    after: Option<u64>,
}

impl NatsSharedMembers {
    /// Does not connect yet.
    #[must_use]
    pub fn new(settings: &NatsBrokerSettings) -> Self {
        let node = format!("{}/{}", settings.node, uuid::Uuid::new_v4().simple());
        let known = Known {
            mirror: Mirror::new(&node),
            read_at: Instant::now(),
            lease: Lease::default(),
            lease_seq: 0,
            told: HashMap::new(),
        };
        Self { bucket: Bucket::new(settings, "members", None), node, known: Mutex::new(known) }
    }

    /// Renews this node's lease. Returns whether it held one.
    async fn renew(&self, known: &mut Known) -> Result<bool, Lost> {
        let key = lease_key(&self.node);
        let text = Word::Lease { node: self.node.clone() }.text();
        let mut after = known.lease_seq;
        let mut held = after != 0;
        loop {
            let terms = Terms { after: Some(after), ttl: Some(LEASE), by: Some(&self.node) };
            if let Some(seq) = self.bucket.put(&key, text.clone(), terms).await? {
                known.lease_seq = seq;
                return Ok(held);
            }
            let found = self.bucket.get(&key).await?;
            // Written before, and nobody heard the answer: it is held all the same.
            held = held && found.as_ref().is_some_and(|found| found.text == text);
            after = found.map_or(0, |found| found.seq);
        }
    }

    /// Reads what was written since, at least up to this place.
    async fn read_on(&self, known: &mut Known, up_to: u64) -> Result<(), Lost> {
        let until = Instant::now() + self.bucket.within();
        let life = self.bucket.life().await?;
        // What was taken away meanwhile may be forgotten already.
        if known.read_at.elapsed() > TAKEN_AWAY / 2 {
            known.mirror = Mirror::new(&self.node);
        }
        let is_first = !known.mirror.is_of(&life);
        loop {
            let began = Instant::now();
            let written = self.bucket.since(known.mirror.seq + 1).await?;
            known.mirror.take(written, is_first, began);
            known.read_at = began;
            if known.mirror.seq >= up_to {
                return Ok(());
            }
            if Instant::now() >= until {
                return Err("a replica of the members' stream is behind".to_owned());
            }
            sleep(BEHIND).await;
        }
    }

    /// Writes parts. Returns the place of the last message.
    async fn write(&self, parts: Vec<Part>) -> Result<u64, Lost> {
        let write = |part: Part| async move {
            let is_gone = matches!(part.word, Word::Member { value: None, .. });
            let ttl = is_gone.then_some(TAKEN_AWAY);
            let terms = Terms { after: part.after, ttl, by: Some(&self.node) };
            Ok::<u64, Lost>(self.bucket.put(&part.key, part.word.text(), terms).await?.unwrap_or_default())
        };
        let places = stream::iter(parts.into_iter().map(write)).buffered(AT_ONCE);
        places.try_fold(0_u64, |last, place| async move { Ok(last.max(place)) }).await
    }

    /// What changed on this node, as messages: who comes, and who goes.
    fn changes(&self, mirror: &Mirror, topics: Vec<TopicUpdate>, is_whole: bool) -> (Vec<Part>, Vec<Part>) {
        let (mut come, mut go) = (Vec::new(), Vec::new());
        let mut named = HashSet::new();
        for TopicUpdate { topic, users, anonymous } in topics {
            let users = users.into_iter().map(|(who, there)| (write_name(&who), there.as_ref().map(write_there)));
            let anonymous = (ANONYMOUS.to_owned(), Some(anonymous.to_string()).filter(|_| anonymous > 0));
            for (name, value) in users.chain([anonymous]) {
                let is = mirror.part(topic.as_str(), &self.node, &name).map(|(_, value)| value);
                if is != value.as_ref() {
                    let part = part(topic.as_str(), &self.node, &name, value.clone(), None);
                    if value.is_some() { come.push(part) } else { go.push(part) }
                }
                named.insert((topic.as_str().to_owned(), name));
            }
        }
        if is_whole {
            let mine = mirror.parts(&self.node).into_iter();
            let unnamed = mine.filter(|(topic, name, _)| !named.contains(&(topic.clone(), name.clone())));
            go.extend(unnamed.map(|(topic, name, _)| part(&topic, &self.node, &name, None, None)));
        }
        (come, go)
    }

    /// Takes away the parts of nodes whose lease is over. Returns the nodes that it was this call that forgot.
    async fn clear(&self, known: &mut Known, now: Instant) -> Result<Vec<String>, Lost> {
        let Some(then) = now.checked_sub(LEASE) else { return Ok(Vec::new()) };
        let mut left = Vec::new();
        for node in known.mirror.silent_since(then) {
            let key = lease_key(&node);
            match self.bucket.get(&key).await? {
                Some(found) if !found.text.is_empty() => continue,
                Some(_) => known.mirror.forget(&node),
                None => {
                    let parts = known.mirror.parts(&node);
                    let is_all = parts.len() <= PARTS_PER_CLEAR;
                    let gone = parts.into_iter().take(PARTS_PER_CLEAR);
                    let gone = gone.map(|(topic, name, seq)| part(&topic, &node, &name, None, Some(seq)));
                    let last = self.write(gone.collect()).await?;
                    self.read_on(known, last).await?;
                    if !is_all {
                        continue;
                    }
                    let terms = Terms { after: Some(0), ttl: Some(TAKEN_AWAY), by: Some(&self.node) };
                    if self.bucket.put(&key, String::new(), terms).await?.is_some() {
                        left.push(name_of(&node).to_owned());
                    }
                    known.mirror.forget(&node);
                }
            }
        }
        Ok(left)
    }

    async fn exchange_or(&self, update: MembersUpdate) -> Result<MembersNews, Lost> {
        let MembersUpdate { topics, is_whole, watched } = update;
        let mut known = self.known.lock().await;
        let known: &mut Known = &mut known;
        let held = self.renew(known).await?;
        let others_are_back = known.lease.renewed(held, Instant::now());
        self.read_on(known, 0).await?;
        if !held && !is_whole {
            return Err("the lease of this node was over".to_owned());
        }
        let is_back = held && known.lease.told_back();
        let (come, go) = self.changes(&known.mirror, topics, is_whole);
        let last = self.write(come).await?.max(self.write(go).await?);
        self.read_on(known, last).await?;
        if !others_are_back {
            let turned = known.mirror.turned();
            return Ok(MembersNews { turned, is_back, ..MembersNews::default() });
        }
        let left = self.clear(known, Instant::now()).await?;
        let turned: Turned = known.mirror.turned();
        let elsewhere = news(known, &watched);
        known.mirror.sweep(&watched);
        Ok(MembersNews { turned, elsewhere, left, is_back })
    }
}

#[async_trait]
impl SharedMembers for NatsSharedMembers {
    fn has_nodes(&self) -> bool {
        true
    }

    async fn exchange(&self, update: MembersUpdate) -> Result<MembersNews, MembersAway> {
        self.exchange_or(update).await.map_err(MembersAway)
    }

    async fn read(&self, topic: &Topic) -> Result<Elsewhere, MembersAway> {
        let mut known: MutexGuard<'_, Known> = self.known.lock().await;
        self.read_on(&mut known, 0).await.map_err(MembersAway)?;
        Ok(known.mirror.elsewhere(topic))
    }
}

/// Who is elsewhere on the watched topics that changed since this was asked last.
fn news(known: &mut Known, watched: &[Topic]) -> Vec<(Topic, Elsewhere)> {
    let mut before = std::mem::take(&mut known.told);
    let mut news = Vec::new();
    for topic in watched {
        let version = known.mirror.version(topic);
        if before.remove(topic) != Some(version) {
            news.push((topic.clone(), known.mirror.elsewhere(topic)));
        }
        known.told.insert(topic.clone(), version);
    }
    news
}

fn lease_key(node: &str) -> String {
    format!("l.{}", digest(node))
}

fn part(topic: &str, node: &str, name: &str, value: Option<String>, after: Option<u64>) -> Part {
    let key = format!("m.{}.{}.{}", token(topic), digest(node), digest(name));
    let word = Word::Member { topic: topic.to_owned(), node: node.to_owned(), name: name.to_owned(), value };
    Part { key, word, after }
}
