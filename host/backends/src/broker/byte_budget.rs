//! How many bytes wait for Redis, and the limit.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The bytes of all commands that wait or are on their way.
pub(super) struct ByteBudget {
    bytes: AtomicUsize,
    bytes_max: usize,
}

/// The bytes of one command; free again when the command is dropped.
pub(super) struct BytePermit {
    budget: Arc<ByteBudget>,
    bytes: usize,
}

impl ByteBudget {
    /// Empty, with this limit.
    pub(super) const fn new(bytes_max: usize) -> Self {
        Self { bytes: AtomicUsize::new(0), bytes_max }
    }

    /// Room for so many more bytes; `None` if there is none.
    pub(super) fn take(self: &Arc<Self>, bytes: usize) -> Option<BytePermit> {
        let more = |waiting: usize| waiting.checked_add(bytes).filter(|more| *more <= self.bytes_max);
        self.bytes.fetch_update(Ordering::AcqRel, Ordering::Acquire, more).ok()?;
        Some(BytePermit { budget: Arc::clone(self), bytes })
    }

    /// How many bytes there are.
    pub(super) fn taken(&self) -> usize {
        self.bytes.load(Ordering::Acquire)
    }
}

impl Drop for BytePermit {
    fn drop(&mut self) {
        self.budget.bytes.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_for_so_much_and_again_when_something_left() {
        let budget = Arc::new(ByteBudget::new(10));
        let (six, four) = (budget.take(6).unwrap(), budget.take(4).unwrap());
        assert!(budget.take(1).is_none() && budget.take(usize::MAX).is_none());
        drop(six);
        assert_eq!(budget.taken(), 4);
        assert!(budget.take(7).is_none() && budget.take(6).is_some());
        drop(four);
        assert_eq!(budget.taken(), 0);
    }
}
