//! Which events a client with recovery has processed, by its own word: it keeps the offset of the last one, and answers a
//! ping after it has processed what was written before it. Pure: no socket, no clock.

use std::collections::VecDeque;
use std::fmt;

/// The place of an event. Clients with recovery keep its text, and bring back the one of the last event. What lines there
/// are, and how they count, is for the application.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Offset {
    /// The line of events that this one belongs to.
    pub line: u64,
    /// Its number in that line.
    pub at: u64,
}

impl Offset {
    /// Reads the text that a client brings back; `None` if it never was the text of an offset.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (line, at) = text.split_once('.')?;
        let number = |text| u64::from_str_radix(text, 16).ok();
        Some(Self { line: number(line)?, at: number(at)? })
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}.{:x}", self.line, self.at)
    }
}

/// The offsets of the events that were written to one client and that it has not answered for. They are no more than what
/// a window holds.
#[derive(Debug)]
pub(crate) struct Offsets {
    written: VecDeque<Offset>,
    /// For each ping without an answer: how many events were written before it, since the ping before it.
    pings: VecDeque<usize>,
    since_ping: usize,
}

impl Offsets {
    /// Nothing is written, and so many pings have no answer.
    pub(crate) fn new(pings: usize) -> Self {
        Self { written: VecDeque::new(), pings: std::iter::repeat_n(0, pings).collect(), since_ping: 0 }
    }

    /// An event goes out.
    pub(crate) fn wrote(&mut self, offset: Option<Offset>) {
        if let Some(offset) = offset {
            self.written.push_back(offset);
            self.since_ping += 1;
        }
    }

    /// A ping goes out.
    pub(crate) fn pinged(&mut self) {
        self.pings.push_back(std::mem::take(&mut self.since_ping));
    }

    /// The client answered a ping. Returns the events that it has processed, in the order in which they were written.
    pub(crate) fn ponged(&mut self) -> Vec<Offset> {
        let count = self.pings.pop_front().unwrap_or_default();
        let processed = self.written.drain(..count.min(self.written.len())).collect();
        self.written.shrink_to(2 * self.written.len());
        processed
    }

    /// The client has processed all that was written.
    pub(crate) fn took_all(&mut self) -> Vec<Offset> {
        self.pings.iter_mut().for_each(|count| *count = 0);
        self.since_ping = 0;
        std::mem::take(&mut self.written).into()
    }

    /// The events that the client may or may not have processed, in the order in which they were written.
    pub(crate) fn unanswered(&self) -> Vec<Offset> {
        self.written.iter().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offsets(at: impl IntoIterator<Item = u64>) -> Vec<Offset> {
        at.into_iter().map(|at| Offset { line: 7, at }).collect()
    }

    fn write(written: &mut Offsets, at: u64) {
        written.wrote(Some(Offset { line: 7, at }));
    }

    #[test]
    fn an_offset_is_read_from_the_text_that_a_client_keeps_and_from_no_other() {
        let offset = Offset { line: u64::MAX, at: 31 };
        assert_eq!(offset.to_string(), "ffffffffffffffff.1f");
        assert_eq!(Offset::parse("ffffffffffffffff.1f"), Some(offset));
        for other in ["", "hello there", "1", ".", "1.", "1.2.3", "g.1", "1ffffffffffffffff.0"] {
            assert_eq!(Offset::parse(other), None, "{other}");
        }
    }

    #[test]
    fn the_answer_to_a_ping_says_that_the_events_before_it_are_processed() {
        let mut written = Offsets::new(0);
        write(&mut written, 1);
        write(&mut written, 2);
        written.pinged();
        write(&mut written, 3);
        written.wrote(None);
        written.pinged();
        write(&mut written, 4);
        assert_eq!(written.ponged(), offsets([1, 2]));
        assert_eq!(written.unanswered(), offsets([3, 4]));
        assert_eq!(written.ponged(), offsets([3]));
        assert_eq!(written.ponged(), offsets([]), "an answer that nobody asked for says nothing");
        assert_eq!(written.unanswered(), offsets([4]));
    }

    #[test]
    fn a_ping_from_before_the_first_event_says_nothing_of_it() {
        let mut written = Offsets::new(1);
        write(&mut written, 1);
        written.pinged();
        assert_eq!(written.ponged(), offsets([]));
        assert_eq!(written.ponged(), offsets([1]));
    }

    #[test]
    fn a_client_that_polls_again_has_processed_all() {
        let mut written = Offsets::new(0);
        write(&mut written, 1);
        written.pinged();
        write(&mut written, 2);
        assert_eq!(written.took_all(), offsets([1, 2]));
        write(&mut written, 3);
        assert_eq!(written.ponged(), offsets([]), "the ping was before it");
        assert_eq!(written.unanswered(), offsets([3]));
    }
}
