//! The publications that wait for one client while it subscribes: they come after the ack of the subscription, and without
//! those that the ack holds.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::{Mutex, MutexGuard};

use crate::protocol::{Position, Topic};

/// What waits for one client, by topic. `F` is what the transport sends.
pub struct Held<F> {
    by_topic: Mutex<HashMap<Topic, State<F>>>,
    /// How many topics are held back.
    holding: AtomicUsize,
    bytes_max: usize,
}

enum State<F> {
    /// The client subscribes: everything waits.
    Holding(Waiting<F>),
    /// The client reads the history itself: what has a position does not come this way.
    Reading,
    /// The ack held everything up to this position.
    Past(Position),
}

/// Which frames of those that wait another one replaces.
#[derive(Debug, Clone, Copy)]
pub enum Turn<'a> {
    /// None.
    InOrder,
    /// The one with this key.
    Newest(&'a Arc<str>),
    /// None, and what comes later with this key does not replace what waits before this frame.
    Ends(&'a Arc<str>),
}

/// What waits on one topic. Of the frames with the same key only the newest waits.
struct Waiting<F> {
    frames: Vec<HeldFrame<F>>,
    /// Where the frame of each key is.
    by_key: HashMap<Arc<str>, usize>,
    bytes: usize,
}

struct HeldFrame<F> {
    position: Option<Position>,
    bytes: usize,
    frame: F,
}

/// What became of a frame that is to wait.
enum Put {
    Waits,
    Replaces,
    Full,
}

impl<F> Waiting<F> {
    fn new() -> Self {
        Self { frames: Vec::new(), by_key: HashMap::new(), bytes: 0 }
    }

    /// Puts a frame behind the others, or in the place of the one with its key.
    fn put(&mut self, turn: Turn<'_>, frame: HeldFrame<F>, bytes_max: usize) -> Put {
        let place = match turn {
            Turn::Newest(key) => self.by_key.get(key).and_then(|&at| self.frames.get_mut(at)),
            Turn::InOrder | Turn::Ends(_) => None,
        };
        let others = self.bytes - place.as_ref().map_or(0, |older| older.bytes);
        if others + frame.bytes > bytes_max {
            return Put::Full;
        }
        self.bytes = others + frame.bytes;
        if let Some(older) = place {
            *older = frame;
            return Put::Replaces;
        }
        match turn {
            Turn::InOrder => None,
            Turn::Newest(key) => self.by_key.insert(Arc::clone(key), self.frames.len()),
            Turn::Ends(key) => self.by_key.remove(key),
        };
        self.frames.push(frame);
        Put::Waits
    }
}

/// What happens with a frame for the client.
pub enum Verdict<'a, F> {
    /// It is sent now, while this lives.
    Send(Option<HeldGuard<'a, F>>),
    /// It waits, or the client has it from the ack.
    Done,
    /// It waits in the place of an older one with its key, which the client will not receive.
    Replaces,
    /// More waits than there is room for.
    Full,
}

/// While it lives, no other frame is judged.
pub struct HeldGuard<'a, F>(#[expect(dead_code, reason = "a lock")] MutexGuard<'a, HashMap<Topic, State<F>>>);

