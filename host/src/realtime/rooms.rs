//! Who receives what: the subscribers of each topic, a room by the name `ch:<topic>` in Socket.IO's words.
//!
//! The rooms are kept here and not in the transport, because a broadcast there says how many sends failed and never
//! whose: a subscriber that missed a publication has to be known, so that it can be made to come back.

use std::collections::HashMap;
use std::sync::Arc;

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use serde_json::value::RawValue;

use super::connections::Connection;
use super::link::LinkError;
use crate::flow::Publication;
use crate::protocol::{ConnectionId, Topic};
use crate::telemetry;

/// The subscribers of every topic that has any.
#[derive(Default)]
pub(super) struct Rooms {
    by_topic: DashMap<Topic, Room>,
}

struct Room {
    /// The channel's template, for metrics.
    channel: String,
    members: HashMap<ConnectionId, Arc<Connection>>,
}

impl Rooms {
    /// Lets a connection into a topic's room. `channel` is the template, for metrics.
    pub(super) fn join(&self, topic: &Topic, channel: &str, connection: &Arc<Connection>) {
        let mut room = self
            .by_topic
            .entry(topic.clone())
            .or_insert_with(|| Room { channel: channel.to_owned(), members: HashMap::new() });
        if room.members.insert(connection.id().clone(), Arc::clone(connection)).is_none() {
            telemetry::subscribed(&room.channel);
        }
    }

    /// Takes a connection out of a topic's room. The last to leave takes the room along.
    pub(super) fn leave(&self, topic: &Topic, connection: &ConnectionId) {
        let Entry::Occupied(mut entry) = self.by_topic.entry(topic.clone()) else { return };
        let room = entry.get_mut();
        if room.members.remove(connection).is_some() {
            telemetry::unsubscribed(&room.channel);
        }
        if room.members.is_empty() {
            entry.remove();
        }
    }

    /// Queues a publication for every member but `except`. Returns those that did not take it, each with the reason.
    ///
    /// The members are copied first: a room of thousands takes milliseconds to fill, and nobody who joins or leaves
    /// meanwhile should wait for that.
    pub(super) fn deliver(&self, publication: &Publication, meta: &RawValue) -> Vec<(Arc<Connection>, LinkError)> {
        let Some(room) = self.by_topic.get(&publication.topic) else { return Vec::new() };
        let members: Vec<_> = room.members.values().cloned().collect();
        drop(room);
        let args = [publication.payload.as_raw(), meta];
        let mut queued = 0;
        let mut missed = Vec::new();
        for connection in members {
            if publication.except.as_ref() == Some(connection.id()) {
                continue;
            }
            match connection.emit(publication.topic.as_str(), &args) {
                Ok(()) => queued += 1,
                Err(error) => missed.push((connection, error)),
            }
        }
        telemetry::delivered(&publication.channel, queued, missed.len());
        missed
    }

    /// How many rooms there are.
    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.by_topic.len()
    }
}
