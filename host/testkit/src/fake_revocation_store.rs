//! A store of revocations that goes away when it is told to.

use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use parking_lot::Mutex;
use tidegate_core::flow::revoke::{Kept, Revocation, RevocationStore, StoreAway};
use tokio::sync::Notify;

/// Holds what it is given.
#[derive(Default)]
pub struct FakeRevocationStore {
    stored: Mutex<Vec<Revocation>>,
    away: AtomicBool,
    news: Notify,
}

impl FakeRevocationStore {
    /// Every revocation in it.
    pub fn stored(&self) -> Vec<Revocation> {
        self.stored.lock().clone()
    }

    /// From now on it is away, or back.
    pub fn set_away(&self, away: bool) {
        self.away.store(away, Ordering::SeqCst);
    }

    /// Says that another node stored something.
    pub fn tell_news(&self) {
        self.news.notify_one();
    }

    fn there(&self) -> Result<(), StoreAway> {
        if self.away.load(Ordering::SeqCst) { Err(StoreAway("the disk is gone".to_owned())) } else { Ok(()) }
    }
}

#[async_trait]
impl RevocationStore for FakeRevocationStore {
    async fn keep(&self, revocation: &Revocation) -> Result<(), StoreAway> {
        self.there()?;
        let mut stored = self.stored.lock();
        if stored.iter().all(|other| other.id != revocation.id) {
            stored.push(revocation.clone());
        }
        Ok(())
    }

    async fn kept(&self, _: Option<u64>, now_unix_s: u64) -> Result<Kept, StoreAway> {
        self.there()?;
        let revocations = self.stored().into_iter().filter(|one| !one.is_over(now_unix_s)).collect();
        Ok(Kept { revocations, mark: 1 })
    }

    async fn forget(&self, now_unix_s: u64) -> Result<u64, StoreAway> {
        self.stored.lock().retain(|one| !one.is_over(now_unix_s));
        Ok(0)
    }

    async fn news(&self) {
        self.news.notified().await;
    }
}
