//! How far this node delivered what the broker numbered on one topic. What it did not hear it reads from the history,
//! before it goes on.

use parking_lot::Mutex;
use tokio::sync::Notify;

use tidegate_core::flow::ports::{Entry, Removed};
use tidegate_core::protocol::Position;

/// Most messages about values taken away that wait while the history is read.
const REMOVED_MAX: usize = 1000;

/// The deliveries of one topic on this node.
#[derive(Default)]
pub(super) struct Follower {
    /// Held while publications are delivered, so that they are in the order of their positions.
    state: Mutex<State>,
    /// Notified when more was delivered.
    moved: Notify,
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
    /// What was heard while the history was read: values that were taken away.
    removed: Vec<Removed>,
    /// How often values were taken away, as far as this node knows.
    removals: u64,
}

/// What is delivered after the history was read.
pub(super) enum Found {
    /// A publication.
    Entry(Entry),
    /// Values that were taken away.
    Removed(Removed),
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

impl State {
    /// Delivers what was taken away before the next position.
    fn tell_removed(&mut self, deliver: &mut impl FnMut(Found)) {
        let Some(delivered) = &self.delivered else { return };
        let is_due =
            |removed: &mut Removed| removed.after.epoch != delivered.epoch || removed.after.offset <= delivered.offset;
        self.removed.extract_if(.., is_due).for_each(|removed| deliver(Found::Removed(removed)));
    }
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
        self.reach(&mut state, position.clone());
        deliver();
        next
    }

    /// Everything up to this position is delivered, once `state` is unlocked.
    fn reach(&self, state: &mut State, position: Position) {
        state.delivered = Some(position);
        self.moved.notify_waiters();
    }

    /// Resolves when everything up to this position was delivered.
    pub(super) async fn until(&self, position: &Position) {
        let is_delivered = || self.state.lock().delivered.as_ref().is_some_and(|last| position.is_within(last));
        loop {
            let mut moved = std::pin::pin!(self.moved.notified());
            // From now on, so that no notification is missed between the look and the wait.
            moved.as_mut().enable();
            if is_delivered() {
                return;
            }
            moved.await;
        }
    }

    /// Whether a position was delivered, or is being read after.
    pub(super) fn has_delivered(&self) -> bool {
        self.state.lock().delivered.is_some()
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

    /// Delivers what was read, and what was taken away meanwhile at its place.
    pub(super) fn deliver(&self, entries: Vec<Entry>, mut deliver: impl FnMut(Found)) {
        let mut state = self.state.lock();
        for entry in entries {
            state.tell_removed(&mut deliver);
            self.reach(&mut state, entry.position.clone());
            deliver(Found::Entry(entry));
        }
        state.tell_removed(&mut deliver);
    }

    /// The history no longer has what was missed: goes on after this position.
    pub(super) fn skip_to(&self, newest: Position, mut deliver: impl FnMut(Found)) {
        let mut state = self.state.lock();
        self.reach(&mut state, newest);
        state.tell_removed(&mut deliver);
    }

    /// The node's subscribers know everything up to here, before anything was heard.
    pub(super) fn starts_at(&self, position: &Position) {
        let mut state = self.state.lock();
        if state.delivered.is_none() && !state.is_behind {
            self.reach(&mut state, position.clone());
        }
    }

    /// Takes the message that values were taken away, for the so manieth time: delivers it now, or at its place among
    /// what is read. `true`: an earlier such message was missed.
    pub(super) fn hear_removed(&self, removals: u64, removed: Removed, deliver: impl FnOnce(&Removed)) -> bool {
        let mut state = self.state.lock();
        let is_missed = removals > state.removals + 1 && state.removals > 0;
        state.removals = state.removals.max(removals);
        if state.is_behind && state.removed.len() < REMOVED_MAX {
            state.removed.push(removed);
            return is_missed;
        }
        if state.is_behind {
            return true;
        }
        deliver(&removed);
        is_missed
    }

    /// Whether values were taken away of which this node did not hear.
    pub(super) fn missed_removals(&self, removals: u64) -> bool {
        let mut state = self.state.lock();
        let is_missed = removals > state.removals;
        state.removals = state.removals.max(removals);
        is_missed
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
    use tidegate_core::protocol::{Key, Payload};

    fn at(text: &str) -> Position {
        Position::parse(text).unwrap()
    }

    fn entry(text: &str) -> Entry {
        Entry { position: at(text), payload: Payload::parse("1".to_owned()).unwrap(), except: None, trace: None }
    }

    fn offset(found: Found) -> Option<u64> {
        match found {
            Found::Entry(entry) => Some(entry.position.offset),
            Found::Removed(_) => None,
        }
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
        let mut deliver = |found: Found| delivered.extend(offset(found));
        follower.deliver(vec![entry("e:6"), entry("e:7"), entry("e:8")], &mut deliver);
        assert!(!follower.caught_up(), "9 was heard meanwhile");
        assert_eq!(follower.begin(), Some(at("e:8")));
        follower.deliver(vec![entry("e:9")], deliver);
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
        follower.skip_to(at("h:0"), drop);
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

    fn removed(after: &str) -> Removed {
        Removed { keys: vec![Key::none()], after: at(after) }
    }

    #[test]
    fn what_is_taken_away_while_the_history_is_read_is_told_at_its_place() {
        let follower = Follower::default();
        hear(&follower, &["e:5", "e:8"]);
        assert!(!follower.hear_removed(1, removed("e:6"), |_| panic!("6 is not delivered yet")));
        let mut told = Vec::new();
        let tell = |found: Found| told.push(offset(found));
        follower.deliver(vec![entry("e:6"), entry("e:7"), entry("e:8")], tell);
        assert_eq!(told, [Some(6), None, Some(7), Some(8)]);
        assert!(follower.caught_up() && !follower.missed_removals(1));
        let mut is_told = false;
        assert!(!follower.hear_removed(2, removed("e:8"), |_| is_told = true));
        assert!(is_told);
        assert!(follower.hear_removed(4, removed("e:8"), |_| ()), "the third was missed");
        assert!(follower.missed_removals(5), "and the fifth");
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
