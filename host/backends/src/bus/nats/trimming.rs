//! Messages that a stream dropped before they were read.

use super::consumer::Place;

/// Compares where a consumer is with what its stream still has.
///
/// A consumer that gets a batch and asks for the next one at once misses nothing while the stream keeps what was unread
/// before the batch; one that waits gets each message as it is written.
#[derive(Debug, Default)]
pub(super) struct Trimming {
    /// The first unread message when this was looked at last, unless the consumer has caught up since.
    unread: Option<u64>,
}

impl Trimming {
    /// A look when reading begins. Returns how many messages may be gone.
    pub(super) fn begin(&mut self, at: Place) -> u64 {
        self.unread = Some(at.unread.max(at.first));
        at.first.saturating_sub(at.unread)
    }

    /// A look after a full batch: there may be more. Returns how many messages may be gone.
    pub(super) fn behind(&mut self, at: Place) -> u64 {
        let before = self.unread.replace(at.unread.max(at.first));
        let gone = at.first.saturating_sub(at.unread);
        match before {
            // It dropped something that may have been read meanwhile, or not: nobody can tell.
            Some(before) if gone == 0 && at.first > before => 1,
            _ => gone,
        }
    }

    /// The last batch was not full.
    pub(super) fn caught_up(&mut self) {
        self.unread = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(unread: u64, first: u64) -> Place {
        Place { unread, first }
    }

    #[test]
    fn what_a_stream_dropped_before_it_was_read_is_counted_once() {
        let mut trimming = Trimming::default();
        assert_eq!(trimming.begin(at(6, 66)), 60);
        assert_eq!(trimming.behind(at(76, 66)), 0);
        assert_eq!(trimming.behind(at(86, 100)), 14);
        assert_eq!(trimming.behind(at(110, 100)), 0);
    }

    #[test]
    fn what_was_dropped_so_soon_that_it_may_have_been_read_counts_as_one() {
        let mut trimming = Trimming::default();
        assert_eq!(trimming.begin(at(1, 1)), 0);
        assert_eq!(trimming.behind(at(101, 51)), 1);
        assert_eq!(trimming.behind(at(201, 101)), 0);
    }

    #[test]
    fn a_consumer_that_waits_for_messages_misses_none_whatever_the_stream_drops() {
        let mut trimming = Trimming::default();
        assert_eq!(trimming.begin(at(1, 1)), 0);
        trimming.caught_up();
        assert_eq!(trimming.behind(at(1101, 1000)), 0);
    }
}
