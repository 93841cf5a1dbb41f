//! The subscribers of each topic: a room, in Socket.IO's terms with the name `ch:<topic>`.
//!
//! The rooms are kept here and not in the transport, because a broadcast there says how many sends failed but never
//! whose: a subscriber that missed a publication must be known, so that it can be made to reconnect.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use tidegate_transport::SendError;

use super::connections::Connection;
use super::frame::Frame;
use tidegate_core::flow::Publication;
use tidegate_core::flow::broker::Broker;
use tidegate_core::protocol::{ConnectionId, Topic};
use tidegate_core::telemetry;

/// The subscribers of every topic that has any.
pub(super) struct Rooms {
    by_topic: DashMap<Topic, Room>,
    /// Learns of every topic's first and last subscriber, under the lock of its room: in the order in which it
    /// happened.
    broker: Arc<dyn Broker>,
}

struct Room {
    /// The channel's template, for metrics.
    channel: String,
    members: HashMap<ConnectionId, Arc<Connection>>,
}

impl Rooms {
    /// Empty rooms.
    pub(super) fn new(broker: Arc<dyn Broker>) -> Self {
        Self { by_topic: DashMap::new(), broker }
    }

    /// Adds a connection to a topic's room. `channel` is the template, for metrics.
    pub(super) fn join(&self, topic: &Topic, channel: &str, connection: &Arc<Connection>) {
        let mut room = self.by_topic.entry(topic.clone()).or_insert_with(|| {
            self.broker.subscribed(topic);
            Room { channel: channel.to_owned(), members: HashMap::new() }
        });
        if room.members.insert(connection.id().clone(), Arc::clone(connection)).is_none() {
            telemetry::subscribed(&room.channel);
        }
    }

    /// Removes a connection from a topic's room. The last one to leave removes the room.
    pub(super) fn leave(&self, topic: &Topic, connection: &ConnectionId) {
        let Entry::Occupied(mut entry) = self.by_topic.entry(topic.clone()) else { return };
        let room = entry.get_mut();
        if room.members.remove(connection).is_some() {
            telemetry::unsubscribed(&room.channel);
        }
        if room.members.is_empty() {
            self.broker.unsubscribed(topic);
            entry.remove();
        }
    }

    /// The present members of a topic's room; no lock is held while the caller walks them.
    pub(super) fn members(&self, topic: &Topic) -> Vec<Arc<Connection>> {
        self.by_topic.get(topic).map_or_else(Vec::new, |room| room.members.values().cloned().collect())
    }

    /// The topics with subscribers of some channels, named by their templates.
    pub(super) fn topics_of(&self, channels: &BTreeSet<&str>) -> Vec<Topic> {
        let of_them = self.by_topic.iter().filter(|room| channels.contains(room.channel.as_str()));
        of_them.map(|room| room.key().clone()).collect()
    }

    /// Sends a publication to every member except `except`, as one frame that they share. Returns the members that did
    /// not receive it, each with the reason.
    ///
    /// The members are copied first: a room of thousands takes milliseconds to serve, and nobody who joins or leaves
    /// meanwhile should wait for that.
    pub(super) fn deliver(&self, publication: &Publication) -> Vec<(Arc<Connection>, SendError)> {
        let members = self.members(&publication.topic);
        if members.is_empty() {
            return Vec::new();
        }
        let frame = Frame::publication(publication);
        let mut sent = 0;
        let mut missed = Vec::new();
        for connection in members {
            if publication.except.as_ref() == Some(connection.id()) {
                continue;
            }
            match connection.deliver(publication, &frame) {
                Ok(()) => sent += 1,
                Err(error) => missed.push((connection, error)),
            }
        }
        telemetry::delivered(publication.channel.template.as_str(), sent, missed.len());
        missed
    }
}

/// Publications for the unit tests.
#[cfg(test)]
pub(crate) mod fixture {
    use tidegate_core::flow::Publication;
    use tidegate_core::protocol::{Generation, Payload};
    use tidegate_testkit::catalog;

    /// A payload on a topic of a public channel that takes anything.
    pub(crate) fn publication(channel: &str, topic: &str, payload: &str) -> Publication {
        let manifest = format!("feature: test\nchannels:\n  {channel}: {{ scope: public, payload: true }}\n");
        let resolved = catalog(&manifest, None, Generation(1)).resolve(topic).unwrap();
        Publication::new(&resolved, Payload::parse(payload.to_owned()).unwrap())
    }
}

