//! The subscribers of each topic: a room, in Socket.IO's terms with the name `ch:<topic>`.
//!
//! The rooms are kept here and not in the transport, because a broadcast there says how many sends failed but never
//! whose: a subscriber that missed a publication must be known, so that it can be made to reconnect.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::runtime::Handle;

use super::connections::Connection;
use super::frame::Delivery;
use super::room::{Members, Owed};
use tidegate_core::channels::Channel;
use tidegate_core::flow::Publication;
use tidegate_core::flow::broker::Broker;
use tidegate_core::flow::ports::Removed;
use tidegate_core::protocol::{Position, Topic};
use tidegate_core::telemetry;

/// The subscribers of every topic that has any.
pub(super) struct Rooms {
    by_topic: DashMap<Topic, Room>,
    /// Learns of every topic's first and last subscriber, under the lock of its room: in the order in which it
    /// happened.
    broker: Arc<dyn Broker>,
    /// How many rooms there were.
    numbers: AtomicU64,
}

struct Room {
    /// No other room has, or had, the same.
    number: u64,
    /// The channel's template, for metrics.
    channel: String,
    members: Members,
    /// Held while a publication is put before the members, so that all of them get publications in one order.
    order: Mutex<()>,
}

impl Rooms {
    /// Empty rooms.
    pub(super) fn new(broker: Arc<dyn Broker>) -> Self {
        Self { by_topic: DashMap::new(), broker, numbers: AtomicU64::new(0) }
    }

    /// Adds a connection to a topic's room. `channel` is the template, for metrics.
    pub(super) fn join(&self, topic: &Topic, channel: &str, connection: &Arc<Connection>) {
        let mut room = self.by_topic.entry(topic.clone()).or_insert_with(|| {
            self.broker.subscribed(topic);
            let number = self.numbers.fetch_add(1, Ordering::Relaxed);
            Room { number, channel: channel.to_owned(), members: Members::default(), order: Mutex::default() }
        });
        if room.members.join(connection) {
            telemetry::subscribed(&room.channel);
        }
    }

    /// Removes a connection from a topic's room. The last one to leave removes the room. Returns the number of the room if
    /// the connection was in it.
    pub(super) fn leave(&self, topic: &Topic, connection: &Arc<Connection>) -> Option<u64> {
        let Entry::Occupied(mut entry) = self.by_topic.entry(topic.clone()) else { return None };
        let room = entry.get_mut();
        let number = room.members.leave(connection).then_some(room.number);
        if number.is_some() {
            telemetry::unsubscribed(&room.channel);
        }
        if room.members.is_empty() {
            self.broker.unsubscribed(topic);
            entry.remove();
        }
        number
    }

    /// Drops older values of a topic that wait for a client which subscribes to it once more.
    pub(super) fn forget_older(&self, topic: &Topic, connection: &Connection) {
        if let Some(room) = self.by_topic.get(topic) {
            connection.forget(room.number);
        }
    }

    /// Waits until a member of a room has all publications that were put before it until now: those of a large room are on
    /// their way for a while.
    pub(super) async fn caught_up(&self, topic: &Topic, connection: &Connection) {
        let line = self.by_topic.get(topic).and_then(|room| room.members.line(connection.id()));
        if let Some(passed) = line {
            // An error: the members are gone.
            let _ = passed.await;
        }
    }

    /// Waits until all members of all rooms have the publications that were put before them until now.
    pub(super) async fn all_caught_up(&self) {
        let lines: Vec<_> = self.by_topic.iter().flat_map(|room| room.members.lines()).collect();
        for passed in lines {
            let _ = passed.await;
        }
    }

    /// The present members of a topic's room; no lock is held while the caller walks them.
    pub(super) fn members(&self, topic: &Topic) -> Vec<Arc<Connection>> {
        self.by_topic.get(topic).map_or_else(Vec::new, |room| room.members.all())
    }

    /// How many members a topic's room has.
    pub(super) fn members_count(&self, topic: &Topic) -> usize {
        self.by_topic.get(topic).map_or(0, |room| room.members.count())
    }

    /// How many rooms there are.
    pub(super) fn count(&self) -> usize {
        self.by_topic.len()
    }

