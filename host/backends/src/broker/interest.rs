//! The topics that this node listens to: those with subscribers here, and for a while those that had some.
//!
//! It keeps each topic's last count, which shows after a lost connection whether something was missed.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, timeout};

use super::follower::Follower;
use tidegate_core::flow::broker::{BrokerAway, Sending};
use tidegate_core::protocol::{Position, Topic};
use tidegate_core::telemetry;

/// How long a broker keeps a topic's count after its last publication.
pub(super) const COUNT_TTL: Duration = Duration::from_secs(3600);
/// Most subscribers that wait for one topic. Beyond that number one of them is released, and all of them check again.
const WAITERS_KEPT: usize = 64;

/// The topics.
pub(super) struct Interest {
    state: Mutex<State>,
    linger: Duration,
    /// Notified when there are topics to listen to.
    pub(super) wanted: Notify,
}

#[derive(Default)]
struct State {
    topics: HashMap<Topic, Entry>,
    /// Topics that no connection listens to yet; some may not be wanted any more.
    wanted: Vec<Topic>,
    /// Topics whose last subscriber left, each once, in the order in which they are to be checked.
    leaving: VecDeque<(Instant, Topic)>,
    /// Since when there has been no connection.
    lost_at: Option<Instant>,
}

struct Entry {
    is_heard: bool,
    /// Since when it has had no subscribers.
    left_at: Option<Instant>,
    /// Whether it is in `leaving`.
    is_leaving: bool,
    /// The highest count seen; `None` while this node has never listened to it.
    last: Option<u64>,
    /// When that was seen.
    last_at: Instant,
    /// Redis lost the counts since this node last listened: something may have been missed.
    owes_gap: bool,
    /// How far this node delivered what has positions.
    follower: Arc<Follower>,
    waiting: Vec<oneshot::Sender<()>>,
}

/// The topic of a received message, as this node knows it.
pub(super) struct Heard {
    pub(super) topic: Topic,
    /// A message before it was missed.
    pub(super) is_gap: bool,
}

impl Interest {
    /// No topics yet. A node listens to a topic for `linger` after its last subscriber left.
    pub(super) fn new(linger: Duration) -> Self {
        Self { state: Mutex::default(), linger, wanted: Notify::new() }
    }

    /// Called when a topic has its first subscriber.
    pub(super) fn subscribed(&self, topic: &Topic) {
        let mut state = self.state.lock();
        if let Some(entry) = state.topics.get_mut(topic) {
            entry.left_at = None;
            return;
        }
        let entry = Entry {
            is_heard: false,
            left_at: None,
            is_leaving: false,
            last: None,
            last_at: Instant::now(),
            owes_gap: false,
            follower: Arc::default(),
            waiting: Vec::new(),
        };
        state.topics.insert(topic.clone(), entry);
        state.wanted.push(topic.clone());
        drop(state);
        self.wanted.notify_one();
    }

    /// Called when a topic has no more subscribers.
    pub(super) fn unsubscribed(&self, topic: &Topic) {
        let mut state = self.state.lock();
        let now = Instant::now();
        let Some(entry) = state.topics.get_mut(topic) else { return };
        entry.left_at = Some(now);
        if !std::mem::replace(&mut entry.is_leaving, true) {
            state.leaving.push_back((now + self.linger, topic.clone()));
        }
    }

    /// The same as [`Interest::listening`], given up after this time.
    pub(super) fn listening_within(&self, topic: &Topic, within: Duration) -> Option<Sending> {
        let heard = self.listening(topic)?;
        let sending = async move {
            match timeout(within, heard).await {
                Ok(Ok(())) => Ok(()),
                Ok(Err(_)) | Err(_) => Err(BrokerAway),
            }
        };
        Some(sending.boxed())
    }