impl<F> Held<F> {
    /// Nothing waits yet, and so many bytes may.
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        Self { by_topic: Mutex::default(), holding: AtomicUsize::new(0), bytes_max }
    }

    /// Whether frames of any topic wait.
    #[must_use]
    pub fn is_holding(&self) -> bool {
        self.holding.load(Ordering::Acquire) > 0
    }

    /// From now on the frames of this topic wait.
    pub fn hold(&self, topic: &Topic) {
        let mut by_topic = self.by_topic.lock();
        if !matches!(by_topic.get(topic), Some(State::Holding(_))) {
            by_topic.insert(topic.clone(), State::Holding(Waiting::new()));
            self.holding.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// The client left the topic: nothing waits any more.
    pub fn forget(&self, topic: &Topic) {
        if let Some(State::Holding(_)) = self.by_topic.lock().remove(topic) {
            self.holding.fetch_sub(1, Ordering::AcqRel);
        }
    }

    /// While it lives, all frames of a topic may be sent; `None` if something of the topic waits, or came with an ack: then
    /// each frame is judged.
    pub fn let_through(&self, topic: &Topic) -> Option<HeldGuard<'_, F>> {
        let by_topic = self.by_topic.lock();
        (!by_topic.contains_key(topic)).then(|| HeldGuard(by_topic))
    }

    /// Judges a frame of a topic, of so many bytes. Frames without a position cost no lock while nothing is held back.
    pub fn judge(
        &self,
        topic: &Topic,
        position: Option<&Position>,
        turn: Turn<'_>,
        bytes: usize,
        frame: impl FnOnce() -> F,
    ) -> Verdict<'_, F> {
        if position.is_none() && self.holding.load(Ordering::Acquire) == 0 {
            return Verdict::Send(None);
        }
        let mut by_topic = self.by_topic.lock();
        let is_over = match (by_topic.get_mut(topic), position) {
            (Some(State::Holding(waiting)), position) => {
                let frame = HeldFrame { position: position.cloned(), bytes, frame: frame() };
                return match waiting.put(turn, frame, self.bytes_max) {
                    Put::Waits => Verdict::Done,
                    Put::Replaces => Verdict::Replaces,
                    Put::Full => Verdict::Full,
                };
            }
            (Some(State::Reading), Some(_)) => return Verdict::Done,
            (Some(State::Past(past)), Some(position)) if position.is_within(past) => return Verdict::Done,
            (Some(State::Past(_)), Some(_)) => true,
            (Some(State::Past(_) | State::Reading) | None, _) => false,
        };
        if is_over {
            by_topic.remove(topic);
        }
        Verdict::Send(Some(HeldGuard(by_topic)))
    }

    /// Ends the wait otherwise: the client reads the history itself, which has every frame with a position. The others are
    /// sent. It waits again by [`Held::hold`], to read the last of the history.
    pub fn read_on(&self, topic: &Topic, mut send: impl FnMut(&F)) {
        let mut by_topic = self.by_topic.lock();
        let Some(State::Holding(Waiting { frames, .. })) = by_topic.remove(topic) else { return };
        self.holding.fetch_sub(1, Ordering::AcqRel);
        frames.iter().filter(|held| held.position.is_none()).for_each(|held| send(&held.frame));
        by_topic.insert(topic.clone(), State::Reading);
    }

    /// Ends the wait: sends what waits and comes after `past`, what the ack held. Until `send` has had all of it, no other
    /// frame is sent.
    pub fn resume(&self, topic: &Topic, past: Option<&Position>, mut send: impl FnMut(&F)) {
        let mut by_topic = self.by_topic.lock();
        let Some(State::Holding(Waiting { frames, .. })) = by_topic.remove(topic) else { return };
        self.holding.fetch_sub(1, Ordering::AcqRel);
        let is_past = |held: &&HeldFrame<F>| {
            held.position.as_ref().zip(past).is_some_and(|(position, past)| position.is_within(past))
        };
        let mut is_over = past.is_none();
        for HeldFrame { position, frame, .. } in frames.iter().filter(|held| !is_past(held)) {
            is_over |= position.is_some();
            send(frame);
        }
        if let Some(past) = past.filter(|_| !is_over) {
            by_topic.insert(topic.clone(), State::Past(past.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Epoch;

    fn topic(name: &str) -> Topic {
        Topic::parse(name).unwrap()
    }

    fn at(offset: u64) -> Position {
        Position { epoch: Epoch::parse("e").unwrap(), offset }
    }

    /// What a client receives of a topic.
    struct Client {
        held: Held<u64>,
        received: Vec<u64>,
    }

    impl Client {
        fn new() -> Self {
            Self { held: Held::new(30), received: Vec::new() }
        }

        fn is_full_after(&mut self, name: &str, offset: u64) -> bool {
            match self.held.judge(&topic(name), Some(&at(offset)), Turn::InOrder, 10, || offset) {
                Verdict::Send(_guard) => self.received.push(offset),
                Verdict::Done | Verdict::Replaces => {}
                Verdict::Full => return true,
            }
            false
        }

        /// A frame of a channel of which only the newest of a key waits.
        fn replaces(&mut self, key: &str, number: u64) -> bool {
            matches!(self.held.judge(&topic("a"), None, Turn::Newest(&key.into()), 10, || number), Verdict::Replaces)
        }

        fn resume(&mut self, past: Option<u64>) {
            let Self { held, received } = self;
            held.resume(&topic("a"), past.map(at).as_ref(), |frame| received.push(*frame));
        }
    }

    #[test]
    fn what_is_published_while_a_client_subscribes_comes_after_the_ack_and_once() {
        let mut client = Client::new();
        client.held.hold(&topic("a"));
        assert!(!client.is_full_after("a", 3) && !client.is_full_after("a", 4) && !client.is_full_after("b", 1));
        assert_eq!(client.received, [1], "another topic does not wait");
        client.resume(Some(3));
        assert_eq!(client.received, [1, 4]);
        assert!(!client.is_full_after("a", 5));
        assert_eq!(client.received, [1, 4, 5]);
    }

    #[test]
    fn a_topic_of_which_nothing_waits_lets_everything_through_and_another_one_does_not() {
        let mut client = Client::new();
        client.held.hold(&topic("a"));
        assert!(client.held.let_through(&topic("a")).is_none() && client.held.let_through(&topic("b")).is_some());
        client.resume(Some(3));
        assert!(client.held.let_through(&topic("a")).is_none(), "what the ack held may still come");
        client.is_full_after("a", 4);
        assert!(client.held.let_through(&topic("a")).is_some());
    }

    #[test]
    fn of_each_key_only_the_newest_waits_so_that_many_of_them_have_room() {
        let mut client = Client::new();
        client.held.hold(&topic("a"));
        assert!(!client.replaces("one", 0) && !client.replaces("other", 1));
        assert!((2..100).all(|number| client.replaces(if number % 2 == 0 { "one" } else { "other" }, number)));
        assert!(!client.replaces("third", 100));
        let is_full =
            matches!(client.held.judge(&topic("a"), None, Turn::Newest(&"fourth".into()), 10, || 101), Verdict::Full);
        assert!(is_full, "the bound is the same");
        client.resume(None);
        assert_eq!(client.received, [98, 99, 100]);
    }

    #[test]
    fn what_ends_a_key_waits_between_what_was_before_it_and_what_comes_after() {
        let mut client = Client::new();
        client.held.hold(&topic("a"));
        assert!(!client.replaces("one", 0));
        assert!(matches!(client.held.judge(&topic("a"), None, Turn::Ends(&"one".into()), 10, || 1), Verdict::Done));
        assert!(!client.replaces("one", 2) && client.replaces("one", 3));
        client.resume(None);
        assert_eq!(client.received, [0, 1, 3]);
    }

    #[test]
    fn what_the_ack_holds_is_not_sent_when_it_comes_late() {
        let mut client = Client::new();
        client.held.hold(&topic("a"));
        client.resume(Some(3));
        for offset in [2, 3, 4, 5] {
            client.is_full_after("a", offset);
        }
        assert_eq!(client.received, [4, 5]);
        assert!(client.held.by_topic.lock().is_empty(), "nothing is remembered for longer than needed");
    }

    #[test]
    fn what_is_published_while_a_client_reads_the_history_is_not_sent_and_what_comes_after_it_is() {
        let mut client = Client::new();
        client.held.hold(&topic("a"));
        client.is_full_after("a", 3);
        client.held.read_on(&topic("a"), |_| panic!("the history has it"));
        assert!((4..=9).all(|offset| !client.is_full_after("a", offset)), "however much it is");
        client.held.hold(&topic("a"));
        assert!(!client.is_full_after("a", 10) && !client.is_full_after("a", 11));
        // It has read up to the tenth.
        client.resume(Some(10));
        assert!(!client.is_full_after("a", 12));
        assert_eq!(client.received, [11, 12]);
    }

    #[test]
    fn a_subscription_that_fails_loses_nothing_of_the_one_before_it() {
        let mut client = Client::new();
        client.held.hold(&topic("a"));
        client.is_full_after("a", 3);
        client.resume(None);
        client.is_full_after("a", 4);
        assert_eq!(client.received, [3, 4]);
    }

    #[test]
    fn there_is_a_limit_to_what_waits_and_who_leaves_has_nothing_waiting() {
        let mut client = Client::new();
        client.held.hold(&topic("a"));
        assert!((1..=3).all(|offset| !client.is_full_after("a", offset)));
        assert!(client.is_full_after("a", 4));
        client.held.forget(&topic("a"));
        client.resume(Some(0));
        assert_eq!(client.received, [0; 0]);
        assert_eq!(client.held.holding.load(Ordering::Acquire), 0);
    }
}
