//! What waits for one client: the protocol's own packets go first, then the [`Backlog`]. Pure: no socket, no clock.

use std::collections::VecDeque;

use bytes::Bytes;

use super::backlog::{Backlog, Overflow, Pushed, Weight};
use crate::packet::{Account, Packet};

/// What goes out next.
#[derive(Debug)]
pub(crate) enum Next {
    /// An Engine.IO packet of the protocol itself, as text.
    Protocol(Bytes),
    /// A packet.
    Packet(Packet),
}

/// The queue of one client.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    protocol: VecDeque<Bytes>,
    packets: Backlog<Packet>,
    /// Bytes of answers that are counted apart.
    bytes_apart: usize,
}

impl Weight for Packet {
    fn weight(&self) -> usize {
        match self.account() {
            Account::Apart => 0,
            Account::Limited => self.bytes(),
        }
    }
}

impl Queue {
    /// Puts a packet of the protocol first, behind others of its kind.
    pub(crate) fn push_protocol(&mut self, text: Bytes) {
        self.protocol.push_back(text);
    }

    /// Puts a packet at its place.
    pub(crate) fn push(&mut self, packet: Packet, bytes_max: usize) -> Result<Pushed, Overflow> {
        let (place, apart) = (packet.place().clone(), bytes_apart(&packet));
        let pushed = self.packets.push(&place, packet, bytes_max)?;
        self.bytes_apart += apart;
        Ok(pushed)
    }

    /// Drops the keyed packets of a group that wait.
    pub(crate) fn forget(&mut self, group: u64) {
        self.packets.forget(group);
    }

    /// The next packet of the protocol.
    pub(crate) fn pop_protocol(&mut self) -> Option<Bytes> {
        self.protocol.pop_front()
    }

    /// What goes out next.
    pub(crate) fn pop(&mut self) -> Option<Next> {
        if let Some(text) = self.protocol.pop_front() {
            return Some(Next::Protocol(text));
        }
        let packet = self.packets.pop()?;
        self.bytes_apart -= bytes_apart(&packet);
        Some(Next::Packet(packet))
    }

    /// The next packet that is not of the protocol.
    pub(crate) fn front(&self) -> Option<&Packet> {
        self.packets.front()
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.protocol.is_empty() && self.has_no_packets()
    }

    /// Whether nothing waits but packets of the protocol.
    pub(crate) fn has_no_packets(&self) -> bool {
        self.packets.is_empty()
    }

    /// Drops everything.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// How many bytes wait and count in the limit.
    pub(crate) const fn bytes(&self) -> usize {
        self.packets.bytes()
    }

    /// How many bytes of answers wait that are counted apart.
    pub(crate) const fn bytes_apart(&self) -> usize {
        self.bytes_apart
    }

    /// Gives back what a long wait took.
    pub(crate) fn shrink(&mut self) {
        if self.is_empty() {
            *self = Self::default();
        }
    }
}

