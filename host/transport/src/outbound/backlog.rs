//! What waits for one reader, in bytes: items in the order in which they were pushed, and behind them the newest item of
//! each [`Slot`]. Whatever has an order may overtake those. Pure: no socket, no clock.

use std::collections::{HashMap, VecDeque};

use crate::packet::Slot;

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
    /// The slots in the order in which they go out. A slot is here exactly while it is in `newest`.
    slots: VecDeque<Slot>,
    newest: HashMap<Slot, T>,
    bytes: usize,
}

impl<T> Default for Backlog<T> {
    fn default() -> Self {
        Self { ordered: VecDeque::new(), slots: VecDeque::new(), newest: HashMap::new(), bytes: 0 }
    }
}

impl<T: Weight> Backlog<T> {
    /// Puts an item last, or into its slot, where it replaces an older one and keeps its place. A single item always has
    /// room.
    ///
    /// # Errors
    /// [`Overflow`] if more than `bytes_max` would wait; then nothing is changed.
    pub fn push(&mut self, slot: Option<&Slot>, item: T, bytes_max: usize) -> Result<Pushed, Overflow> {
        let older = slot.and_then(|slot| self.newest.get_mut(slot));
        let others = self.bytes - older.as_ref().map_or(0, |older| older.weight());
        let bytes = item.weight();
        if bytes > 0 && others > 0 && others + bytes > bytes_max {
            return Err(Overflow);
        }
        self.bytes = others + bytes;
        if let Some(older) = older {
            *older = item;
            return Ok(Pushed::Replaces);
        }
        match slot {
            Some(slot) => {
                self.slots.push_back(slot.clone());
                self.newest.insert(slot.clone(), item);
            }
            None => self.ordered.push_back(item),
        }
        Ok(Pushed::Waits)
    }

    /// The item that goes out next.
    pub fn front(&self) -> Option<&T> {
        self.ordered.front().or_else(|| self.newest.get(self.slots.front()?))
    }

    /// Takes the item that goes out next.
    pub fn pop(&mut self) -> Option<T> {
        let item = self.ordered.pop_front().or_else(|| self.newest.remove(&self.slots.pop_front()?))?;
        self.bytes -= item.weight();
        Some(item)
    }

    /// Drops the items of a group's slots.
    pub fn forget(&mut self, group: u64) {
        let Self { slots, newest, bytes, .. } = self;
        slots.retain(|slot| {
            let stays = slot.group != group;
            if !stays && let Some(item) = newest.remove(slot) {
                *bytes -= item.weight();
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