#[cfg(test)]
mod tests {
    use super::super::link::fake::FakeLink;
    use super::fixture::publication;
    use super::*;
    use tidegate_testkit::FakeBroker;

    fn rooms() -> Rooms {
        Rooms::new(Arc::new(FakeBroker::default()))
    }

    fn connection(id: &str, link: &FakeLink) -> Arc<Connection> {
        Connection::over(link.clone(), id)
    }

    fn topic(name: &str) -> Topic {
        Topic::parse(name).unwrap()
    }

    fn deliver(rooms: &Rooms, to: &str, except: Option<&str>) -> Vec<(String, SendError)> {
        let publication = publication("feed.{id}", to, "1").except(except.map(ConnectionId::new));
        let missed = rooms.deliver(&publication);
        missed.into_iter().map(|(connection, error)| (connection.id().to_string(), error)).collect()
    }

    #[test]
    fn a_publication_reaches_the_subscribers_of_its_topic_and_nobody_else() {
        let (rooms, here, there) = (rooms(), FakeLink::default(), FakeLink::default());
        rooms.join(&topic("feed.a"), "feed.{id}", &connection("here", &here));
        rooms.join(&topic("feed.b"), "feed.{id}", &connection("there", &there));
        assert_eq!(deliver(&rooms, "feed.a", None), []);
        assert_eq!(here.frames(), ["feed.a(1, {})"]);
        assert!(there.frames().is_empty());
    }

    #[test]
    fn the_subscribers_of_a_topic_share_one_frame() {
        let (rooms, one, other) = (rooms(), FakeLink::default(), FakeLink::default());
        rooms.join(&topic("feed.a"), "feed.{id}", &connection("one", &one));
        rooms.join(&topic("feed.a"), "feed.{id}", &connection("other", &other));
        deliver(&rooms, "feed.a", None);
        let (Frame::Packet(one), Frame::Packet(other)) = (one.last(), other.last()) else { panic!("two events") };
        assert!(one.is_same(&other));
    }

    #[test]
    fn the_topics_of_a_channel_are_those_that_somebody_subscribes_to() {
        let (rooms, link) = (rooms(), FakeLink::default());
        let (one, other) = (connection("one", &link), connection("other", &link));
        rooms.join(&topic("feed.a"), "feed.{id}", &one);
        rooms.join(&topic("feed.b"), "feed.{id}", &other);
        rooms.join(&topic("news"), "news", &one);
        let mut of_feed = rooms.topics_of(&BTreeSet::from(["feed.{id}", "nobody.here"]));
        of_feed.sort_by(|a, b| a.as_str().cmp(b.as_str()));
        assert_eq!(of_feed, [topic("feed.a"), topic("feed.b")]);
        rooms.leave(&topic("feed.b"), other.id());
        assert_eq!(rooms.topics_of(&BTreeSet::from(["feed.{id}"])), [topic("feed.a")]);
    }

    #[test]
    fn the_sender_can_be_left_out() {
        let (rooms, sender, other) = (rooms(), FakeLink::default(), FakeLink::default());
        rooms.join(&topic("feed.a"), "feed.{id}", &connection("sender", &sender));
        rooms.join(&topic("feed.a"), "feed.{id}", &connection("other", &other));
        assert_eq!(deliver(&rooms, "feed.a", Some("sender")), []);
        assert!(sender.frames().is_empty());
        assert_eq!(other.frames().len(), 1);
    }

    #[test]
    fn who_missed_a_publication_is_named_with_the_reason() {
        let rooms = rooms();
        rooms.join(&topic("feed.a"), "feed.{id}", &connection("full", &FakeLink::full()));
        rooms.join(&topic("feed.a"), "feed.{id}", &connection("fine", &FakeLink::default()));
        assert_eq!(deliver(&rooms, "feed.a", None), [("full".to_owned(), SendError::SlowConsumer)]);
    }

    #[test]
    fn joining_twice_is_joining_once_and_the_last_to_leave_takes_the_room_along() {
        let (rooms, link) = (rooms(), FakeLink::default());
        let connection = connection("one", &link);
        rooms.join(&topic("feed.a"), "feed.{id}", &connection);
        rooms.join(&topic("feed.a"), "feed.{id}", &connection);
        deliver(&rooms, "feed.a", None);
        assert_eq!(link.frames().len(), 1);
        rooms.leave(&topic("feed.a"), connection.id());
        deliver(&rooms, "feed.a", None);
        assert_eq!(link.frames().len(), 1);
        assert!(rooms.by_topic.is_empty());
    }
}
