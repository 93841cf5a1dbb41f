//! The traffic between nodes: publications, gaps and control messages.

use serde::{Deserialize, Serialize};

use super::broker::{HearsNodes, Sending};
use super::ports::Removed;
use super::revoke::Revocation;
use super::{Gates, OwnEvent};
use crate::protocol::{ConnectionId, Payload, Position, Topic, TraceContext};

/// A control message from another node.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum ControlMessage {
    Revoke(Revocation),
    /// Events of this source were lost, which every node would have needed.
    Missed(String),
}

/// The same, for sending.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum ControlMessageRef<'a> {
    Revoke(&'a Revocation),
    Missed(&'a str),
}

impl Gates {
    /// Sends a revocation to the other nodes; `None` if there are none.
    pub(super) fn tell_nodes(&self, revocation: &Revocation) -> Option<Sending> {
        self.tell(&ControlMessageRef::Revoke(revocation))
    }

    /// Tells the other nodes that events of a source were lost; `None` if there are none.
    pub(super) fn tell_nodes_missed(&self, source: &str) -> Option<Sending> {
        self.tell(&ControlMessageRef::Missed(source))
    }

    fn tell(&self, message: &ControlMessageRef<'_>) -> Option<Sending> {
        self.ports.broker.tell(serde_json::to_vec(message).ok()?)
    }
}

impl HearsNodes for Gates {
    fn hear_publication(
        &self,
        topic: &Topic,
        payload: Payload,
        except: Option<ConnectionId>,
        position: Option<Position>,
        trace: Option<TraceContext>,
    ) {
        self.deliver_heard(topic, payload, except, position, trace);
    }

    fn hear_removed(&self, topic: &Topic, removed: &Removed) {
        self.removed_heard(topic, removed);
    }

    fn hear_gap(&self, topic: &Topic) {
        self.ports.rooms.tell_gap(topic);
    }

    fn hear_link(&self, link: &'static str, state: Result<usize, &str>) {
        self.saw(match state {
            Ok(gaps) => OwnEvent::BrokerBack { link, gaps },
            Err(why) => OwnEvent::BrokerAway { link, why },
        });
        self.tell_joined();
    }

    fn hear_control(&self, message: &[u8]) {
        match serde_json::from_slice(message) {
            Ok(ControlMessage::Revoke(revocation)) => self.hear_revocation(revocation),
            Ok(ControlMessage::Missed(source)) => self.tell_gap_here(&source),
            Err(error) => tracing::warn!(%error, "another node sent a message that this version does not understand"),
        }
    }
}
