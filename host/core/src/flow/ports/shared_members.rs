//! The members that all nodes have together, as a port.

use std::collections::HashMap;

use async_trait::async_trait;

use crate::protocol::{MemberId, Payload, PresenceTurn, Topic};

/// The members of every node. Each node holds a lease, and renews it with every exchange: the members of a node whose
/// lease ends leave.
#[async_trait]
pub trait SharedMembers: Send + Sync + 'static {
    /// Whether there may be other nodes. Without them nothing else here is called.
    fn has_nodes(&self) -> bool;

    /// Puts the changes of this node in force for all nodes, renews its lease, and ends the leases that are over.
    /// Returns what became of topics and users by this, and who is on the other nodes of the watched topics that
    /// changed since the last call.
    ///
    /// # Errors
    /// [`MembersAway`]: some changes may be in force. The next update has to be whole.
    async fn exchange(&self, update: MembersUpdate) -> Result<MembersNews, MembersAway>;

    /// Who is on a topic on the other nodes.
    ///
    /// # Errors
    /// [`MembersAway`].
    async fn read(&self, topic: &Topic) -> Result<Elsewhere, MembersAway>;
}

/// What changed on this node.
#[derive(Debug, Clone, Default)]
pub struct MembersUpdate {
    /// The topics whose members changed.
    pub topics: Vec<TopicUpdate>,
    /// Whether this is everything: every topic with everybody on it.
    pub is_whole: bool,
    /// The topics with members on this node.
    pub watched: Vec<Topic>,
}

/// What changed on a topic.
#[derive(Debug, Clone)]
pub struct TopicUpdate {
    /// The topic.
    pub topic: Topic,
    /// The users whose part on this node is another one, or over (`None`).
    pub users: Vec<(MemberId, Option<MemberThere>)>,
    /// How many connections without a user there are on this node.
    pub anonymous: usize,
}

/// A user's part on one node.
#[derive(Debug, Clone, PartialEq)]
pub struct MemberThere {
    /// When the info was brought, in milliseconds since the Unix epoch: the newest counts.
    pub at_unix_ms: u64,
    /// What the user told about itself.
    pub info: Option<Payload>,
}

/// What an exchange brought.
#[derive(Debug, Clone, Default)]
pub struct MembersNews {
    /// What became of topics and users, each told to one node only.
    pub turned: Vec<(Topic, PresenceTurn, Option<MemberId>)>,
    /// Who is on the other nodes, of the topics that changed.
    pub elsewhere: Vec<(Topic, Elsewhere)>,
    /// The names of the nodes whose lease was over, each told to one node only.
    pub left: Vec<String>,
    /// The lease of this node was over, and it holds one again.
    pub is_back: bool,
}

/// Who is on a topic on the other nodes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Elsewhere {
    /// The users.
    pub users: HashMap<MemberId, MemberThere>,
    /// The connections without a user.
    pub anonymous: usize,
}

/// The broker did not answer, or the lease of this node was over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct MembersAway(pub String);
