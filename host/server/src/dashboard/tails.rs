//! Tails: an operator follows the publications of a channel or of a topic for ten minutes.
//!
//! A publication costs the application one look at a number while nobody follows anything, and otherwise a place in a
//! bounded queue: what does not fit, or comes too fast for eyes, is counted and told with the next one.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::Live;
use tidegate_core::channels::Channel;
use tidegate_core::flow::Publication;
use tidegate_core::flow::ports::{Clock as _, Removed, Rooms, SystemClock};
use tidegate_core::protocol::{PresenceChange, Topic};
use tidegate_core::telemetry;
use tidegate_realtime::Realtime;

/// How long a tail lasts.
const LASTS: Duration = Duration::from_secs(10 * 60);
/// How long a tail lasts that nobody subscribes to: its page is gone, or has not come yet.
const UNWATCHED_S_MAX: u64 = 30;
/// Most tails at the same time.
const TAILS_MAX: usize = 20;
/// Most publications of one tail in a second.
const SHOWN_PER_S_MAX: u32 = 100;
/// Most publications of all tails that wait to be shown.
const QUEUE_MAX: usize = 1024;

/// What an operator wants to follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Followed {
    /// Every topic of a channel, named by its template.
    Channel(String),
    /// One topic.
    Topic(Topic),
}

/// A tail that began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begun {
    /// Its name, which nobody can guess.
    pub id: String,
    /// Where its publications come, in the operators' world.
    pub topic: String,
    /// When it ends, in seconds since the Unix epoch.
    pub ends_at_unix_s: u64,
}

/// All tails.
pub struct Tails {
    open: Mutex<Vec<Tail>>,
    /// How many are open: what a publication looks at first.
    count: AtomicUsize,
    sender: mpsc::Sender<Seen>,
    receiver: Mutex<Option<mpsc::Receiver<Seen>>>,
}

struct Tail {
    id: String,
    followed: Followed,
    has_payloads: bool,
    ends_at_unix_s: u64,
    /// When it began, or somebody was last seen to follow it.
    watched_at_unix_s: u64,
    /// The second of the last publication, and how many there were in it.
    second: u64,
    shown: u32,
    /// Publications that were left out since the last that was shown.
    skipped: u64,
}

/// A publication on its way to a tail.
struct Seen {
    tail: String,
    publication: Publication,
    has_payload: bool,
    skipped: u64,
    at_ms: u64,
}

impl Default for Tails {
    fn default() -> Self {
        let (sender, receiver) = mpsc::channel(QUEUE_MAX);
        Self { open: Mutex::default(), count: AtomicUsize::new(0), sender, receiver: Mutex::new(Some(receiver)) }
    }
}

impl Tails {
    /// Begins a tail; `None` if there are as many as may be. The log says who follows what.
    pub fn begin(&self, followed: Followed, has_payloads: bool, operator: &str) -> Option<Begun> {
        let now_unix_s = SystemClock.now_unix_s();
        self.sweep(now_unix_s);
        let mut open = self.open.lock();
        if open.len() >= TAILS_MAX {
            return None;
        }
        let (id, ends_at_unix_s) = (uuid::Uuid::new_v4().simple().to_string(), now_unix_s + LASTS.as_secs());
        let what = match &followed {
            Followed::Channel(channel) => channel.as_str(),
            Followed::Topic(topic) => topic.as_str(),
        };
        telemetry::tail_begun(operator, what, has_payloads);
        let topic = format!("tail.{id}");
        let begun = Begun { id: id.clone(), topic, ends_at_unix_s };
        let watched_at_unix_s = now_unix_s;
        open.push(Tail {
            id,
            followed,
            has_payloads,
            ends_at_unix_s,
            watched_at_unix_s,
            second: 0,
            shown: 0,
            skipped: 0,
        });
        self.count.store(open.len(), Ordering::Release);
        Some(begun)
    }

    /// Ends a tail before its time; `false` if there is none of this name.
    pub fn end(&self, id: &str) -> bool {
        self.keep_only(|tail| tail.id != id)
    }