    /// Shows every topic with its channel's template and the number of its subscribers to `see`, a part of them at a time.
    /// It must be quick: others wait meanwhile.
    pub(super) fn see(&self, mut see: impl FnMut(&Topic, &str, usize)) {
        self.by_topic.iter().for_each(|room| see(room.key(), &room.channel, room.members.count()));
    }

    /// Shows every member of a topic's room to `see`; no lock of the room is held meanwhile. Returns how many there are.
    pub(super) fn see_members(&self, topic: &Topic, mut see: impl FnMut(&Arc<Connection>)) -> usize {
        let groups = self.by_topic.get(topic).map(|room| room.members.seats()).unwrap_or_default();
        groups.iter().flat_map(|seats| seats.iter()).for_each(|seat| see(&seat.connection));
        groups.iter().map(|seats| seats.len()).sum()
    }

    /// The topics with subscribers of some channels, named by their templates.
    pub(super) fn topics_of(&self, channels: &BTreeSet<&str>) -> Vec<Topic> {
        let of_them = self.by_topic.iter().filter(|room| channels.contains(room.channel.as_str()));
        of_them.map(|room| room.key().clone()).collect()
    }

    /// Sends a publication to every member except `except`, as one packet that they share. A member that reads too
    /// slowly is cut, so that it comes back.
    ///
    /// A room with one group of members is served at once; the groups of a larger one, and of a busy one, are served by
    /// tasks.
    pub(super) fn deliver(&self, publication: &Publication) {
        self.put(&publication.topic, |room| {
            let left_out = || publication.except.as_ref().is_some_and(|except| room.members.has(except));
            let subscribers = || room.members.count() - usize::from(left_out());
            Delivery::new(publication.clone(), room.number, subscribers)
        });
    }

    /// Tells every member that retained values were taken away: the message has its place among the publications, before
    /// the next position.
    pub(super) fn tell_removed(&self, topic: &Topic, channel: &Arc<Channel>, removed: &Removed) {
        let Removed { keys, after } = removed;
        let position = Position { epoch: after.epoch.clone(), offset: after.offset + 1 };
        for key in keys {
            let place =
                Publication::kept(topic.clone(), Arc::clone(channel), Value::Null.into(), Some(position.clone()));
            self.put(topic, |room| Delivery::removed(place, key.clone(), room.number));
        }
    }

    fn put(&self, topic: &Topic, delivery: impl FnOnce(&Room) -> Arc<Delivery>) {
        let Owed { idle, is_busy, full } = {
            let Some(room) = self.by_topic.get(topic) else { return };
            let delivery = delivery(&room);
            let _order = room.order.lock();
            room.members.put(&delivery)
        };
        match (idle.as_slice(), Handle::try_current()) {
            (groups, Ok(runtime)) if groups.len() > 1 || is_busy => {
                idle.into_iter().for_each(|group| drop(runtime.spawn(group.serve_together())));
            }
            (groups, _) => groups.iter().for_each(|group| group.serve()),
        }
        full.iter().for_each(|group| group.relieve());
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
        of_channel(&format!("{channel}: {{ scope: public, payload: true }}"), topic, payload)
    }

    /// The same, on a channel that delivers the newest of each `/key`.
    pub(crate) fn newest(channel: &str, topic: &str, payload: &str) -> Publication {
        let delivery = "delivery: { mode: latest, key: /key }";
        of_channel(&format!("{channel}: {{ scope: public, payload: true, {delivery} }}"), topic, payload)
    }

    fn of_channel(channel: &str, topic: &str, payload: &str) -> Publication {
        let manifest = format!("feature: test\nchannels:\n  {channel}\n");
        let resolved = catalog(&manifest, None, Generation(1)).resolve(topic).unwrap();
        Publication::new(&resolved, Payload::parse(payload.to_owned()).unwrap())
    }
}

#[cfg(test)]
mod tests {
    use super::super::frame::Frame;
    use super::super::link::fake::FakeLink;
    use super::super::room::{GROUP_MAX, WAITING_MAX};
    use super::fixture::publication;
    use super::*;
    use tidegate_core::protocol::ConnectionId;
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

