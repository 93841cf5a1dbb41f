//! What one client with recovery has of the topics that it holds, by its own word. Each event that it gets has an offset;
//! the client's answers to pings, and the offset that it brings back, say how far it is.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tidegate_transport::Offset;

use tidegate_core::protocol::{Code, Epoch, Position, SessionEvent, Topic};

/// The line of the events without a position. Another server must not take its offsets for its own.
static LINE: LazyLock<u64> = LazyLock::new(|| {
    let (line, _) = uuid::Uuid::new_v4().as_u64_pair();
    line
});
/// How many of these there were.
static EVENTS: AtomicU64 = AtomicU64::new(0);

/// The offset of an event with a position: all clients get the same.
pub(super) fn offset_of(topic: &Topic, position: &Position) -> Offset {
    Offset { line: line_of(topic, &position.epoch), at: position.offset }
}

/// The offset of an event without a position, which no other event has.
pub(super) fn next_offset() -> Offset {
    Offset { line: *LINE, at: EVENTS.fetch_add(1, Ordering::Relaxed) }
}

fn line_of(topic: &Topic, epoch: &Epoch) -> u64 {
    let mut hasher = DefaultHasher::new();
    (topic, epoch).hash(&mut hasher);
    hasher.finish()
}

/// How far one client is.
#[derive(Default)]
pub(super) struct Trail(Mutex<Known>);

/// What is known of a client: as long as it is connected, and while its session waits for it.
#[derive(Debug, Default, Clone)]
pub(super) struct Known {
    /// The topics whose subscription it was told of, each with the last publication that it has, on a channel with history.
    topics: HashMap<Topic, Option<Position>>,
    /// The lines that belong to them.
    lines: HashMap<u64, (Topic, Epoch)>,
    /// What it was told about topics and may not have processed: it hears that again. No more than what is under way.
    told: Vec<(Offset, SessionEvent)>,
}

impl Trail {
    /// The client is told that it holds a topic: it has everything up to this position, which live publications follow.
    /// Whoever holds the topic already is not ahead of what it has.
    pub(super) fn subscribed(&self, topic: &Topic, position: Option<&Position>) {
        let mut known = self.0.lock();
        let has = known.topics.entry(topic.clone()).or_default();
        if has.as_ref().map(|has| &has.epoch) != position.map(|position| &position.epoch) {
            *has = position.cloned();
        }
        if let Some(Position { epoch, .. }) = position {
            known.lines.insert(line_of(topic, epoch), (topic.clone(), epoch.clone()));
        }
    }

    /// A publication goes out to the client.
    pub(super) fn follows(&self, topic: &Topic, Position { epoch, .. }: &Position) {
        let line = line_of(topic, epoch);
        self.0.lock().lines.entry(line).or_insert_with(|| (topic.clone(), epoch.clone()));
    }

    /// A message about the session goes out to the client.
    pub(super) fn tells(&self, offset: Option<Offset>, event: &SessionEvent) {
        if let (Some(offset), SessionEvent::Revoked { .. } | SessionEvent::Gap { .. }) = (offset, event) {
            self.0.lock().told.push((offset, event.clone()));
        }
    }

    /// The client does not hold the topic any more.
    pub(super) fn forget(&self, topic: &Topic) {
        let mut known = self.0.lock();
        if known.topics.remove(topic).is_some() {
            known.lines.retain(|_, (other, _)| other != topic);
        }
    }

    /// The client has processed these events, in this order.
    pub(super) fn processed(&self, events: &[Offset]) {
        self.0.lock().processed(events);
    }

    /// What is known now.
    pub(super) fn known(&self) -> Known {
        self.0.lock().clone()
    }
}

impl Known {
    fn processed(&mut self, events: &[Offset]) {
        self.told.retain(|(offset, _)| !events.contains(offset));
        for Offset { line, at } in events {
            let Some((topic, epoch)) = self.lines.get(line) else { continue };
            let Some(has) = self.topics.get_mut(topic) else { continue };
            let is_ahead = has.as_ref().is_some_and(|has| has.epoch == *epoch && has.offset >= *at);
            if !is_ahead {
                *has = Some(Position { epoch: epoch.clone(), offset: *at });
            }
        }
    }

    /// The client is back, with the offset of the last event that it has processed. `unanswered` are those that it may or
    /// may not have; if it brings none of them, it has none of them.
    pub(super) fn settle(&mut self, unanswered: &[Offset], last: Option<Offset>) {
        let last = last.and_then(|last| unanswered.iter().rposition(|event| *event == last));
        self.processed(unanswered.get(..last.map_or(0, |at| at + 1)).unwrap_or_default());
    }

    /// A topic was revoked while the client is away: it is told when it comes back.
    pub(super) fn revoked(&mut self, topic: &Topic) {
        let event = SessionEvent::Revoked { topic: topic.clone(), reason: Code::Forbidden };
        self.told.push((next_offset(), event));
    }