    /// Resolves when the node listens to a topic with subscribers; `None` if it does already.
    fn listening(&self, topic: &Topic) -> Option<oneshot::Receiver<()>> {
        let mut state = self.state.lock();
        let (sender, receiver) = oneshot::channel();
        // Without an entry there are no subscribers any more: the receiver fails.
        if let Some(entry) = state.topics.get_mut(topic) {
            if entry.is_heard {
                return None;
            }
            if entry.waiting.len() >= WAITERS_KEPT {
                entry.waiting.retain(|waiting| !waiting.is_closed());
            }
            entry.waiting.push(sender);
        }
        Some(receiver)
    }

    /// Takes at most `max` topics to listen to, each once. Topics for which the subscription failed come again after
    /// [`Interest::lost`].
    pub(super) fn take_wanted(&self, max: usize) -> Vec<Topic> {
        let mut state = self.state.lock();
        let mut taken = Vec::new();
        while taken.len() < max
            && let Some(topic) = state.wanted.pop()
        {
            if state.topics.get(&topic).is_some_and(|entry| !entry.is_heard) {
                taken.push(topic);
            }
        }
        taken
    }

    /// Called when the connection listens to these topics, with their counts in Redis. Returns the topics that missed
    /// something while it did not listen.
    pub(super) fn heard(&self, counts: impl IntoIterator<Item = (Topic, Option<u64>)>) -> Vec<Topic> {
        let mut state = self.state.lock();
        let now = Instant::now();
        let away = state.lost_at.map_or(Duration::ZERO, |at| now - at);
        let mut missed = Vec::new();
        for (topic, count) in counts {
            let Some(entry) = state.topics.get_mut(&topic) else { continue };
            let owed = std::mem::take(&mut entry.owes_gap);
            if owed || entry.last.is_some_and(|last| entry.has_missed(last, count, away, now)) {
                missed.push(topic);
            }
            entry.last = Some(entry.last.unwrap_or(0).max(count.unwrap_or(0)));
            entry.last_at = now;
            entry.is_heard = true;
            for waiting in entry.waiting.drain(..) {
                let _ = waiting.send(());
            }
        }
        telemetry::broker_topics(state.topics.len());
        missed
    }

    /// Called for each received message of a topic. `None` if the node does not listen to the topic any more.
    pub(super) fn counted(&self, topic: &str, before: u64, count: u64) -> Option<Heard> {
        let mut state = self.state.lock();
        let (topic, _) = state.topics.get_key_value(topic)?;
        let topic = topic.clone();
        let entry = state.topics.get_mut(&topic)?;
        let is_gap = match entry.last {
            // The count started again: nothing was missed while the node listened.
            Some(last) if before == 0 => !entry.is_heard && last != 0,
            Some(last) => before > last,
            None => false,
        };
        entry.last = Some(if before == 0 { count } else { entry.last.unwrap_or(0).max(count) });
        entry.last_at = Instant::now();
        Some(Heard { topic, is_gap })
    }

    /// The deliveries of a topic; `None` if the node does not listen to it any more.
    pub(super) fn follower(&self, topic: &str) -> Option<(Topic, Arc<Follower>)> {
        let state = self.state.lock();
        let (topic, entry) = state.topics.get_key_value(topic)?;
        Some((topic.clone(), Arc::clone(&entry.follower)))
    }

    /// Whether something with a position was delivered of a topic.
    pub(super) fn has_delivered(&self, topic: &Topic) -> bool {
        self.state.lock().topics.get(topic).is_some_and(|entry| entry.follower.has_delivered())
    }

    /// The deliveries of a topic, if the connection listens to it.
    fn follower_heard(&self, topic: &Topic) -> Option<Arc<Follower>> {
        self.state.lock().topics.get(topic).filter(|entry| entry.is_heard).map(|entry| Arc::clone(&entry.follower))
    }

    /// This node read a topic up to this position: whoever listens here to it needs nothing before.
    pub(super) fn follow_from(&self, topic: &Topic, position: &Position) {
        if let Some((_, follower)) = self.follower(topic.as_str()) {
            follower.starts_at(position);
        }
    }

    /// Waits until this node's subscribers have a publication of this node, so that an answer to whoever published comes
    /// behind it. Not for ever: the connection that hears it may be lost.
    pub(super) async fn hear_own(&self, topic: &Topic, position: &Position, within: Duration) {
        if let Some(follower) = self.follower_heard(topic) {
            let _ = timeout(within, follower.until(position)).await;
        }
    }

