//! The history of topics, as a port: it gives every publication of a channel with `history` its position, keeps it, and
//! returns what a client missed.

use futures_util::future::BoxFuture;

use crate::channels::HistoryPolicy;
use crate::flow::Publication;
use crate::protocol::{ConnectionId, Epoch, Payload, Position, Topic, TraceContext, Unrecovered};

/// Bytes that a kept publication may take beside its payload, in memory and in an answer.
pub const ENTRY_BYTES: usize = 100;

/// Numbers and keeps the publications of channels with history.
pub trait History: Send + Sync + 'static {
    /// Gives a publication its position and keeps it. Publications of one topic get their positions in the order of
    /// these calls.
    ///
    /// With one node `deliver` is called before this returns, for one publication of a topic after the other, in the
    /// order of their positions. With several nodes it is not called: every node, this one included, receives the
    /// publication in that order through [`super::super::broker::HearsNodes`].
    fn append(&self, publication: &Publication, policy: HistoryPolicy, deliver: &mut dyn FnMut(Position)) -> Appended;

    /// Reads the history of a topic.
    fn read(
        &self,
        topic: &Topic,
        policy: HistoryPolicy,
        wanted: Wanted,
    ) -> BoxFuture<'static, Result<Page, HistoryAway>>;

    /// Remembers that retained values of a topic were taken away behind its newest publication.
    fn note_removed(&self, topic: &Topic, policy: HistoryPolicy);

    /// After a reload: topics that it does not name lose their history, and begin a new epoch if it comes back.
    fn keep_only(&self, is_kept: &dyn Fn(&Topic) -> bool);

    /// Removes publications that were kept for their time. Call it about once a minute.
    fn sweep(&self);
}

/// A publication that was handed to the history.
pub enum Appended {
    /// It has its position, and was delivered.
    At(Position),
    /// It is on its way.
    Sent(BoxFuture<'static, Result<Position, HistoryAway>>),
}

/// The history cannot be reached: nothing was numbered or read, or nobody knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the history cannot be reached")]
pub struct HistoryAway;

/// A part of a history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The oldest publications after this position; `None`: the newest of all.
    pub since: Option<Position>,
    /// The most publications.
    pub entries_max: usize,
    /// The most bytes, each payload counted with [`ENTRY_BYTES`] more; one publication is returned in any case.
    pub bytes_max: usize,
}

impl Wanted {
    /// Nothing but the position of the topic.
    #[must_use]
    pub const fn position() -> Self {
        Self { since: None, entries_max: 0, bytes_max: 0 }
    }

    /// Whether one more entry has room after these.
    #[must_use]
    pub const fn has_room(&self, entries: usize, bytes: usize, more_bytes: usize) -> bool {
        entries < self.entries_max && (entries == 0 || bytes + more_bytes <= self.bytes_max)
    }
}

/// What was read.
#[derive(Debug, Clone)]
pub struct Page {
    /// The publications, in order; or why those after a position cannot be had.
    pub entries: Result<Vec<Entry>, Unrecovered>,
    /// Whether there are more after them.
    pub more: bool,
    /// The newest position of the topic.
    pub newest: Position,
    /// The offset that followed when retained values were taken away last; 0 if they never were.
    pub removed_before: u64,
}

impl Page {
    /// Whether retained values were taken away after this position, or at it. The history does not hold removals.
    #[must_use]
    pub const fn hides_removed(&self, since: &Position) -> bool {
        self.entries.is_ok() && since.offset < self.removed_before
    }
}

/// A publication in a history.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its place.
    pub position: Position,
    /// Its payload.
    pub payload: Payload,
    /// The connection that it leaves out.
    pub except: Option<ConnectionId>,
    /// The place in a trace that receivers are told.
    pub trace: Option<TraceContext>,
}

/// What is left of a topic's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extent {
    /// Its epoch.
    pub epoch: Epoch,
    /// The newest offset; 0 if there was no publication.
    pub newest: u64,
    /// How many publications are kept, up to the newest.
    pub kept: u64,
    /// The highest offset that made room for others; 0 if there is none. What is gone beyond it, time took.
    pub displaced: u64,
}

impl Extent {
    /// How many publications follow a position, all of them kept.
    ///
    /// # Errors
    /// Why they cannot be had.
    pub fn missed_since(&self, since: &Position) -> Result<u64, Unrecovered> {
        if since.epoch != self.epoch || since.offset > self.newest {
            return Err(Unrecovered::EpochChanged);
        }
        let missed = self.newest - since.offset;
        if missed <= self.kept {
            return Ok(missed);
        }
        Err(if since.offset < self.displaced { Unrecovered::TooMany } else { Unrecovered::Expired })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn since(epoch: &str, offset: u64) -> Position {
        Position { epoch: Epoch::parse(epoch).unwrap(), offset }
    }

    #[test]
    fn what_is_gone_is_told_by_its_reason() {
        // 1 and 2 made room, 3 expired, 4 to 6 are kept.
        let extent = Extent { epoch: Epoch::parse("e").unwrap(), newest: 6, kept: 3, displaced: 2 };
        for (offset, expected) in [
            (0, Err(Unrecovered::TooMany)),
            (1, Err(Unrecovered::TooMany)),
            (2, Err(Unrecovered::Expired)),
            (3, Ok(3)),
            (5, Ok(1)),
            (6, Ok(0)),
            (7, Err(Unrecovered::EpochChanged)),
        ] {
            assert_eq!(extent.missed_since(&since("e", offset)), expected, "{offset}");
        }
        assert_eq!(extent.missed_since(&since("f", 6)), Err(Unrecovered::EpochChanged));
    }
}
