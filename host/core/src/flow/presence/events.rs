//! What becomes of topics and users, as bus events: `tidegate.channel.occupied` and its like. They are made only if a
//! bridge rule takes them.

use std::sync::Arc;

use serde_json::json;

use crate::channels::Channel;
use crate::flow::Gates;
use crate::protocol::{BusEvent, MemberId, OwnType, PresenceTurn, Topic};

/// A topic or a user of it that turned.
#[derive(Debug)]
pub(super) struct Turned {
    turn: PresenceTurn,
    topic: Topic,
    channel: Arc<Channel>,
    user: Option<Arc<str>>,
}

impl Turned {
    pub(super) fn new(turn: PresenceTurn, topic: &Topic, channel: &Arc<Channel>, who: Option<&MemberId>) -> Self {
        let user = who.map(|who| Arc::clone(&who.user));
        Self { turn, topic: topic.clone(), channel: Arc::clone(channel), user }
    }
}

const fn event_type(turn: PresenceTurn) -> OwnType {
    match turn {
        PresenceTurn::Occupied => OwnType::ChannelOccupied,
        PresenceTurn::Vacated => OwnType::ChannelVacated,
        PresenceTurn::Joined => OwnType::MemberJoined,
        PresenceTurn::Left => OwnType::MemberLeft,
    }
}

impl Gates {
    /// The same with the channels of the topics, without those that no channel declares any more.
    pub(super) fn of_channels(&self, turned: Vec<(Topic, PresenceTurn, Option<MemberId>)>) -> Vec<Turned> {
        let serving = self.serving();
        let with_channel = |(topic, turn, who): (Topic, PresenceTurn, Option<MemberId>)| {
            let resolved = serving.catalog.resolve(topic.as_str())?;
            Some(Turned::new(turn, &topic, &resolved.channel, who.as_ref()))
        };
        turned.into_iter().filter_map(with_channel).collect()
    }

    /// Puts the events that a rule takes on the bus. If the bus has no room for one, it is lost and counted.
    pub(super) fn publish_turned(&self, turned: Vec<Turned>) {
        let serving = self.serving();
        for Turned { turn, topic, channel, user } in turned {
            let kind = event_type(turn).as_str();
            if serving.catalog.bridge().rules_for(kind).next().is_none() {
                continue;
            }
            let mut data = json!({ "channel": channel.template.as_str(), "topic": topic.as_str() });
            if let Some(user) = user {
                data["user"] = (*user).into();
            }
            let id = uuid::Uuid::now_v7().to_string();
            let event = BusEvent::new(id, "/tidegate/presence".to_owned(), kind.to_owned(), data);
            let event = event.at(self.ports.clock.now_unix_ms());
            if self.put_on_bus(vec![event]).is_err() {
                tracing::debug!(kind, %topic, "an event about presence found no room on the bus");
            }
        }
    }
}
