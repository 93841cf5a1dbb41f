//! How far this node delivered what the broker numbered on one topic. What it did not hear it reads from the history,
//! before it goes on.

use parking_lot::Mutex;

use tidegate_core::flow::ports::Entry;
use tidegate_core::protocol::Position;

/// The deliveries of one topic on this node.
#[derive(Default)]
pub(super) struct Follower {
    /// Held while publications are delivered, so that they are in the order of their positions.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The last position that was delivered, or told as a gap; `None` while nothing was heard yet.
    delivered: Option<Position>,
    /// The last position that was heard while the history was read.
    heard: Option<Position>,
    /// Whether somebody reads the history and delivers from it: until then what is heard comes from there, too.
    is_behind: bool,
    /// The node listened again after the last read began: what it missed before may not be in that read.
    reads_again: bool,
}

/// What follows from hearing a publication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing: it was delivered, or will be.
    Nothing,
    /// The history has to be read after the last position.
    Read,
    /// The history was lost and began anew: something may have been missed.
    ToldAnew,
}

/// What follows from listening again after a lost connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Again {
    /// Nothing was heard yet: there is no position to read after.
    Nothing,
    /// The history has to be read after the last position.
    Read,
    /// The history is being read, and will be once more.
    IsRead,
}

impl Follower {
    /// Takes a publication that was heard: delivers it if it is the next one.
    pub(super) fn hear(&self, position: &Position, deliver: impl FnOnce()) -> Next {
        let mut state = self.state.lock();
        if state.is_behind {
            state.heard = Some(position.clone());
            return Next::Nothing;
        }
        let next = match &state.delivered {
            None => Next::Nothing,
            Some(delivered) if position.is_within(delivered) => return Next::Nothing,
            Some(delivered) if delivered.epoch == position.epoch && delivered.offset + 1 == position.offset => {
                Next::Nothing
            }
            // There was no publication yet when the history was read.
            Some(delivered) if delivered.offset == 0 && position.offset == 1 => Next::Nothing,
            Some(delivered) if delivered.epoch != position.epoch && position.offset == 1 => Next::ToldAnew,
            Some(_) => {
                (state.is_behind, state.heard) = (true, Some(position.clone()));
                return Next::Read;
            }
        };
        state.delivered = Some(position.clone());
        deliver();
        next
    }

    /// The node listens again after a lost connection: what follows from it.
    pub(super) fn listens_again(&self) -> Again {
        let mut state = self.state.lock();
        if state.is_behind {
            state.reads_again = true;
            return Again::IsRead;
        }
        if state.delivered.is_none() {
            return Again::Nothing;
        }
        state.is_behind = true;
        Again::Read
    }

    /// Begins a read of the history: the position to read after. What was heard until now is in the history.
    pub(super) fn begin(&self) -> Option<Position> {
        let mut state = self.state.lock();
        (state.heard, state.reads_again) = (None, false);
        state.delivered.clone()
    }

    /// Delivers what was read.
    pub(super) fn deliver(&self, entries: Vec<Entry>, mut deliver: impl FnMut(Entry)) {
        let mut state = self.state.lock();
        for entry in entries {
            state.delivered = Some(entry.position.clone());
            deliver(entry);
        }
    }

    /// The history no longer has what was missed: goes on after this position.
    pub(super) fn skip_to(&self, newest: Position) {
        self.state.lock().delivered = Some(newest);
    }

    /// After a read that went to the end: whether what was heard meanwhile is delivered. Then what is heard next is
    /// delivered at once again.
    pub(super) fn caught_up(&self) -> bool {
        let mut state = self.state.lock();
        let is_there = match (&state.heard, &state.delivered) {
            _ if state.reads_again => false,
            (Some(heard), Some(delivered)) => heard.is_within(delivered),
            (heard, _) => heard.is_none(),
        };
        if is_there {
            (state.is_behind, state.heard) = (false, None);
        }
        is_there
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_core::protocol::Payload;

    fn at(text: &str) -> Position {
        Position::parse(text).unwrap()
    }

    fn entry(text: &str) -> Entry {
        Entry { position: at(text), payload: Payload::parse("1".to_owned()).unwrap(), except: None }
    }

    /// Hears these, and says which were delivered at once and what followed from the last.
    fn hear(follower: &Follower, positions: &[&str]) -> (Vec<String>, Next) {
        let mut delivered = Vec::new();
        let mut next = Next::Nothing;
        for position in positions {
            next = follower.hear(&at(position), || delivered.push((*position).to_owned()));
        }
        (delivered, next)
    }

    #[test]
    fn what_follows_is_delivered_at_once_and_what_was_delivered_is_not_again() {
        let follower = Follower::default();
        let delivered = ["e:5", "e:6", "e:7"].map(str::to_owned).to_vec();
        assert_eq!(hear(&follower, &["e:5", "e:6", "e:6", "e:5", "e:7"]), (delivered, Next::Nothing));
    }

    #[test]
    fn a_hole_is_read_from_the_history_before_anything_after_it_is_delivered() {
        let follower = Follower::default();
        hear(&follower, &["e:5"]);
        assert_eq!(hear(&follower, &["e:8"]), (vec![], Next::Read));
        assert_eq!(follower.begin(), Some(at("e:5")));
        assert_eq!(hear(&follower, &["e:9"]), (vec![], Next::Nothing));
        let mut delivered = Vec::new();
        follower.deliver(vec![entry("e:6"), entry("e:7"), entry("e:8")], |entry| delivered.push(entry.position.offset));
        assert!(!follower.caught_up(), "9 was heard meanwhile");
        assert_eq!(follower.begin(), Some(at("e:8")));
        follower.deliver(vec![entry("e:9")], |entry| delivered.push(entry.position.offset));
        assert!(follower.caught_up());
        assert_eq!(delivered, [6, 7, 8, 9]);
        assert_eq!(hear(&follower, &["e:10"]).0, ["e:10"]);
    }

    #[test]
    fn a_history_that_began_anew_is_told() {
        let follower = Follower::default();
        hear(&follower, &["e:5"]);
        assert_eq!(hear(&follower, &["f:1"]), (vec!["f:1".to_owned()], Next::ToldAnew));
        assert_eq!(hear(&follower, &["g:3"]), (vec![], Next::Read));
        follower.begin();
        follower.skip_to(at("h:0"));
        assert!(follower.caught_up());
        assert_eq!(hear(&follower, &["i:1"]), (vec!["i:1".to_owned()], Next::Nothing));
    }

    #[test]
    fn a_node_that_listens_again_reads_what_it_may_have_missed_once() {
        let follower = Follower::default();
        assert_eq!(follower.listens_again(), Again::Nothing);
        hear(&follower, &["e:5"]);
        assert_eq!(follower.listens_again(), Again::Read);
        follower.begin();
        assert!(follower.caught_up());
        assert_eq!(hear(&follower, &["e:6"]).0, ["e:6"]);
    }

    #[test]
    fn a_node_that_loses_its_connection_while_it_reads_reads_once_more() {
        let follower = Follower::default();
        hear(&follower, &["e:5"]);
        follower.listens_again();
        follower.begin();
        assert_eq!(follower.listens_again(), Again::IsRead);
        assert!(!follower.caught_up(), "what was published before it listened again may not be in the read");
        follower.begin();
        assert!(follower.caught_up());
    }
}
