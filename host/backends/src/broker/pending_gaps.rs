//! The publications that other nodes may not have received, and will be told of.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use tidegate_core::protocol::Topic;

/// Most topics whose gaps are sent one by one; with more, every topic gets a gap.
const PENDING_GAPS_MAX: usize = 10_000;

/// The topics with publications that the broker may not have accepted: their subscribers on other nodes receive a
/// gap as soon as it accepts messages again.
#[derive(Default)]
pub(super) struct PendingGaps {
    topics: Mutex<HashSet<Topic>>,
    every_topic: AtomicBool,
}

impl PendingGaps {
    /// A publication of this topic was not sent.
    pub(super) fn add(&self, topic: Topic) {
        let mut topics = self.topics.lock();
        if topics.len() < PENDING_GAPS_MAX {
            topics.insert(topic);
        } else if !topics.contains(&topic) {
            self.every_topic.store(true, Ordering::Release);
        }
    }

    /// Whether nothing is owed.
    pub(super) fn is_empty(&self) -> bool {
        self.topics.lock().is_empty() && !self.every_topic.load(Ordering::Acquire)
    }

    /// The gaps to send: for some topics, or for all of them.
    pub(super) fn take(&self) -> (Vec<Topic>, bool) {
        let topics = std::mem::take(&mut *self.topics.lock()).into_iter().collect();
        (topics, self.every_topic.swap(false, Ordering::AcqRel))
    }

    /// What could not be sent is owed again.
    pub(super) fn put_back(&self, (topics, every_topic): (Vec<Topic>, bool)) {
        topics.into_iter().for_each(|topic| self.add(topic));
        self.every_topic.fetch_or(every_topic, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(number: usize) -> Topic {
        Topic::parse(&format!("feed.{number}")).unwrap()
    }

    #[test]
    fn a_topic_is_owed_once_and_too_many_are_owed_as_all() {
        let gaps = PendingGaps::default();
        gaps.add(topic(1));
        gaps.add(topic(1));
        assert_eq!(gaps.take(), (vec![topic(1)], false));
        assert_eq!(gaps.take(), (Vec::new(), false));
        (0..=PENDING_GAPS_MAX).for_each(|number| gaps.add(topic(number)));
        let all = gaps.take();
        assert_eq!((all.0.len(), all.1), (PENDING_GAPS_MAX, true));
        gaps.put_back(all);
        let again = gaps.take();
        assert_eq!((again.0.len(), again.1), (PENDING_GAPS_MAX, true));
    }
}