fn bytes_apart(packet: &Packet) -> usize {
    match packet.account() {
        Account::Apart => packet.bytes(),
        Account::Limited => 0,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;
    use crate::packet::{Place, ROOT, Slot};

    fn packet(text: &str) -> Packet {
        Packet::event(ROOT, text, &[])
    }

    fn keyed(group: u64, key: &str, text: &str) -> Packet {
        packet(text).at(Place::Newest(Slot { group, key: key.into() }))
    }

    fn ends(group: u64, key: &str, text: &str) -> Packet {
        packet(text).at(Place::Ends(Slot { group, key: key.into() }))
    }

    /// All that goes out, in order.
    fn drain(queue: &mut Queue) -> Vec<String> {
        let mut all = Vec::new();
        while let Some(next) = queue.pop() {
            all.push(match next {
                Next::Protocol(text) => String::from_utf8(text.to_vec()).unwrap(),
                Next::Packet(packet) => {
                    let text = String::from_utf8(packet.polled(false).0.to_vec()).unwrap();
                    text.trim_start_matches("42[\"").trim_end_matches("\"]").to_owned()
                }
            });
        }
        assert_eq!((queue.bytes(), queue.bytes_apart(), queue.is_empty()), (0, 0, true));
        all
    }

    const ROOMY: usize = 1 << 20;

    #[test]
    fn the_protocol_goes_first_then_what_has_an_order_then_the_newest_of_each_slot() {
        let mut queue = Queue::default();
        queue.push(keyed(1, "a", "a1"), ROOMY).unwrap();
        queue.push(keyed(1, "b", "b1"), ROOMY).unwrap();
        queue.push(packet("first"), ROOMY).unwrap();
        assert_eq!(queue.push(keyed(1, "a", "a2"), ROOMY), Ok(Pushed::Replaces));
        queue.push(packet("second"), ROOMY).unwrap();
        queue.push_protocol(Bytes::from_static(b"2"));
        assert_eq!(drain(&mut queue), ["2", "first", "second", "a2", "b1"]);
    }

    #[test]
    fn a_client_is_too_far_behind_by_bytes_and_one_packet_always_has_room() {
        let mut queue = Queue::default();
        queue.push(packet(&"x".repeat(500)), 100).unwrap();
        assert_eq!(queue.push(packet("y"), 100), Err(Overflow));
        queue.push(packet("free").counted_apart(), 100).unwrap();
        assert_eq!((queue.bytes(), queue.bytes_apart()), (packet(&"x".repeat(500)).bytes(), packet("free").bytes()));
        assert_eq!(drain(&mut queue).len(), 2);
    }

    #[test]
    fn a_slot_counts_its_newest_packet_only() {
        let mut queue = Queue::default();
        for n in 0..1000 {
            queue.push(keyed(1, "a", &format!("{n:0>50}")), 100).unwrap();
        }
        assert_eq!(drain(&mut queue).len(), 1);
    }

    #[test]
    fn a_group_that_was_left_is_not_received_any_more() {
        let mut queue = Queue::default();
        queue.push(keyed(1, "a", "left"), ROOMY).unwrap();
        queue.push(keyed(2, "a", "held"), ROOMY).unwrap();
        queue.forget(1);
        assert_eq!(drain(&mut queue), ["held"]);
    }

    #[test]
    fn what_ends_a_slot_is_never_replaced_and_comes_between_what_was_before_it_and_what_comes_after() {
        let mut queue = Queue::default();
        queue.push(keyed(1, "a", "a1"), ROOMY).unwrap();
        queue.push(keyed(1, "b", "b1"), ROOMY).unwrap();
        assert_eq!(queue.push(ends(1, "a", "a is removed"), ROOMY), Ok(Pushed::Replaces));
        queue.push(packet("behind"), ROOMY).unwrap();
        assert_eq!(queue.push(keyed(1, "a", "a2"), ROOMY), Ok(Pushed::Waits));
        queue.push(ends(1, "a", "a is removed again"), ROOMY).unwrap();
        queue.push(keyed(1, "a", "a3"), ROOMY).unwrap();
        assert_eq!(drain(&mut queue), ["a is removed", "behind", "a is removed again", "b1", "a3"]);
    }

    #[derive(Debug, Clone)]
    enum Step {
        Ordered,
        Apart,
        Keyed(u8),
        Ended(u8),
        Read,
        Leave(u8),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            Just(Step::Ordered),
            Just(Step::Apart),
            (0..6u8).prop_map(Step::Keyed),
            (0..6u8).prop_map(Step::Ended),
            Just(Step::Read),
            (0..2u8).prop_map(Step::Leave),
        ];
        proptest::collection::vec(step, 0..200)
    }

    proptest! {
        /// Whatever is pushed, read and left in whatever order: nothing with an order is lost, repeated or overtaken by
        /// its kind, and a slot never goes back in time nor loses its newest value.
        #[test]
        fn no_interleaving_breaks_order_or_freshness(steps in steps()) {
            let mut queue = Queue::default();
            let (mut pushed, mut read) = (0u32, 0u32);
            let mut newest: HashMap<u8, u32> = HashMap::new();
            let mut seen: HashMap<u8, u32> = HashMap::new();
            let mut take = |queue: &mut Queue, newest: &mut HashMap<u8, u32>| {
                let Some(Next::Packet(packet)) = queue.pop() else { return Ok(false) };
                let text = String::from_utf8(packet.polled(false).0.to_vec()).unwrap();
                let text = text.trim_start_matches("42[\"").trim_end_matches("\"]").to_owned();
                match text.split_once(':') {
                    None => {
                        prop_assert_eq!(text.parse::<u32>().unwrap(), read);
                        read += 1;
                    }
                    Some((key, at)) => {
                        let (key, at) = (key.parse::<u8>().unwrap(), at.parse::<u32>().unwrap());
                        prop_assert_eq!(newest.remove(&key), Some(at));
                        prop_assert!(seen.insert(key, at).is_none_or(|before| before < at));
                    }
                }
                Ok(true)
            };
            for (at, step) in (0u32..).zip(steps) {
                match step {
                    Step::Ordered => {
                        queue.push(packet(&pushed.to_string()), ROOMY).unwrap();
                        pushed += 1;
                    }
                    Step::Apart => {
                        let before = queue.bytes();
                        queue.push(packet(&pushed.to_string()).counted_apart(), 1).unwrap();
                        prop_assert_eq!(queue.bytes(), before);
                        pushed += 1;
                    }
                    Step::Keyed(key) => {
                        let group = u64::from(key % 2);
                        queue.push(keyed(group, &key.to_string(), &format!("{key}:{at}")), ROOMY).unwrap();
                        newest.insert(key, at);
                    }
                    Step::Ended(key) => {
                        let group = u64::from(key % 2);
                        queue.push(ends(group, &key.to_string(), &pushed.to_string()), ROOMY).unwrap();
                        pushed += 1;
                        // What waited of it must not come any more.
                        newest.remove(&key);
                    }
                    Step::Read => {
                        take(&mut queue, &mut newest)?;
                    }
                    Step::Leave(group) => {
                        queue.forget(u64::from(group));
                        newest.retain(|key, _| key % 2 != group);
                    }
                }
            }
            while take(&mut queue, &mut newest)? {}
            prop_assert_eq!(read, pushed);
            prop_assert!(newest.is_empty());
            prop_assert_eq!((queue.bytes(), queue.bytes_apart()), (0, 0));
        }
    }
}
