//! Dead letters in memory: a ring, the oldest goes for the newest.

use std::collections::VecDeque;

use parking_lot::Mutex;

use crate::flow::DeadLetter;
use crate::flow::ports::DeadLetters;
use crate::telemetry;

/// Keeps at most `max` letters; they end with the process.
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

impl DeadLetters for MemoryDeadLetters {
    fn bury(&self, letter: DeadLetter) {
        let mut letters = self.letters.lock();
        // Under the lock: whoever lists the letters after the event finds this one.
        telemetry::dead_letter(&letter.id, &letter.rule.on, &letter.rule.to, &letter.reason);
        letters.push_back(letter);
        if letters.len() > self.max {
            letters.pop_front();
            telemetry::dead_letter_dropped();
        }
        telemetry::dead_letters(letters.len());
    }

    fn list(&self) -> Vec<DeadLetter> {
        self.letters.lock().iter().rev().cloned().collect()
    }

    fn take(&self, id: &str) -> Option<DeadLetter> {
        let mut letters = self.letters.lock();
        let at = letters.iter().position(|letter| letter.id == id)?;
        let letter = letters.remove(at);
        telemetry::dead_letters(letters.len());
        letter
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::channels::RuleId;
    use crate::protocol::BusEvent;

    fn letter(id: &str) -> DeadLetter {
        DeadLetter {
            id: id.to_owned(),
            rule: RuleId { on: "a.*".to_owned(), to: "b".to_owned(), revokes: false },
            reason: "for the test".to_owned(),
            at_unix_s: 0,
            event: BusEvent::new(id.to_owned(), "/test".to_owned(), "a.b".to_owned(), json!(null)),
        }
    }

    fn ids(letters: &MemoryDeadLetters) -> Vec<String> {
        letters.list().into_iter().map(|letter| letter.id).collect()
    }

    #[test]
    fn letters_are_listed_newest_first_and_the_oldest_goes_when_there_is_no_room() {
        let letters = MemoryDeadLetters::new(2);
        for id in ["1", "2", "3"] {
            letters.bury(letter(id));
        }
        assert_eq!(ids(&letters), ["3", "2"]);
    }

    #[test]
    fn a_letter_is_taken_once() {
        let letters = MemoryDeadLetters::new(8);
        letters.bury(letter("1"));
        letters.bury(letter("2"));
        assert_eq!(letters.take("1").map(|letter| letter.id).as_deref(), Some("1"));
        assert!(letters.take("1").is_none());
        assert_eq!(ids(&letters), ["2"]);
    }

    #[test]
    fn a_ring_of_none_keeps_none() {
        let letters = MemoryDeadLetters::new(0);
        letters.bury(letter("1"));
        assert!(ids(&letters).is_empty());
    }
}
