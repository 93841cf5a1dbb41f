//! When sessions were used, kept in memory; it can go away and come back.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use parking_lot::Mutex;
use tidegate_core::flow::sessions::{BATCH_MAX, SessionKey, SessionUse, Sessions, SessionsError};

/// A record of sessions in memory.
#[derive(Default)]
pub struct FakeSessions {
    used: Mutex<HashMap<SessionKey, SessionUse>>,
    batches: Mutex<Vec<usize>>,
    away: AtomicBool,
}

impl FakeSessions {
    /// From now on the store is away, or there again.
    pub fn set_away(&self, away: bool) {
        self.away.store(away, Ordering::SeqCst);
    }

    /// What is known of every session.
    pub fn all(&self) -> HashMap<SessionKey, SessionUse> {
        self.used.lock().clone()
    }

    /// How many sessions each write brought.
    pub fn batches(&self) -> Vec<usize> {
        self.batches.lock().clone()
    }

    fn reach(&self) -> Result<(), SessionsError> {
        if self.away.load(Ordering::SeqCst) { Err(SessionsError("the store is away".to_owned())) } else { Ok(()) }
    }
}

#[async_trait]
impl Sessions for FakeSessions {
    async fn open(&self) -> Result<(), SessionsError> {
        self.reach()
    }

    async fn used(&self, key: &SessionKey) -> Result<Option<SessionUse>, SessionsError> {
        self.reach()?;
        Ok(self.used.lock().get(key).copied())
    }

    async fn write_back(&self, used: &[(SessionKey, SessionUse)]) -> Result<(), SessionsError> {
        self.reach()?;
        assert!(used.len() <= BATCH_MAX, "a batch of {}", used.len());
        self.batches.lock().push(used.len());
        let mut known = self.used.lock();
        for (key, new) in used {
            let entry = known.entry(key.clone()).or_insert(*new);
            *entry = entry.widened(*new);
        }
        Ok(())
    }

    async fn forget(&self, last_before_unix_s: u64) -> Result<u64, SessionsError> {
        self.reach()?;
        let mut known = self.used.lock();
        let before = known.len();
        known.retain(|_, used| used.last_unix_s >= last_before_unix_s);
        Ok((before - known.len()) as u64)
    }
}