    /// Ends the tails that nobody has followed for a while; `is_watched` says whether somebody follows the tail of this id.
    pub(super) fn drop_unwatched(&self, now_unix_s: u64, is_watched: impl Fn(&str) -> bool) {
        for tail in self.open.lock().iter_mut().filter(|tail| is_watched(&tail.id)) {
            tail.watched_at_unix_s = now_unix_s;
        }
        self.keep_only(|tail| now_unix_s.saturating_sub(tail.watched_at_unix_s) < UNWATCHED_S_MAX);
    }

    /// Ends the tails whose time is over.
    pub(super) fn sweep(&self, now_unix_s: u64) {
        self.keep_only(|tail| tail.ends_at_unix_s > now_unix_s);
    }

    fn keep_only(&self, keep: impl Fn(&Tail) -> bool) -> bool {
        let mut open = self.open.lock();
        let before = open.len();
        open.retain(keep);
        self.count.store(open.len(), Ordering::Release);
        open.len() < before
    }

    fn saw(&self, publication: &Publication) {
        if self.count.load(Ordering::Relaxed) == 0 {
            return;
        }
        let at_ms = SystemClock.now_unix_ms();
        for tail in self.open.lock().iter_mut().filter(|tail| tail.wants(publication, at_ms / 1000)) {
            let seen = Seen {
                tail: tail.id.clone(),
                publication: publication.clone(),
                has_payload: tail.has_payloads,
                skipped: tail.skipped,
                at_ms,
            };
            match tail.has_turn(at_ms / 1000) && self.sender.try_send(seen).is_ok() {
                true => tail.skipped = 0,
                false => tail.skipped += 1,
            }
        }
    }

    /// Shows what was seen to the operators who follow it, until it is dropped. Run it once.
    pub(super) async fn show(&self, live: Arc<Live>, clients: Arc<Realtime>) {
        let Some(mut receiver) = self.receiver.lock().take() else { return };
        while let Some(seen) = receiver.recv().await {
            let subscribers = clients.subscribers_count(&seen.publication.topic);
            live.publish(&format!("tail.{}", seen.tail), shown(&seen, subscribers)).await;
        }
    }
}

impl Tail {
    fn wants(&self, publication: &Publication, second: u64) -> bool {
        let fits = match &self.followed {
            Followed::Channel(template) => publication.channel.template.as_str() == template,
            Followed::Topic(topic) => publication.topic == *topic,
        };
        fits && second < self.ends_at_unix_s
    }

    fn has_turn(&mut self, second: u64) -> bool {
        if self.second != second {
            (self.second, self.shown) = (second, 0);
        }
        self.shown += 1;
        self.shown <= SHOWN_PER_S_MAX
    }
}

fn shown(seen: &Seen, subscribers: usize) -> Value {
    let Publication { topic, channel, payload, rule, .. } = &seen.publication;
    let mut shown = json!({
        "at_ms": seen.at_ms,
        "topic": topic.as_str(),
        "channel": channel.template.as_str(),
        "bytes": payload.as_str().len(),
        "subscribers": subscribers,
    });
    if let Some(position) = seen.publication.position_shown() {
        shown["position"] = json!(position);
    }
    // A backend, a client or a plugin, where it is not the bridge.
    shown["origin"] = if rule.is_some() { "bridge" } else { "direct" }.into();
    if let Some(rule) = rule {
        shown["rule"] = json!({ "on": rule.id().on, "to": rule.id().to });
    }
    if seen.skipped > 0 {
        shown["skipped"] = seen.skipped.into();
    }
    if seen.has_payload {
        shown["payload"] = serde_json::to_value(payload).unwrap_or_default();
    }
    shown
}

/// The rooms of the application, with the tails that see what comes there.
pub struct TailedRooms {
    rooms: Arc<dyn Rooms>,
    tails: Arc<Tails>,
}

impl TailedRooms {
    /// What comes to these rooms is seen by these tails.
    #[must_use]
    pub fn new(rooms: Arc<dyn Rooms>, tails: Arc<Tails>) -> Self {
        Self { rooms, tails }
    }
}

impl Rooms for TailedRooms {
    fn deliver(&self, publication: &Publication) {
        self.tails.saw(publication);
        self.rooms.deliver(publication);
    }

    fn tell_gap(&self, topic: &Topic) {
        self.rooms.tell_gap(topic);
    }

    fn tell_removed(&self, topic: &Topic, channel: &Arc<Channel>, removed: &Removed) {
        self.rooms.tell_removed(topic, channel, removed);
    }

