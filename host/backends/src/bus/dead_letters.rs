//! Dead letters in memory: a ring, in which the newest replaces the oldest.

use std::collections::VecDeque;

use async_trait::async_trait;
use parking_lot::Mutex;

use tidegate_core::flow::DeadLetter;
use tidegate_core::flow::ports::{DeadLetters, Letters, LettersAway};
use tidegate_core::telemetry;

/// Keeps at most `max` letters. They are lost when the process ends.
#[derive(Debug)]
pub struct MemoryDeadLetters {
    letters: Mutex<VecDeque<DeadLetter>>,
    max: usize,
}

impl MemoryDeadLetters {
    /// An empty ring of at most `max` letters (`limits.dead_letters`); with 0 every letter is counted and dropped.
    #[must_use]
    pub const fn new(max: usize) -> Self {
        Self { letters: Mutex::new(VecDeque::new()), max }
    }
}

#[async_trait]
impl DeadLetters for MemoryDeadLetters {
    fn add(&self, letter: DeadLetter) {
        let mut letters = self.letters.lock();
        // Under the lock: whoever lists the letters after seeing the log event finds this one.
        telemetry::dead_letter(&letter.id, &letter.rule.on, &letter.rule.to, &letter.reason);
        let share = letter.share.clone();
        letters.push_back(letter);
        if let Some(share) = share {
            let (kept, replaced) = share.make_room(&mut letters);
            share.note(kept, replaced);
            (0..replaced).for_each(|_| telemetry::dead_letter_dropped());
        }
        if letters.len() > self.max {
            letters.pop_front();
            telemetry::dead_letter_dropped();
        }
        telemetry::dead_letters(letters.len());
    }

    async fn flush(&self) {}

    async fn before(&self, id: Option<&str>, limit: usize) -> Letters {
        let letters = self.letters.lock();
        // Ids grow with the time.
        let is_before = |letter: &&DeadLetter| id.is_none_or(|id| letter.id.as_str() < id);
        let newest = letters.iter().rev().filter(is_before).take(limit).cloned().collect();
        Letters { letters: newest, kept: letters.len(), complete: true }
    }

    async fn find(&self, id: &str) -> Result<Option<DeadLetter>, LettersAway> {
        Ok(self.letters.lock().iter().find(|letter| letter.id == id).cloned())
    }

    async fn take(&self, id: &str) -> Result<Option<DeadLetter>, LettersAway> {
        let mut letters = self.letters.lock();
        let at = letters.iter().position(|letter| letter.id == id);
        let letter = at.and_then(|at| letters.remove(at));
        telemetry::dead_letters(letters.len());
        Ok(letter)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use tidegate_core::channels::RuleId;
    use tidegate_core::protocol::BusEvent;

    fn letter(id: &str) -> DeadLetter {
        DeadLetter {
            id: id.to_owned(),
            rule: RuleId {
                on: "a.*".to_owned(),
                to: "b".to_owned(),
                revokes: false,
                ends_sessions: false,
                removes: false,
            },
            reason: "for the test".to_owned(),
            at_unix_s: 0,
            event: BusEvent::new(id.to_owned(), "/test".to_owned(), "a.b".to_owned(), json!(null)),
            share: None,
        }
    }

    async fn ids(letters: &MemoryDeadLetters) -> Vec<String> {
        letters.newest(9).await.letters.into_iter().map(|letter| letter.id).collect()
    }

    #[tokio::test]
    async fn letters_are_listed_newest_first_and_the_oldest_goes_when_there_is_no_room() {
        let letters = MemoryDeadLetters::new(2);
        for id in ["1", "2", "3"] {
            letters.add(letter(id));
        }
        assert_eq!(ids(&letters).await, ["3", "2"]);
        let before: Vec<_> = letters.before(Some("3"), 9).await.letters.into_iter().map(|letter| letter.id).collect();
        assert_eq!(before, ["2"]);
    }

    #[tokio::test]
    async fn a_letter_is_taken_once() {
        let letters = MemoryDeadLetters::new(8);
        letters.add(letter("1"));
        letters.add(letter("2"));
        assert_eq!(letters.take("1").await.unwrap().map(|letter| letter.id).as_deref(), Some("1"));
        assert!(letters.take("1").await.unwrap().is_none());
        assert_eq!(ids(&letters).await, ["2"]);
    }

    #[tokio::test]
    async fn a_ring_of_none_keeps_none() {
        let letters = MemoryDeadLetters::new(0);
        letters.add(letter("1"));
        assert!(ids(&letters).await.is_empty());
    }
}
