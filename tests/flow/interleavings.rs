//! However publications, deliveries, subscriptions and cuts meet: a client misses nothing untold, gets nothing twice, and
//! gets it in order.

use futures_util::FutureExt as _;
use proptest::prelude::*;
use tidegate_core::channels::HistoryPolicy;
use tidegate_core::flow::ports::{History as _, Page, Wanted};
use tidegate_core::flow::{Held, MemoryHistory, Publication, Turn, Verdict};
use tidegate_core::protocol::{Generation, Payload, Position, Topic};

use tidegate_testkit::catalog;

const CLIENTS: usize = 3;

#[derive(Debug, Clone, Copy)]
enum Step {
    Publish,
    /// The oldest publication that was not delivered yet reaches the room: other nodes hear late.
    Deliver,
    /// The client does what comes next: it joins the room, the history is read, the ack is queued.
    Next(usize),
    Cut(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Publish),
        4 => Just(Step::Deliver),
        6 => (0..CLIENTS).prop_map(Step::Next),
        1 => (0..CLIENTS).prop_map(Step::Cut),
    ]
}

enum State {
    Away,
    Joined,
    Read(Page),
    Live,
}

/// A client, and what it knows.
struct Client {
    state: State,
    held: Held<Position>,
    /// The position that it has everything up to.
    last: Option<Position>,
}

impl Client {
    fn receive(last: &mut Option<Position>, position: &Position) {
        let before = last.as_ref().expect("an ack comes before the first publication");
        assert_eq!((&before.epoch, before.offset + 1), (&position.epoch, position.offset), "after {before}");
        *last = Some(position.clone());
    }

    fn acknowledged(&mut self, topic: &Topic, page: Page) {
        match (page.entries, self.last.is_some()) {
            (Ok(entries), true) => {
                entries.iter().for_each(|entry| Self::receive(&mut self.last, &entry.position));
                assert_eq!(self.last.as_ref(), Some(&page.newest), "the ack goes as far as it says");
            }
            // It is told that it begins anew.
            (Ok(_), false) | (Err(_), _) => self.last = Some(page.newest.clone()),
        }
        let Self { held, last, .. } = self;
        held.resume(topic, Some(&page.newest), |position| Self::receive(last, position));
    }
}

struct World {
    history: MemoryHistory,
    policy: HistoryPolicy,
    publication: Publication,
    undelivered: std::collections::VecDeque<Position>,
    clients: Vec<Client>,
}

impl World {
    fn new(messages_max: usize) -> Self {
        let manifest = "feature: x\nchannels:\n  a: { scope: public, payload: true, history: { messages: 9 } }\n";
        let resolved = catalog(manifest, None, Generation(1)).resolve("a").unwrap();
        let client = || Client { state: State::Away, held: Held::new(usize::MAX), last: None };
        Self {
            history: MemoryHistory::new(usize::MAX),
            policy: HistoryPolicy { messages_max, ..resolved.channel.history.unwrap() },
            publication: Publication::new(&resolved, Payload::parse("1".to_owned()).unwrap()),
            undelivered: std::collections::VecDeque::new(),
            clients: std::iter::repeat_with(client).take(CLIENTS).collect(),
        }
    }

    fn deliver(&mut self) {
        let Some(position) = self.undelivered.pop_front() else { return };
        for client in self.clients.iter_mut().filter(|client| !matches!(client.state, State::Away)) {
            let Client { held, last, .. } = client;
            if let Verdict::Send(_guard) =
                held.judge(&self.publication.topic, Some(&position), Turn::InOrder, 1, || position.clone())
            {
                Client::receive(last, &position);
            }
        }
    }

    fn next(&mut self, number: usize) {
        let (client, topic) = (&mut self.clients[number], &self.publication.topic);
        client.state = match std::mem::replace(&mut client.state, State::Live) {
            State::Away => {
                client.held.hold(topic);
                State::Joined
            }
            State::Joined => {
                let wanted = match client.last.clone() {
                    None => Wanted::position(),
                    since => Wanted { since, entries_max: usize::MAX, bytes_max: usize::MAX },
                };
                State::Read(self.history.read(topic, self.policy, wanted).now_or_never().unwrap().unwrap())
            }
            State::Read(page) => {
                client.acknowledged(topic, page);
                State::Live
            }
            State::Live => State::Live,
        };
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Publish => {
                let undelivered = &mut self.undelivered;
                self.history.append(&self.publication, self.policy, &mut |position| undelivered.push_back(position));
            }
            Step::Deliver => self.deliver(),
            Step::Next(number) => self.next(number),
            Step::Cut(number) => {
                self.clients[number].state = State::Away;
                self.clients[number].held.forget(&self.publication.topic);
            }
        }
    }
}

proptest! {
    #[test]
    fn nothing_is_missed_untold_nothing_comes_twice_and_everything_in_order(
        messages_max in 1_usize..6,
        steps in prop::collection::vec(step(), 1..200),
    ) {
        let mut world = World::new(messages_max);
        steps.into_iter().for_each(|step| world.take(step));
        // In the end everybody is there and has everything.
        for number in 0..CLIENTS {
            (0..3).for_each(|_| world.take(Step::Next(number)));
        }
        while !world.undelivered.is_empty() {
            world.take(Step::Deliver);
        }
        let newest = world.history.read(&world.publication.topic, world.policy, Wanted::position());
        let newest = newest.now_or_never().unwrap().unwrap().newest;
        for client in &world.clients {
            prop_assert_eq!(client.last.as_ref(), Some(&newest));
        }
    }
}