    fn tell_presence(&self, change: &PresenceChange) {
        self.rooms.tell_presence(change);
    }

    fn tell_gap_in(&self, channels: &BTreeSet<&str>) -> usize {
        self.rooms.tell_gap_in(channels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_core::protocol::{Generation, Payload};
    use tidegate_testkit::{FakeRooms, catalog};

    fn publication(topic: &str) -> Publication {
        let manifest = "feature: test\nchannels:\n  feed.{id}: { scope: public, payload: true }\n  other: { scope: public, payload: true }\n";
        let resolved = catalog(manifest, None, Generation(1)).resolve(topic).unwrap();
        Publication::new(&resolved, Payload::parse(r#"{"secret":1}"#.to_owned()).unwrap())
    }

    fn tails() -> (Arc<Tails>, TailedRooms, mpsc::Receiver<Seen>) {
        let tails = Arc::new(Tails::default());
        let receiver = tails.receiver.lock().take().unwrap();
        (tails.clone(), TailedRooms::new(Arc::new(FakeRooms::default()), tails), receiver)
    }

    #[test]
    fn a_tail_sees_its_channel_or_its_topic_and_payloads_only_where_they_were_asked_for() {
        let (tails, rooms, mut receiver) = tails();
        rooms.deliver(&publication("feed.a"));
        let channel = tails.begin(Followed::Channel("feed.{id}".to_owned()), false, "ann").unwrap();
        let topic = tails.begin(Followed::Topic(Topic::parse("feed.b").unwrap()), true, "ann").unwrap();
        for topic in ["feed.a", "feed.b", "other"] {
            rooms.deliver(&publication(topic));
        }
        let mut seen = Vec::new();
        while let Ok(one) = receiver.try_recv() {
            let shown = shown(&one, 0);
            seen.push((one.tail, shown["topic"].as_str().unwrap().to_owned(), shown.get("payload").cloned()));
        }
        let (a, b, secret) = ("feed.a".to_owned(), "feed.b".to_owned(), Some(json!({ "secret": 1 })));
        assert_eq!(seen, [(channel.id.clone(), a, None), (channel.id, b.clone(), None), (topic.id, b, secret)]);
    }

    #[test]
    fn a_tail_that_ended_sees_nothing() {
        let (tails, rooms, mut receiver) = tails();
        let begun = tails.begin(Followed::Channel("other".to_owned()), true, "ann").unwrap();
        assert!(tails.end(&begun.id) && !tails.end(&begun.id));
        let begun = tails.begin(Followed::Channel("other".to_owned()), true, "ann").unwrap();
        tails.sweep(begun.ends_at_unix_s);
        rooms.deliver(&publication("other"));
        assert!(receiver.try_recv().is_err());
        assert_eq!(tails.count.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_tail_that_nobody_follows_ends_after_half_a_minute_and_one_that_is_followed_goes_on() {
        let (tails, ..) = tails();
        let begin = || tails.begin(Followed::Channel("other".to_owned()), false, "ann").unwrap();
        let (followed, left) = (begin(), begin());
        let began_at = followed.ends_at_unix_s - LASTS.as_secs();
        for second in 0..2 * UNWATCHED_S_MAX {
            tails.drop_unwatched(began_at + second, |id| id == followed.id);
        }
        assert!(tails.end(&followed.id) && !tails.end(&left.id));
    }

    #[test]
    fn what_comes_too_fast_is_left_out_and_counted_with_the_next_one() {
        let (tails, rooms, mut receiver) = tails();
        tails.begin(Followed::Channel("other".to_owned()), false, "ann").unwrap();
        let sent = u64::from(SHOWN_PER_S_MAX) * 12;
        (0..sent).for_each(|_| rooms.deliver(&publication("other")));
        let mut seen: u64 = 0;
        while let Ok(one) = receiver.try_recv() {
            seen += 1 + one.skipped;
        }
        assert_eq!(seen + tails.open.lock()[0].skipped, sent);
    }

    #[test]
    fn there_are_as_many_tails_as_may_be_and_no_more() {
        let (tails, ..) = tails();
        let begin = || tails.begin(Followed::Channel("other".to_owned()), false, "ann");
        assert!((0..TAILS_MAX).all(|_| begin().is_some()));
        assert!(begin().is_none());
    }
}