    /// What a client that comes back hears again. What it holds was not revoked for good.
    pub(super) fn owed(&self, holds: impl Fn(&Topic) -> bool) -> Vec<SessionEvent> {
        let is_owed = |event: &SessionEvent| !matches!(event, SessionEvent::Revoked { topic, .. } if holds(topic));
        self.told.iter().map(|(_, event)| event).filter(|event| is_owed(event)).cloned().collect()
    }

    /// What the client has of a topic: `None` if it was never told that it holds it; without a position on a channel
    /// without history.
    pub(super) fn of(&self, topic: &Topic) -> Option<&Option<Position>> {
        self.topics.get(topic)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(name: &str) -> Topic {
        Topic::parse(name).unwrap()
    }

    fn at(epoch: &str, offset: u64) -> Position {
        Position { epoch: Epoch::parse(epoch).unwrap(), offset }
    }

    /// The offsets of events on topic `a`.
    fn events(offsets: impl IntoIterator<Item = u64>) -> Vec<Offset> {
        offsets.into_iter().map(|offset| offset_of(&topic("a"), &at("e", offset))).collect()
    }

    fn trail() -> Trail {
        let trail = Trail::default();
        trail.subscribed(&topic("a"), Some(&at("e", 3)));
        trail
    }

    fn has(known: &Known, name: &str) -> Option<u64> {
        known.of(&topic(name)).unwrap().as_ref().map(|position| position.offset)
    }

    #[test]
    fn a_client_has_what_it_subscribed_with_and_what_it_has_processed_since() {
        let trail = trail();
        assert_eq!(has(&trail.known(), "a"), Some(3));
        trail.processed(&events([4, 5]));
        assert_eq!(has(&trail.known(), "a"), Some(5));
        assert!(trail.known().of(&topic("b")).is_none(), "it never heard of that one");
    }

    #[test]
    fn the_offset_that_it_brings_says_which_of_the_others_it_has() {
        let trail = trail();
        let plain = next_offset();
        let mut written = events([4, 5]);
        written.push(plain);
        written.extend(events([6]));
        for (last, expected) in [(written[0], 4), (written[1], 5), (plain, 5), (written[3], 6)] {
            let mut known = trail.known();
            known.settle(&written, Some(last));
            assert_eq!(has(&known, "a"), Some(expected));
        }
    }

    #[test]
    fn an_offset_of_another_session_means_the_beginning() {
        let trail = trail();
        for last in [None, Some(next_offset()), Some(events([9])[0])] {
            let mut known = trail.known();
            known.settle(&events([4, 5]), last);
            assert_eq!(has(&known, "a"), Some(3));
        }
    }

    #[test]
    fn whoever_subscribes_again_is_not_ahead_of_what_it_has() {
        let trail = trail();
        trail.subscribed(&topic("a"), Some(&at("e", 7)));
        assert_eq!(has(&trail.known(), "a"), Some(3));
        trail.forget(&topic("a"));
        trail.subscribed(&topic("a"), Some(&at("e", 8)));
        trail.processed(&events([5]));
        assert_eq!(has(&trail.known(), "a"), Some(8), "an event from before it left says nothing");
    }

    #[test]
    fn a_history_that_is_made_anew_is_followed() {
        let trail = trail();
        let event = offset_of(&topic("a"), &at("f", 1));
        trail.follows(&topic("a"), &at("f", 1));
        trail.processed(&[event]);
        assert_eq!(trail.known().of(&topic("a")), Some(&Some(at("f", 1))));
    }

    #[test]
    fn what_a_client_may_not_have_heard_about_a_topic_it_hears_again() {
        let trail = trail();
        let events =
            [SessionEvent::Gap { topic: topic("a") }, SessionEvent::Expired].map(|event| (next_offset(), event));
        events.iter().for_each(|(offset, event)| trail.tells(Some(*offset), event));
        let mut known = trail.known();
        known.revoked(&topic("b"));
        known.revoked(&topic("a"));
        let revoked = SessionEvent::Revoked { topic: topic("b"), reason: Code::Forbidden };
        let held = |held: &Topic| *held == topic("a");
        assert_eq!(known.owed(held), [events[0].1.clone(), revoked.clone()]);
        known.settle(&[events[0].0, events[1].0], Some(events[0].0));
        assert_eq!(known.owed(held), [revoked]);
    }

    #[test]
    fn topics_without_history_are_known_without_a_position() {
        let trail = trail();
        trail.subscribed(&topic("plain"), None);
        trail.processed(&[next_offset()]);
        assert_eq!(trail.known().of(&topic("plain")), Some(&None));
        trail.forget(&topic("plain"));
        assert!(trail.known().of(&topic("plain")).is_none());
    }
}