    fn deliver(rooms: &Rooms, to: &str, except: Option<&str>) {
        rooms.deliver(&publication("feed.{id}", to, "1").except(except.map(ConnectionId::new)));
    }

    #[test]
    fn a_publication_reaches_the_subscribers_of_its_topic_and_nobody_else() {
        let (rooms, here, there) = (rooms(), FakeLink::default(), FakeLink::default());
        rooms.join(&topic("feed.a"), "feed.{id}", &connection("here", &here));
        rooms.join(&topic("feed.b"), "feed.{id}", &connection("there", &there));
        deliver(&rooms, "feed.a", None);
        assert_eq!(here.frames(), ["feed.a(1, {})"]);
        assert!(there.frames().is_empty());
    }

    #[test]
    fn the_subscribers_of_a_topic_share_one_frame() {
        let (rooms, one, other) = (rooms(), FakeLink::default(), FakeLink::default());
        rooms.join(&topic("feed.a"), "feed.{id}", &connection("one", &one));
        rooms.join(&topic("feed.a"), "feed.{id}", &connection("other", &other));
        deliver(&rooms, "feed.a", None);
        let (Frame::Publication(one), Frame::Publication(other)) = (one.last(), other.last()) else {
            panic!("two publications")
        };
        assert!(one.packet().is_same(other.packet()));
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
        rooms.leave(&topic("feed.b"), &other);
        assert_eq!(rooms.topics_of(&BTreeSet::from(["feed.{id}"])), [topic("feed.a")]);
    }

    #[test]
    fn the_sender_can_be_left_out() {
        let (rooms, sender, other) = (rooms(), FakeLink::default(), FakeLink::default());
        rooms.join(&topic("feed.a"), "feed.{id}", &connection("sender", &sender));
        rooms.join(&topic("feed.a"), "feed.{id}", &connection("other", &other));
        deliver(&rooms, "feed.a", Some("sender"));
        assert!(sender.frames().is_empty());
        assert_eq!(other.frames().len(), 1);
    }

