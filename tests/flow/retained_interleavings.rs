//! However publications, removals, deliveries and subscriptions meet: a client that follows a topic has the newest value
//! of every key in the end, and never goes back to an older one.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use futures_util::FutureExt as _;
use proptest::prelude::*;
use serde_json::json;
use tidegate_core::channels::Resolved;
use tidegate_core::flow::ports::{Removal, Removed, Retained as _, Values};
use tidegate_core::flow::{Held, MemoryHistory, MemoryRetained, Publication, Turn, Verdict};
use tidegate_core::protocol::{Generation, Key, Payload, Position};

use tidegate_testkit::catalog;

const CLIENTS: usize = 3;

#[derive(Debug, Clone, Copy)]
enum Step {
    Publish {
        key: u8,
        version: u8,
    },
    /// One key, or all of them.
    Remove(Option<u8>),
    /// The oldest message that was not delivered yet reaches the room: other nodes hear late.
    Deliver,
    /// The client does what comes next: it joins the room, the values are read, the ack is queued, it leaves.
    Next(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (0..3_u8, 0..20_u8).prop_map(|(key, version)| Step::Publish { key, version }),
        2 => prop::option::of(0..3_u8).prop_map(Step::Remove),
        6 => Just(Step::Deliver),
        6 => (0..CLIENTS).prop_map(Step::Next),
    ]
}

/// What a room hears: a value, or that it was taken away. `number` counts what happened.
#[derive(Debug, Clone)]
struct Message {
    number: u64,
    key: Key,
    value: Option<Payload>,
    position: Position,
}

enum State {
    Away,
    Joined,
    Read(Values, u64),
    Live,
}

struct Client {
    state: State,
    held: Held<Message>,
    values: HashMap<Key, Payload>,
    /// Everything up to here is in what it has.
    told: u64,
}

impl Client {
    fn receive(values: &mut HashMap<Key, Payload>, told: &mut u64, message: &Message) {
        match &message.value {
            Some(value) => {
                assert!(message.number > *told, "{message:?} is older than what the client has");
                values.insert(message.key.clone(), value.clone());
            }
            None => {
                let had = values.remove(&message.key).is_some();
                assert!(message.number >= *told || !had, "{message:?} takes away what is newer");
            }
        }
        *told = message.number.max(*told);
    }
}

struct World {
    retained: MemoryRetained,
    of: Resolved,
    undelivered: VecDeque<Message>,
    number: u64,
    clients: Vec<Client>,
}

impl World {
    fn new(has_versions: bool, has_history: bool) -> Self {
        let version = if has_versions { ", version: /v" } else { "" };
        let history = if has_history { ", history: { messages: 2 }" } else { "" };
        let manifest = format!(
            "feature: x\nchannels:\n  a: {{ scope: public, payload: true, delivery: {{ key: /k{version} }}, \
             snapshot: {{ retain: latest, keys: 2 }}{history} }}\n"
        );
        let client = || Client { state: State::Away, held: Held::new(usize::MAX), values: HashMap::new(), told: 0 };
        Self {
            retained: MemoryRetained::new(usize::MAX, Arc::new(MemoryHistory::new(usize::MAX))),
            of: catalog(&manifest, None, Generation(1)).resolve("a").unwrap(),
            undelivered: VecDeque::new(),
            number: 0,
            clients: std::iter::repeat_with(client).take(CLIENTS).collect(),
        }
    }

    fn publish(&mut self, key: u8, version: u8) {
        let number = self.number + 1;
        let payload = Payload::from(json!({ "k": key, "v": version, "number": number }));
        let publication = Publication::new(&self.of, payload.clone());
        let keeping = self.of.channel.keeping().unwrap();
        let key = Key::new(&key.to_string());
        let (undelivered, counted) = (&mut self.undelivered, &mut self.number);
        self.retained.publish(&publication, keeping, &mut |position| {
            *counted = number;
            undelivered.push_back(Message { number, key: key.clone(), value: Some(payload.clone()), position });
        });
    }

    fn remove(&mut self, key: Option<u8>) {
        let Resolved { topic, channel, .. } = self.of.clone();
        let removal = Removal { topic, channel, key: key.map(|key| Key::new(&key.to_string())), once: None };
        let (undelivered, counted) = (&mut self.undelivered, &mut self.number);
        let mut tell = |Removed { keys, after }: Removed| {
            *counted += 1;
            let position = Position { offset: after.offset + 1, ..after };
            let message = |key| Message { number: *counted, key, value: None, position: position.clone() };
            undelivered.extend(keys.into_iter().map(message));
        };
        self.retained.remove(&removal, &mut tell).now_or_never().unwrap().unwrap();
    }

    fn deliver(&mut self) {
        let Some(message) = self.undelivered.pop_front() else { return };
        for client in self.clients.iter_mut().filter(|client| !matches!(client.state, State::Away)) {
            let Client { held, values, told, .. } = client;
            let verdict = held.judge(&self.of.topic, Some(&message.position), Turn::InOrder, 1, || message.clone());
            if let Verdict::Send(_guard) = verdict {
                Client::receive(values, told, &message);
            }
        }
    }

    fn next(&mut self, number: usize) {
        let (client, topic) = (&mut self.clients[number], &self.of.topic);
        client.state = match std::mem::replace(&mut client.state, State::Live) {
            State::Away => {
                client.held.hold(topic);
                State::Joined
            }
            State::Joined => {
                let keeping = self.of.channel.keeping().unwrap();
                let read = self.retained.read(&self.of, keeping, usize::MAX).now_or_never().unwrap().unwrap();
                State::Read(read, self.number)
            }
            State::Read(read, told) => {
                client.values = read.values.into_iter().map(|value| (value.key, value.payload)).collect();
                client.told = told;
                let Client { held, values, told, .. } = client;
                held.resume(topic, Some(&read.position), |message| Client::receive(values, told, message));
                State::Live
            }
            State::Live => {
                client.held.forget(topic);
                State::Away
            }
        };
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Publish { key, version } => self.publish(key, version),
            Step::Remove(key) => self.remove(key),
            Step::Deliver => self.deliver(),
            Step::Next(number) => self.next(number),
        }
    }
}

proptest! {
    #[test]
    fn a_client_never_goes_back_and_has_the_newest_values_in_the_end(
        has_versions in any::<bool>(),
        has_history in any::<bool>(),
        steps in prop::collection::vec(step(), 1..200),
    ) {
        let mut world = World::new(has_versions, has_history);
        steps.into_iter().for_each(|step| world.take(step));
        for number in 0..CLIENTS {
            while !matches!(world.clients[number].state, State::Live) {
                world.take(Step::Next(number));
            }
        }
        while !world.undelivered.is_empty() {
            world.take(Step::Deliver);
        }
        let keeping = world.of.channel.keeping().unwrap();
        let newest = world.retained.read(&world.of, keeping, usize::MAX).now_or_never().unwrap().unwrap();
        for client in &world.clients {
            for value in &newest.values {
                prop_assert_eq!(client.values.get(&value.key), Some(&value.payload));
            }
        }
    }
}
