//! Everybody on every node, made of the messages of the bucket in their order. Every node has the same order, so every node
//! finds that the same message brought a user or took one away; the node that wrote the message tells it.

use std::collections::HashMap;

use tokio::time::Instant;

use super::reading::{Life, Written};
use crate::broker::member_text::{ANONYMOUS, read_name, read_there};
use tidegate_core::flow::ports::Elsewhere;
use tidegate_core::protocol::{MemberId, PresenceTurn, Topic};

/// What a message of the bucket says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Word {
    /// The node is there.
    Lease { node: String },
    /// The node's part of a topic: a name with a value, or with none when it is gone.
    Member { topic: String, node: String, name: String, value: Option<String> },
}

impl Word {
    /// As it is written.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Lease { node } => serde_json::json!([node]).to_string(),
            Self::Member { topic, node, name, value } => serde_json::json!([topic, node, name, value]).to_string(),
        }
    }

    /// `None` for what another version of the server wrote, and for a lease that was taken away.
    fn read(text: &str) -> Option<Self> {
        if let Ok([node]) = serde_json::from_str::<[String; 1]>(text) {
            return Some(Self::Lease { node });
        }
        let (topic, node, name, value) = serde_json::from_str(text).ok()?;
        Some(Self::Member { topic, node, name, value })
    }
}

/// What became of topics and users.
pub(super) type Turned = Vec<(Topic, PresenceTurn, Option<MemberId>)>;

/// The picture of the bucket that a node has.
pub(super) struct Mirror {
    node: String,
    life: Option<Life>,
    /// The place of the last message in the picture.
    pub(super) seq: u64,
    topics: HashMap<String, There>,
    leases: HashMap<String, Instant>,
    /// What this node's own messages turned, and was not told yet.
    turned: Turned,
}

/// Everybody on a topic.
#[derive(Default)]
struct There {
    /// By node and name: the place of the message, and the value.
    members: HashMap<(String, String), (u64, String)>,
    /// On how many nodes each user is.
    nodes: HashMap<String, usize>,
    /// The place of the last message that changed something.
    changed: u64,
}

impl Mirror {
    pub(super) fn new(node: &str) -> Self {
        let node = node.to_owned();
        let (topics, leases) = (HashMap::new(), HashMap::new());
        Self { node, life: None, seq: 0, topics, leases, turned: Vec::new() }
    }

    /// The stream is as far as this. A picture of another stream, or of a longer one, is none. Returns whether it was kept.
    pub(super) fn is_of(&mut self, life: &Life) -> bool {
        let is_same =
            self.life.as_ref().is_some_and(|before| before.created == life.created) && self.seq <= life.last_seq;
        if !is_same {
            *self = Self::new(&self.node);
        }
        self.life = Some(life.clone());
        is_same
    }

    /// Takes messages in. `is_first` is for a picture that is made anew: what is in it was told before.
    pub(super) fn take(&mut self, written: Vec<Written>, is_first: bool, now: Instant) {
        for message in written {
            if message.seq <= self.seq {
                continue;
            }
            self.seq = message.seq;
            match Word::read(&message.text) {
                Some(Word::Lease { node }) => drop(self.leases.insert(node, now)),
                Some(Word::Member { topic, node, name, value }) => {
                    let turned = self.turn(&topic, node, name, value, message.seq);
                    if message.by == self.node && !is_first {
                        self.turned.extend(turned);
                    }
                }
                None => {}
            }
        }
    }

    fn turn(&mut self, topic: &str, node: String, name: String, value: Option<String>, seq: u64) -> Turned {
        let mut turned = Vec::new();
        let Ok(of) = Topic::parse(topic) else { return turned };
        let there = self.topics.entry(topic.to_owned()).or_default();
        there.changed = seq;
        let was_empty = there.members.is_empty();
        let is_user = name != ANONYMOUS;
        let key = (node, name.clone());
        match value {
            Some(value) => {
                let is_new = there.members.insert(key, (seq, value)).is_none();
                if was_empty {
                    turned.push((of.clone(), PresenceTurn::Occupied, None));
                }
                let nodes = there.nodes.entry(name.clone()).or_default();
                *nodes += usize::from(is_new);
                if is_new && is_user && *nodes == 1 {
                    turned.extend(read_name(&name).map(|who| (of, PresenceTurn::Joined, Some(who))));
                }
            }
            None if there.members.remove(&key).is_some() => {
                let nodes = there.nodes.entry(name.clone()).or_default();
                *nodes = nodes.saturating_sub(1);
                if *nodes == 0 {
                    there.nodes.remove(&name);
                    if is_user {
                        turned.extend(read_name(&name).map(|who| (of.clone(), PresenceTurn::Left, Some(who))));
                    }
                }
                if there.members.is_empty() {
                    turned.push((of, PresenceTurn::Vacated, None));
                }
            }
            None => {}
        }
        turned
    }

    /// What this node's own messages turned since this was asked last.
    pub(super) fn turned(&mut self) -> Turned {
        std::mem::take(&mut self.turned)
    }

    /// What a node has on a topic by this name, with the place of the message.
    pub(super) fn part(&self, topic: &str, node: &str, name: &str) -> Option<&(u64, String)> {
        self.topics.get(topic)?.members.get(&(node.to_owned(), name.to_owned()))
    }

    /// Everything that a node has: topic, name, and the place of the message.
    pub(super) fn parts(&self, node: &str) -> Vec<(String, String, u64)> {
        let of = |(topic, there): (&String, &There)| {
            let members = there.members.iter().filter(|((of, _), _)| of == node);
            members.map(|((_, name), (seq, _))| (topic.clone(), name.clone(), *seq)).collect::<Vec<_>>()
        };
        let mut parts: Vec<_> = self.topics.iter().flat_map(of).collect();
        parts.sort_by_key(|(_, _, seq)| *seq);
        parts
    }

    /// The nodes of which nothing was heard since then.
    pub(super) fn silent_since(&self, then: Instant) -> Vec<String> {
        let silent = self.leases.iter().filter(|(node, at)| **at < then && **node != self.node);
        silent.map(|(node, _)| node.clone()).collect()
    }

    /// A node is gone, with all that it had.
    pub(super) fn forget(&mut self, node: &str) {
        self.leases.remove(node);
    }

    /// Changes when something changed on a topic.
    pub(super) fn version(&self, topic: &Topic) -> u64 {
        self.topics.get(topic.as_str()).map_or(0, |there| there.changed)
    }

    /// Who is on the other nodes.
    pub(super) fn elsewhere(&self, topic: &Topic) -> Elsewhere {
        let mut elsewhere = Elsewhere::default();
        for ((node, name), (_, value)) in self.topics.get(topic.as_str()).into_iter().flat_map(|there| &there.members) {
            if *node == self.node {
                continue;
            }
            if name == ANONYMOUS {
                elsewhere.anonymous += value.parse::<usize>().unwrap_or_default();
            } else if let (Some(who), Some(there)) = (read_name(name), read_there(value)) {
                let newest = elsewhere.users.entry(who).or_insert_with(|| there.clone());
                if there.at_unix_ms > newest.at_unix_ms {
                    *newest = there;
                }
            }
        }
        elsewhere
    }

    /// Forgets topics on which nobody is, and that nobody here watches.
    pub(super) fn sweep(&mut self, watched: &[Topic]) {
        self.topics.retain(|topic, there| {
            !there.members.is_empty() || watched.iter().any(|watched| watched.as_str() == topic)
        });
    }
}
