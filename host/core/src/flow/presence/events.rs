//! What becomes of topics and users, as bus events: `tidegate.channel.occupied` and its like. They are made only if a
//! bridge rule takes them.

use std::sync::Arc;

use serde_json::json;

use super::MemberId;
use crate::channels::Channel;
use crate::flow::Gates;
use crate::protocol::{BusEvent, Topic};

/// What became of a topic or a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    Occupied,
    Vacated,
    Joined,
    Left,
}

impl Turn {
    const fn event_type(self) -> &'static str {
        match self {
            Self::Occupied => "tidegate.channel.occupied",
            Self::Vacated => "tidegate.channel.vacated",
            Self::Joined => "tidegate.member.joined",
            Self::Left => "tidegate.member.left",
        }
    }
}

/// A topic or a user of it that turned.
#[derive(Debug)]
pub(super) struct Turned {
    turn: Turn,
    topic: Topic,
    channel: Arc<Channel>,
    user: Option<Arc<str>>,
}

impl Turned {
    pub(super) fn new(turn: Turn, topic: &Topic, channel: &Arc<Channel>, who: Option<&MemberId>) -> Self {
        let user = who.map(|who| Arc::clone(&who.user));
        Self { turn, topic: topic.clone(), channel: Arc::clone(channel), user }
    }
}

impl Gates {
    /// Puts the events that a rule takes on the bus. If the bus has no room for one, it is lost and counted.
    pub(super) fn publish_turned(&self, turned: Vec<Turned>) {
        let serving = self.serving();
        for Turned { turn, topic, channel, user } in turned {
            let kind = turn.event_type();
            if serving.catalog.bridge().rules_for(kind).next().is_none() {
                continue;
            }
            let mut data = json!({ "channel": channel.template.as_str(), "topic": topic.as_str() });
            if let Some(user) = user {
                data["user"] = (*user).into();
            }
            let id = uuid::Uuid::now_v7().to_string();
            let event = BusEvent::new(id, "/tidegate/presence".to_owned(), kind.to_owned(), data);
            if self.put_on_bus(vec![event]).is_err() {
                tracing::debug!(kind, %topic, "an event about presence found no room on the bus");
            }
        }
    }
}