    #[test]
    fn who_reads_too_slowly_is_cut_and_the_others_receive() {
        let (rooms, slow, fine) = (rooms(), FakeLink::full(), FakeLink::default());
        rooms.join(&topic("feed.a"), "feed.{id}", &connection("slow", &slow));
        rooms.join(&topic("feed.a"), "feed.{id}", &connection("fine", &fine));
        deliver(&rooms, "feed.a", None);
        assert!(slow.is_cut() && !fine.is_cut());
        assert_eq!(fine.frames().len(), 1);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_room_of_many_groups_gets_every_publication_once_and_in_order_while_members_come_and_go() {
        let rooms = Arc::new(rooms());
        let links: Vec<FakeLink> = (0..3 * GROUP_MAX).map(|_| FakeLink::default()).collect();
        let of = |(at, link): (usize, &FakeLink)| connection(&at.to_string(), link);
        let members: Vec<_> = links.iter().enumerate().map(of).collect();
        members.iter().for_each(|member| rooms.join(&topic("feed.a"), "feed.{id}", member));
        for (n, leaver) in members.iter().take(50).enumerate() {
            rooms.deliver(&publication("feed.{id}", "feed.a", &n.to_string()));
            rooms.leave(&topic("feed.a"), leaver);
            tokio::task::yield_now().await;
        }
        let whole: Vec<String> = (0..50).map(|n| format!("feed.a({n}, {{}})")).collect();
        let stayed = links.get(50..).unwrap();
        while stayed.iter().any(|link| link.frames().len() < 50) {
            tokio::task::yield_now().await;
        }
        assert!(stayed.iter().all(|link| link.frames() == whole));
        assert!(links.iter().take(50).all(|link| whole.starts_with(&link.frames())));
    }

    #[tokio::test]
    async fn whoever_waits_for_a_member_to_catch_up_comes_after_the_publications_of_a_large_room() {
        for at in [0, GROUP_MAX - 1, GROUP_MAX, 2 * GROUP_MAX - 1] {
            let rooms = rooms();
            let links: Vec<FakeLink> = (0..2 * GROUP_MAX).map(|_| FakeLink::default()).collect();
            let members: Vec<_> = links.iter().zip(0..).map(|(link, n)| connection(&format!("c{n}"), link)).collect();
            members.iter().for_each(|member| rooms.join(&topic("feed.a"), "feed.{id}", member));
            deliver(&rooms, "feed.a", None);
            assert_eq!(links[at].frames().len(), 0, "tasks serve a large room");
            rooms.caught_up(&topic("feed.a"), &members[at]).await;
            assert_eq!(links[at].frames().len(), 1);
        }
        rooms().caught_up(&topic("feed.a"), &connection("nobody", &FakeLink::default())).await;
        let rooms = rooms();
        let links: Vec<FakeLink> = (0..2 * GROUP_MAX).map(|_| FakeLink::default()).collect();
        let join =
            |(link, n): (&FakeLink, u32)| rooms.join(&topic("feed.a"), "feed.{id}", &connection(&n.to_string(), link));
        links.iter().zip(0..).for_each(join);
        deliver(&rooms, "feed.a", None);
        rooms.all_caught_up().await;
        assert!(links.iter().all(|link| link.frames().len() == 1));
    }

    #[tokio::test]
    async fn the_first_publication_goes_out_at_once_and_those_close_behind_it_together_in_their_order() {
        let rooms = rooms();
        let links: Vec<FakeLink> = (0..20).map(|_| FakeLink::default()).collect();
        let members: Vec<_> = links.iter().zip(0..).map(|(link, n)| connection(&format!("c{n}"), link)).collect();
        members.iter().for_each(|member| rooms.join(&topic("feed.a"), "feed.{id}", member));
        tokio::time::pause();
        for n in 0..10 {
            rooms.deliver(&publication("feed.{id}", "feed.a", &n.to_string()));
            assert!(links.iter().all(|link| link.frames().len() == 1), "a task serves a busy room");
        }
        for (link, member) in links.iter().zip(&members) {
            rooms.caught_up(&topic("feed.a"), member).await;
            assert_eq!(link.frames(), (0..10).map(|n| format!("feed.a({n}, {{}})")).collect::<Vec<_>>());
        }
        tokio::time::advance(std::time::Duration::from_millis(1)).await;
        deliver(&rooms, "feed.a", None);
        assert!(links.iter().all(|link| link.frames().len() == 11), "after a pause it is quiet again");
    }

    #[tokio::test]
    async fn who_publishes_faster_than_a_large_room_is_served_serves_it() {
        let rooms = rooms();
        let links: Vec<FakeLink> = (0..2 * GROUP_MAX).map(|_| FakeLink::default()).collect();
        let members: Vec<_> = links.iter().zip(0..).map(|(link, n)| connection(&format!("c{n}"), link)).collect();
        members.iter().for_each(|member| rooms.join(&topic("feed.a"), "feed.{id}", member));
        let count = WAITING_MAX + 40;
        for n in 0..count {
            rooms.deliver(&publication("feed.{id}", "feed.a", &n.to_string()));
        }
        assert!(links.iter().all(|link| link.frames().len() >= 40), "the tasks that serve the room did not run yet");
        for (link, member) in links.iter().zip(&members) {
            rooms.caught_up(&topic("feed.a"), member).await;
            let whole: Vec<String> = (0..count).map(|n| format!("feed.a({n}, {{}})")).collect();
            assert_eq!(link.frames(), whole);
        }
    }

    #[test]
    fn joining_twice_is_joining_once_and_the_last_to_leave_takes_the_room_along() {
        let (rooms, link) = (rooms(), FakeLink::default());
        let connection = connection("one", &link);
        rooms.join(&topic("feed.a"), "feed.{id}", &connection);
        rooms.join(&topic("feed.a"), "feed.{id}", &connection);
        deliver(&rooms, "feed.a", None);
        assert_eq!(link.frames().len(), 1);
        rooms.leave(&topic("feed.a"), &connection);
        deliver(&rooms, "feed.a", None);
        assert_eq!(link.frames().len(), 1);
        assert!(rooms.by_topic.is_empty());
    }
}
