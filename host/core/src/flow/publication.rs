//! A publication, and the one way it goes: to the rooms of this node, then to the other nodes.
//!
//! A payload that cleared gate 4 here and one from another node become the same [`Publication`].

use std::sync::Arc;

use super::broker::Sending;
use super::{Audience, Gates};
use crate::channels::{BridgeRule, Channel, Resolved};
use crate::protocol::{ConnectionId, Payload, Topic};

/// A payload that cleared gate 4, on its way to a room.
#[derive(Debug, Clone)]
pub struct Publication {
    /// The topic.
    pub topic: Topic,
    /// The channel that declares the topic, with its policies.
    pub channel: Arc<Channel>,
    /// The payload; it matches the channel's schema.
    pub payload: Payload,
    /// A connection to leave out: the sender, in an emit to the others.
    pub except: Option<ConnectionId>,
    /// The bridge rule that made it, if any.
    pub rule: Option<Arc<BridgeRule>>,
}

impl Publication {
    /// A publication for every subscriber of a topic.
    #[must_use]
    pub fn new(resolved: &Resolved, payload: Payload) -> Self {
        let Resolved { topic, channel, .. } = resolved;
        Self { topic: topic.clone(), channel: Arc::clone(channel), payload, except: None, rule: None }
    }

    /// The same, but for one connection.
    #[must_use]
    pub fn except(self, connection: Option<ConnectionId>) -> Self {
        Self { except: connection, ..self }
    }
}

impl Gates {
    /// Delivers a publication to this node's subscribers, and gives it to the other nodes if `audience` includes them.
    /// When this returns, this node's subscribers have it, and it has its place in the order of its topic.
    pub(super) fn publish(&self, publication: &Publication, audience: Audience) -> Option<Sending> {
        self.ports.rooms.deliver(publication);
        match audience {
            Audience::EveryNode => self.ports.broker.publish(publication),
            Audience::ThisNode => None,
        }
    }

    /// Delivers a publication that cleared gate 4 on another node.
    pub(super) fn publish_heard(&self, topic: &Topic, payload: Payload, except: Option<ConnectionId>) {
        let serving = self.serving();
        // If no channel declares the topic any more, nobody is subscribed to it.
        if let Some(resolved) = serving.catalog.resolve(topic.as_str()) {
            self.publish(&Publication::new(&resolved, payload).except(except), Audience::ThisNode);
        }
    }
}
