//! Ignores duplicate bus events, by `source` and `id`: it remembers the events of the last while, as many as fit.
//!
//! Sources deliver at least once, and the same event may come from two sources. An event counts as taken once it has
//! its place: on the queue, or on its way across the bridge, where it ends as a publication or as a dead letter. Until
//! then a second copy is taken, too, so that nothing is lost if the first copy was refused.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::protocol::BusEvent;
use crate::telemetry;

/// The fingerprint of an event: 128 bits with keys of this process, so that nobody can construct two events with the
/// same one.
type Print = (u64, u64);

/// The events that were taken last.
pub(super) struct Taken {
    keys: (RandomState, RandomState),
    window: Duration,
    events_max: usize,
    remembered: Mutex<Remembered>,
}

#[derive(Default)]
struct Remembered {
    /// Each fingerprint with its number in the order.
    prints: HashMap<Print, u64>,
    /// The oldest comes first. An event that was given back stays here until its time ends.
    order: VecDeque<(Print, u64, Instant)>,
    next: u64,
}

impl Taken {
    /// Remembers at most `events_max` events, each for `window`; 0 remembers none.
    pub(super) fn new(events_max: usize, window: Duration) -> Self {
        let keys = (RandomState::new(), RandomState::new());
        Self { keys, window, events_max, remembered: Mutex::default() }
    }

    /// Whether to take an event; from now on it is remembered. `false` if it is a duplicate.
    pub(super) fn take(&self, event: &BusEvent) -> bool {
        let print = self.print(event);
        let mut remembered = self.remembered.lock();
        self.forget(&mut remembered);
        if remembered.prints.contains_key(&print) {
            return false;
        }
        self.remember(&mut remembered, print);
        true
    }

    /// Forgets an event that found no place after all.
    pub(super) fn give_back(&self, event: &BusEvent) {
        self.remembered.lock().prints.remove(&self.print(event));
    }

    /// Passes the events that are not duplicates to `put`, each once, and remembers them only if `put` succeeds. `put`
    /// runs under a lock: no other caller can ignore an event as a duplicate that `put` is about to refuse.
    pub(super) fn take_all<T, E>(
        &self,
        mut events: Vec<BusEvent>,
        put: impl FnOnce(Vec<BusEvent>) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut remembered = self.remembered.lock();
        self.forget(&mut remembered);
        let mut fresh = HashSet::with_capacity(events.len());
        events.retain(|event| {
            let print = self.print(event);
            // If the server remembers no events, it does not look for duplicates within a batch either.
            !remembered.prints.contains_key(&print) && (fresh.insert(print) || self.events_max == 0)
        });
        let put = put(events)?;
        for print in fresh {
            self.remember(&mut remembered, print);
        }
        Ok(put)
    }

    fn print(&self, event: &BusEvent) -> Print {
        let known_by = (&event.source, &event.id);
        (self.keys.0.hash_one(known_by), self.keys.1.hash_one(known_by))
    }

    fn remember(&self, remembered: &mut Remembered, print: Print) {
        if self.events_max == 0 {
            return;
        }
        let number = remembered.next;
        remembered.next += 1;
        remembered.prints.insert(print, number);
        remembered.order.push_back((print, number, Instant::now()));
        if remembered.order.len() > self.events_max {
            remembered.drop_oldest();
        }
        telemetry::bus_remembered(remembered.prints.len());
    }

    fn forget(&self, remembered: &mut Remembered) {
        while remembered.order.front().is_some_and(|(_, _, at)| at.elapsed() >= self.window) {
            remembered.drop_oldest();
        }
    }
}

impl Remembered {
    fn drop_oldest(&mut self) {
        let Some((print, number, _)) = self.order.pop_front() else { return };
        // An event that was given back and taken again has a later place.
        if self.prints.get(&print) == Some(&number) {
            self.prints.remove(&print);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(source: &str, id: &str) -> BusEvent {
        BusEvent::new(id.to_owned(), source.to_owned(), "a.b".to_owned(), json!(null))
    }

    const WINDOW: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn an_event_is_taken_once_within_the_window_and_again_after_it() {
        let taken = Taken::new(10, WINDOW);
        assert!(taken.take(&event("/a", "1")));
        assert!(!taken.take(&event("/a", "1")));
        assert!(taken.take(&event("/a", "2")));
        assert!(taken.take(&event("/b", "1")));
        // Source and id must not run into each other.
        assert!(taken.take(&event("/", "a1")));
        tokio::time::advance(WINDOW).await;
        assert!(taken.take(&event("/a", "1")));
    }

    #[test]
    fn the_oldest_is_forgotten_when_there_is_no_room() {
        let taken = Taken::new(2, WINDOW);
        for id in ["1", "2", "3"] {
            assert!(taken.take(&event("/a", id)));
        }
        assert!(!taken.take(&event("/a", "2")));
        assert!(taken.take(&event("/a", "1")));
    }

    #[test]
    fn what_found_no_place_is_no_duplicate() {
        let taken = Taken::new(10, WINDOW);
        let events = || vec![event("/a", "1"), event("/a", "2"), event("/a", "1")];
        assert_eq!(taken.take_all(events(), |fresh| Err::<(), _>(fresh.len())), Err(2));
        assert_eq!(taken.take_all(events(), |fresh| Ok::<_, ()>(fresh.len())), Ok(2));
        assert_eq!(taken.take_all(events(), |fresh| Ok::<_, ()>(fresh.len())), Ok(0));
        assert!(taken.take(&event("/a", "3")));
        taken.give_back(&event("/a", "3"));
        assert!(taken.take(&event("/a", "3")));
    }

    #[test]
    fn with_room_for_none_every_event_is_taken() {
        let taken = Taken::new(0, WINDOW);
        assert!(taken.take(&event("/a", "1")) && taken.take(&event("/a", "1")));
        let twice = vec![event("/a", "1"), event("/a", "1")];
        assert_eq!(taken.take_all(twice, |fresh| Ok::<_, ()>(fresh.len())), Ok(2));
    }
}
