//! What waits for one client, in bytes. Pure: no socket, no clock.
//!
//! Three lines wait. The protocol's own packets go first. Then come the packets in the order in which they were pushed.
//! Last come the keyed packets, of which only the newest of each [`Slot`] waits: whatever has an order may overtake them.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;

use crate::packet::{Account, Packet, Slot};

/// The client has fallen behind by more than its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Overflow;

/// What was pushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pushed {
    /// It waits.
    Waits,
    /// It waits in the place of an older one, which nobody will receive.
    Replaces,
}

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
    ordered: VecDeque<Packet>,
    /// The slots in the order in which they go out. A slot is here exactly while it is in `keyed`.
    slots: VecDeque<Slot>,
    keyed: HashMap<Slot, Packet>,
    /// Bytes that count in the limit.
    bytes: usize,
    /// Bytes of answers that are counted apart.
    bytes_apart: usize,
}

impl Queue {
    /// Puts a packet of the protocol first, behind others of its kind.
    pub(crate) fn push_protocol(&mut self, text: Bytes) {
        self.protocol.push_back(text);
    }

    /// Puts a packet last, or into its slot, where it replaces an older one and keeps its place. A single packet always has
    /// room.
    pub(crate) fn push(&mut self, packet: Packet, bytes_max: usize) -> Result<Pushed, Overflow> {
        match packet.slot().cloned() {
            Some(slot) => self.push_keyed(slot, packet, bytes_max),
            None => {
                self.make_room(&packet, bytes_max)?;
                self.ordered.push_back(packet);
                Ok(Pushed::Waits)
            }
        }
    }

    fn push_keyed(&mut self, slot: Slot, packet: Packet, bytes_max: usize) -> Result<Pushed, Overflow> {
        if let Some(old) = self.keyed.get_mut(&slot) {
            let (old_bytes, bytes) = (old.bytes(), packet.bytes());
            let others = self.bytes - old_bytes;
            if bytes > old_bytes && others > 0 && others + bytes > bytes_max {
                return Err(Overflow);
            }
            self.bytes = others + bytes;
            *old = packet;
            return Ok(Pushed::Replaces);
        }
        self.make_room(&packet, bytes_max)?;
        self.slots.push_back(slot.clone());
        self.keyed.insert(slot, packet);
        Ok(Pushed::Waits)
    }

    fn make_room(&mut self, packet: &Packet, bytes_max: usize) -> Result<(), Overflow> {
        let bytes = packet.bytes();
        match packet.account() {
            Account::Apart => self.bytes_apart += bytes,
            Account::Limited if self.bytes > 0 && self.bytes + bytes > bytes_max => return Err(Overflow),
            Account::Limited => self.bytes += bytes,
        }
        Ok(())
    }

    fn count_out(&mut self, packet: &Packet) {
        match packet.account() {
            Account::Apart => self.bytes_apart -= packet.bytes(),
            Account::Limited => self.bytes -= packet.bytes(),
        }
    }

    /// Drops the keyed packets of a group that wait.
    pub(crate) fn forget(&mut self, group: u64) {
        let Self { slots, keyed, bytes, .. } = self;
        slots.retain(|slot| {
            let stays = slot.group != group;
            if !stays && let Some(packet) = keyed.remove(slot) {
                *bytes -= packet.bytes();
            }
            stays
        });
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
        let packet = match self.ordered.pop_front() {
            Some(packet) => packet,
            None => self.keyed.remove(&self.slots.pop_front()?)?,
        };
        self.count_out(&packet);
        Some(Next::Packet(packet))
    }

    /// How many bytes the next packet has that is not of the protocol.
    pub(crate) fn next_bytes(&self) -> Option<usize> {
        self.ordered.front().or_else(|| self.keyed.get(self.slots.front()?)).map(Packet::bytes)
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.protocol.is_empty() && self.has_no_packets()
    }

    /// Whether nothing waits but packets of the protocol.
    pub(crate) fn has_no_packets(&self) -> bool {
        self.ordered.is_empty() && self.slots.is_empty()
    }

    /// Drops everything.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// How many bytes wait and count in the limit.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::packet::ROOT;

    fn packet(text: &str) -> Packet {
        Packet::event(ROOT, text, &[])
    }

    fn keyed(group: u64, key: &str, text: &str) -> Packet {
        packet(text).in_slot(Slot { group, key: key.into() })
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

    #[derive(Debug, Clone)]
    enum Step {
        Ordered,
        Apart,
        Keyed(u8),
        Read,
        Leave(u8),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            Just(Step::Ordered),
            Just(Step::Apart),
            (0..6u8).prop_map(Step::Keyed),
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