    /// Takes the topics without subscribers for long enough, and forgets them. Returns those that the connection
    /// listens to.
    pub(super) fn take_left(&self) -> Vec<Topic> {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        let now = Instant::now();
        let mut left = Vec::new();
        while state.leaving.front().is_some_and(|(at, _)| *at <= now) {
            let Some((_, topic)) = state.leaving.pop_front() else { break };
            let Some(entry) = state.topics.get_mut(&topic) else { continue };
            match entry.left_at {
                None => entry.is_leaving = false,
                Some(at) if at + self.linger > now => state.leaving.push_back((at + self.linger, topic)),
                Some(_) => {
                    let is_heard = entry.is_heard;
                    state.topics.remove(&topic);
                    if is_heard {
                        left.push(topic);
                    }
                }
            }
        }
        telemetry::broker_topics(state.topics.len());
        left
    }

    /// Called when the connection is lost: all topics are wanted again.
    pub(super) fn lost(&self) {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        state.lost_at.get_or_insert_with(Instant::now);
        state.wanted = state.topics.keys().cloned().collect();
        state.topics.values_mut().for_each(|entry| entry.is_heard = false);
    }

    /// Called when the next Redis is another one, or was restarted: earlier counts mean nothing.
    pub(super) fn forgot(&self) {
        for entry in self.state.lock().topics.values_mut() {
            entry.owes_gap |= entry.last.take().is_some();
        }
    }

    /// Called when all topics that were wanted are listened to again.
    pub(super) fn found(&self) {
        self.state.lock().lost_at = None;
    }

    /// Every topic, for when each of them may have missed something.
    pub(super) fn all(&self) -> Vec<Topic> {
        self.state.lock().topics.keys().cloned().collect()
    }
}

