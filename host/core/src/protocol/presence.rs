//! Who is there: what the ack of a subscribe says, and how a change is told.

use std::sync::Arc;

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use super::{Payload, Topic, User};

/// A user among those of all tenants.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MemberId {
    /// The user's id.
    pub user: Arc<str>,
    /// The user's tenant.
    pub tenant: Option<Arc<str>>,
}

impl MemberId {
    /// The user's.
    #[must_use]
    pub fn of(user: &User) -> Self {
        Self { user: user.id.as_str().into(), tenant: user.tenant.as_deref().map(Into::into) }
    }

    /// The user as others see it.
    #[must_use]
    pub fn member(&self, info: Option<Payload>) -> Member {
        Member { user: self.user.to_string(), info }
    }
}

/// What became of a topic or a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PresenceTurn {
    /// The first member is on the topic.
    Occupied,
    /// Nobody is on the topic any more.
    Vacated,
    /// The user came.
    Joined,
    /// The user left.
    Left,
}

/// A user who is present on a topic.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Member {
    /// The user's id.
    pub user: String,
    /// What the user told about itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub info: Option<Payload>,
}

impl Member {
    /// How many bytes it takes in an answer, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        const FRAME: usize = 24;
        FRAME + self.user.len() + self.info.as_ref().map_or(0, |info| info.as_str().len())
    }
}

/// Who is present on a topic.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Present {
    /// Users and anonymous connections.
    pub count: usize,
    /// The users, by their ids; `None` when there are more than the channel tells by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub members: Option<Vec<Member>>,
}

/// How many are present on a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Occupancy {
    /// Users and anonymous connections.
    pub count: usize,
    /// Users.
    pub users: usize,
    /// Connections without a user.
    pub anonymous: usize,
}

/// What changed on a topic since the last change was told.
#[derive(Debug, Clone, PartialEq)]
pub struct PresenceChange {
    /// The topic.
    pub topic: Topic,
    /// Who came and who left; `None` when there are more users than the channel tells by name.
    pub names: Option<Names>,
    /// Users and anonymous connections.
    pub count: usize,
}

/// Who came and who left.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Names {
    /// The users who came, or whose info is another one now.
    pub joined: Vec<Member>,
    /// The users who left.
    pub left: Vec<Member>,
}

/// `{ type: "presence", channel, joined, left, count }`
impl Serialize for PresenceChange {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_map(None)?;
        out.serialize_entry("type", "presence")?;
        out.serialize_entry("channel", &self.topic)?;
        if let Some(Names { joined, left }) = &self.names {
            out.serialize_entry("joined", joined)?;
            out.serialize_entry("left", left)?;
        }
        out.serialize_entry("count", &self.count)?;
        out.end()
    }
}
