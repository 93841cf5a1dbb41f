//! The histories, faked: those of one node's memory, that go away when they are told to.

use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, ready};
use tidegate_core::channels::HistoryPolicy;
use tidegate_core::flow::ports::{Appended, History, HistoryAway, Page, Wanted};
use tidegate_core::flow::{MemoryHistory, Publication};
use tidegate_core::protocol::{Position, Topic};

/// Histories in memory.
pub struct FakeHistory {
    memory: MemoryHistory,
    away: AtomicBool,
}

impl FakeHistory {
    /// Histories that take so many bytes together.
    pub fn new(bytes_max: usize) -> Self {
        Self { memory: MemoryHistory::new(bytes_max), away: AtomicBool::new(false) }
    }

    /// From now on they cannot be reached, or can again.
    pub fn set_away(&self, away: bool) {
        self.away.store(away, Ordering::SeqCst);
    }

    /// The bytes that they take.
    pub fn bytes(&self) -> usize {
        self.memory.bytes()
    }
}

impl History for FakeHistory {
    fn append(&self, publication: &Publication, policy: HistoryPolicy, deliver: &mut dyn FnMut(Position)) -> Appended {
        if self.away.load(Ordering::SeqCst) {
            return Appended::Sent(ready(Err(HistoryAway)).boxed());
        }
        self.memory.append(publication, policy, deliver)
    }

    fn read(
        &self,
        topic: &Topic,
        policy: HistoryPolicy,
        wanted: Wanted,
    ) -> BoxFuture<'static, Result<Page, HistoryAway>> {
        if self.away.load(Ordering::SeqCst) {
            return ready(Err(HistoryAway)).boxed();
        }
        self.memory.read(topic, policy, wanted)
    }

    fn note_removed(&self, topic: &Topic, policy: HistoryPolicy) {
        self.memory.note_removed(topic, policy);
    }

    fn keep_only(&self, is_kept: &dyn Fn(&Topic) -> bool) {
        self.memory.keep_only(is_kept);
    }

    fn sweep(&self) {
        self.memory.sweep();
    }
}