impl Entry {
    /// Whether a count shows that something was sent after `last`. A count that grew while its answer was on the way is
    /// not a miss. A count that is gone is not a miss if it had time to expire and the connection was not away that
    /// long.
    fn has_missed(&self, last: u64, count: Option<u64>, away: Duration, now: Instant) -> bool {
        match count {
            _ if away >= COUNT_TTL => true,
            Some(count) => count > last,
            None => last != 0 && now - self.last_at < COUNT_TTL,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINGER: Duration = Duration::from_secs(5);

    fn topic(name: &str) -> Topic {
        Topic::parse(name).unwrap()
    }

    /// An interest in one topic that was listened to when its count was this.
    fn listening_to(name: &str, count: Option<u64>) -> Interest {
        let interest = Interest::new(LINGER);
        interest.subscribed(&topic(name));
        assert_eq!(interest.take_wanted(8), [topic(name)]);
        assert_eq!(interest.heard([(topic(name), count)]), []);
        interest
    }

    /// The connection is lost, and back when the count is this.
    fn back_at(interest: &Interest, name: &str, count: Option<u64>, forgot: bool) -> Vec<Topic> {
        interest.lost();
        if forgot {
            interest.forgot();
        }
        assert_eq!(interest.take_wanted(8), [topic(name)]);
        let missed = interest.heard([(topic(name), count)]);
        interest.found();
        missed
    }

    #[tokio::test(start_paused = true)]
    async fn a_subscriber_waits_until_the_topic_is_heard_and_the_next_one_does_not() {
        let interest = Interest::new(LINGER);
        assert!(interest.listening(&topic("a")).unwrap().await.is_err(), "nobody is subscribed");
        interest.subscribed(&topic("a"));
        let waiting = interest.listening(&topic("a")).unwrap();
        assert_eq!(interest.take_wanted(8), [topic("a")]);
        assert_eq!(interest.take_wanted(8), []);
        interest.heard([(topic("a"), None)]);
        waiting.await.unwrap();
        assert!(interest.listening(&topic("a")).is_none());
        interest.lost();
        assert!(interest.listening(&topic("a")).is_some(), "it is not heard without a connection");
    }

    #[tokio::test(start_paused = true)]
    async fn a_topic_is_left_a_while_after_its_last_subscriber_and_not_when_one_came_back() {
        let interest = listening_to("a", None);
        interest.unsubscribed(&topic("a"));
        tokio::time::advance(LINGER / 2).await;
        interest.subscribed(&topic("a"));
        interest.unsubscribed(&topic("a"));
        tokio::time::advance(LINGER / 2).await;
        assert_eq!(interest.take_left(), [], "it was left again meanwhile");
        tokio::time::advance(LINGER / 2).await;
        assert_eq!(interest.take_left(), [topic("a")]);
        assert!(interest.counted("a", 1, 2).is_none());
        let interest = listening_to("a", None);
        interest.unsubscribed(&topic("a"));
        interest.subscribed(&topic("a"));
        tokio::time::advance(LINGER * 2).await;
        assert_eq!(interest.take_left(), []);
        assert!(interest.take_wanted(8).is_empty(), "the connection listens to it all the time");
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_lost_connection_exactly_the_topics_that_went_on_missed_something() {
        for (before, after, missed) in
            [(Some(7), Some(7), false), (Some(7), Some(8), true), (None, None, false), (None, Some(9), true)]
        {
            let interest = listening_to("a", before);
            assert_eq!(back_at(&interest, "a", after, false).len(), usize::from(missed), "{before:?} {after:?}");
            assert_eq!(back_at(&interest, "a", after, false), [], "told once");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_heard_before_the_connection_was_lost_was_not_missed() {
        let interest = listening_to("a", Some(7));
        assert!(!interest.counted("a", 7, 8).unwrap().is_gap);
        assert_eq!(back_at(&interest, "a", Some(8), false), []);
    }

    #[tokio::test(start_paused = true)]
    async fn a_redis_that_forgot_may_have_missed_something_of_every_topic() {
        let interest = listening_to("a", Some(7));
        assert_eq!(back_at(&interest, "a", Some(7), true), [topic("a")]);
        assert!(!interest.counted("a", 7, 8).unwrap().is_gap);
        let interest = listening_to("a", None);
        assert_eq!(back_at(&interest, "a", None, true), [topic("a")]);
        assert!(!interest.counted("a", 0, 100).unwrap().is_gap, "a count that begins anew misses nothing");
    }

    #[tokio::test(start_paused = true)]
    async fn a_count_that_is_gone_is_a_miss_unless_it_had_the_time_to_go() {
        let interest = listening_to("a", Some(7));
        assert_eq!(back_at(&interest, "a", None, false), [topic("a")]);
        let interest = listening_to("a", Some(7));
        tokio::time::advance(COUNT_TTL).await;
        assert_eq!(back_at(&interest, "a", None, false), []);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_was_away_longer_than_counts_are_kept_missed_something_everywhere() {
        let interest = listening_to("a", None);
        interest.lost();
        tokio::time::advance(COUNT_TTL).await;
        interest.take_wanted(8);
        assert_eq!(interest.heard([(topic("a"), None)]), [topic("a")]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_jump_in_the_count_is_a_gap_and_a_late_answer_is_none() {
        let interest = listening_to("a", Some(7));
        assert!(!interest.counted("a", 7, 8).unwrap().is_gap);
        assert!(interest.counted("a", 10, 11).unwrap().is_gap);
        assert!(!interest.counted("a", 11, 12).unwrap().is_gap);
        // Of two concurrent connections, the answer with the count may come before the counted message.
        let interest = listening_to("a", Some(8));
        assert!(!interest.counted("a", 7, 8).unwrap().is_gap);
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_topic_has_missed_nothing_even_when_redis_was_started_again() {
        let interest = Interest::new(LINGER);
        interest.subscribed(&topic("a"));
        interest.forgot();
        interest.take_wanted(8);
        assert_eq!(interest.heard([(topic("a"), Some(100))]), []);
        assert!(!interest.counted("a", 100, 101).unwrap().is_gap);
    }
}
