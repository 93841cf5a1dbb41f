//! The last values, faked: those of one node's memory, that go away when they are told to.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, ready};
use tidegate_core::channels::{Keeping, Resolved};
use tidegate_core::flow::ports::{Removal, Removed, Retained, RetainedAway, Taken, Values, ValuesUnread};
use tidegate_core::flow::{MemoryRetained, Publication};
use tidegate_core::protocol::{Position, Topic};

use super::FakeHistory;

/// Values in memory.
pub struct FakeRetained {
    memory: MemoryRetained,
    away: AtomicBool,
}

impl FakeRetained {
    /// Values that take so many bytes together; the history numbers the publications.
    pub fn new(bytes_max: usize, history: Arc<FakeHistory>) -> Self {
        Self { memory: MemoryRetained::new(bytes_max, history), away: AtomicBool::new(false) }
    }

    /// From now on they cannot be reached, or can again.
    pub fn set_away(&self, away: bool) {
        self.away.store(away, Ordering::SeqCst);
    }

    /// How many values there are, and the bytes that are taken.
    pub fn size(&self) -> (usize, usize) {
        self.memory.size()
    }

    fn is_away(&self) -> bool {
        self.away.load(Ordering::SeqCst)
    }
}

impl Retained for FakeRetained {
    fn publish(&self, publication: &Publication, keeping: Keeping, deliver: &mut dyn FnMut(Position)) -> Taken {
        if self.is_away() {
            return Taken::Sent(ready(Err(RetainedAway)).boxed());
        }
        self.memory.publish(publication, keeping, deliver)
    }

    fn read(
        &self,
        of: &Resolved,
        keeping: Keeping,
        bytes_max: usize,
    ) -> BoxFuture<'static, Result<Values, ValuesUnread>> {
        if self.is_away() {
            return ready(Err(ValuesUnread::Away)).boxed();
        }
        self.memory.read(of, keeping, bytes_max)
    }

    fn remove(
        &self,
        removal: &Removal,
        tell: &mut dyn FnMut(Removed),
    ) -> BoxFuture<'static, Result<usize, RetainedAway>> {
        if self.is_away() {
            return ready(Err(RetainedAway)).boxed();
        }
        self.memory.remove(removal, tell)
    }

    fn keep_only(&self, is_kept: &dyn Fn(&Topic) -> bool) {
        self.memory.keep_only(is_kept);
    }

    fn sweep(&self) {
        self.memory.sweep();
    }
}
