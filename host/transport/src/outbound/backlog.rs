//! What waits for one reader, in bytes: items in the order in which they were pushed, and behind them the newest item of
//! each [`Slot`]. Whatever has an order may overtake those. Pure: no socket, no clock.

use std::collections::{BTreeMap, HashMap, VecDeque};

use crate::packet::{Place, Slot};

/// What can wait in a [`Backlog`].
pub trait Weight {
    /// How many bytes of the limit it takes; 0 always has room.
    fn weight(&self) -> usize;
}

impl Weight for bytes::Bytes {
    fn weight(&self) -> usize {
        self.len()
    }
}

/// The reader has fallen behind by more than its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overflow;

/// What was pushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed {
    /// It waits.
    Waits,
    /// It waits in the place of an older one, which nobody will receive.
    Replaces,
}

/// What waits for one reader.
#[derive(Debug)]
pub struct Backlog<T> {
    ordered: VecDeque<T>,
    newest: HashMap<Slot, Numbered<T>>,
    /// The slots of `newest` by their numbers, which are in the order in which they go out.
    slots: BTreeMap<u64, Slot>,
    /// The number of the last slot.
    last: u64,
    bytes: usize,
}

/// What waits in a slot, and the number of the slot.
#[derive(Debug)]
struct Numbered<T> {
    number: u64,
    item: T,
}

impl<T> Default for Backlog<T> {
    fn default() -> Self {
        Self { ordered: VecDeque::new(), newest: HashMap::new(), slots: BTreeMap::new(), last: 0, bytes: 0 }
    }
}

impl<T: Weight> Backlog<T> {
    /// Puts an item at its place. In a slot it replaces an older item, whose turn it takes. A single item always has room.
    ///
    /// # Errors
    /// [`Overflow`] if more than `bytes_max` would wait; then nothing is changed.
    pub fn push(&mut self, place: &Place, item: T, bytes_max: usize) -> Result<Pushed, Overflow> {
        let older = match place {
            Place::InOrder => None,
            Place::Newest(slot) | Place::Ends(slot) => self.newest.get(slot),
        };
        let replaces = if older.is_some() { Pushed::Replaces } else { Pushed::Waits };
        let others = self.bytes - older.map_or(0, |older| older.item.weight());
        let bytes = item.weight();
        if bytes > 0 && others > 0 && others + bytes > bytes_max {
            return Err(Overflow);
        }
        self.bytes = others + bytes;
        match place {
            Place::InOrder => self.ordered.push_back(item),
            Place::Newest(slot) => match self.newest.get_mut(slot) {
                Some(older) => older.item = item,
                None => {
                    self.last += 1;
                    self.slots.insert(self.last, slot.clone());
                    self.newest.insert(slot.clone(), Numbered { number: self.last, item });
                }
            },
            Place::Ends(slot) => {
                if let Some(older) = self.newest.remove(slot) {
                    self.slots.remove(&older.number);
                }
                self.ordered.push_back(item);
            }
        }
        Ok(replaces)
    }

    /// The item that goes out next.
    pub fn front(&self) -> Option<&T> {
        self.ordered.front().or_else(|| Some(&self.newest.get(self.slots.values().next()?)?.item))
    }

    /// Takes the item that goes out next.
    pub fn pop(&mut self) -> Option<T> {
        let item = self.ordered.pop_front().or_else(|| Some(self.newest.remove(&self.slots.pop_first()?.1)?.item))?;
        self.bytes -= item.weight();
        Some(item)
    }

    /// Drops the items of a group's slots.
    pub fn forget(&mut self, group: u64) {
        let Self { slots, newest, bytes, .. } = self;
        slots.retain(|_, slot| {
            let stays = slot.group != group;
            if !stays && let Some(older) = newest.remove(slot) {
                *bytes -= older.item.weight();
            }
            stays
        });
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ordered.is_empty() && self.slots.is_empty()
    }

    /// How many bytes of the limit are taken.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }
}
