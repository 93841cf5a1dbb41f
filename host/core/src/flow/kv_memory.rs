//! A key-value store in memory, lost when the process ends: for tests, and for calls outside a server.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;

use super::kv::{KeyValue, KvEntry, KvError, KvKey, add, expect_revision, expiry_ms};
use super::ports::{Clock, StoreHealth};

/// After so many writes expired keys are removed.
const SWEEP_EVERY: u64 = 1024;

/// Keys with values in the memory of the process.
pub struct MemoryKv {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Clone, Default)]
struct State {
    revision: u64,
    kept: BTreeMap<(String, String), Kept>,
}

#[derive(Clone)]
struct Kept {
    entry: KvEntry,
    expires_at_ms: Option<u64>,
}

impl MemoryKv {
    /// An empty store with this clock.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, state: Mutex::default() }
    }

    /// Puts a key into the store, without expiry.
    pub fn lay(&self, key: KvKey<'_>, value: Vec<u8>) {
        self.state.lock().write(key, value, self.clock.now_unix_ms(), None);
    }

    /// A copy of the keys that can change independently.
    #[must_use]
    pub fn copied(&self) -> Self {
        Self { clock: self.clock.clone(), state: Mutex::new(self.state.lock().clone()) }
    }
}

impl State {
    /// The key, unless it has expired; then it is removed.
    fn find(&mut self, key: KvKey<'_>, now_ms: u64) -> Option<&Kept> {
        let name = named(key);
        if self.kept.get(&name).is_some_and(|kept| kept.is_over(now_ms)) {
            self.kept.remove(&name);
        }
        self.kept.get(&name)
    }

    fn write(&mut self, key: KvKey<'_>, value: Vec<u8>, now_ms: u64, expires_at_ms: Option<u64>) -> u64 {
        self.revision += 1;
        if self.revision.is_multiple_of(SWEEP_EVERY) {
            self.kept.retain(|_, kept| !kept.is_over(now_ms));
        }
        let entry = KvEntry { value, revision: self.revision };
        self.kept.insert(named(key), Kept { entry, expires_at_ms });
        self.revision
    }
}

impl Kept {
    fn is_over(&self, now_ms: u64) -> bool {
        self.expires_at_ms.is_some_and(|expires_at_ms| expires_at_ms <= now_ms)
    }
}

fn named(key: KvKey<'_>) -> (String, String) {
    (key.bucket.to_owned(), key.key.to_owned())
}

#[async_trait]
impl KeyValue for MemoryKv {
    async fn open(&self) -> Result<(), KvError> {
        Ok(())
    }

    async fn get(&self, key: KvKey<'_>) -> Result<Option<KvEntry>, KvError> {
        let now_ms = self.clock.now_unix_ms();
        Ok(self.state.lock().find(key, now_ms).map(|kept| kept.entry.clone()))
    }

    async fn put(
        &self,
        key: KvKey<'_>,
        value: &[u8],
        if_revision: Option<u64>,
        ttl: Option<Duration>,
    ) -> Result<u64, KvError> {
        let now_ms = self.clock.now_unix_ms();
        let mut state = self.state.lock();
        expect_revision(state.find(key, now_ms).map_or(0, |kept| kept.entry.revision), if_revision)?;
        Ok(state.write(key, value.to_vec(), now_ms, expiry_ms(now_ms, ttl)))
    }

    async fn delete(&self, key: KvKey<'_>, if_revision: Option<u64>) -> Result<bool, KvError> {
        let now_ms = self.clock.now_unix_ms();
        let mut state = self.state.lock();
        expect_revision(state.find(key, now_ms).map_or(0, |kept| kept.entry.revision), if_revision)?;
        Ok(state.kept.remove(&named(key)).is_some())
    }

    async fn increment(&self, key: KvKey<'_>, delta: i64, ttl: Option<Duration>) -> Result<i64, KvError> {
        let now_ms = self.clock.now_unix_ms();
        let mut state = self.state.lock();
        let (sum, expires_at_ms) = match state.find(key, now_ms) {
            Some(kept) => (add(Some(&kept.entry.value), delta)?, kept.expires_at_ms),
            None => (add(None, delta)?, expiry_ms(now_ms, ttl)),
        };
        state.write(key, sum.to_string().into_bytes(), now_ms, expires_at_ms);
        Ok(sum)
    }

    async fn keys(&self, bucket: &str, prefix: &str, after: Option<&str>, limit: u32) -> Result<Vec<String>, KvError> {
        let now_ms = self.clock.now_unix_ms();
        let named = |key: &str| (bucket.to_owned(), key.to_owned());
        let start = match after {
            Some(after) if after >= prefix => Bound::Excluded(named(after)),
            _ => Bound::Included(named(prefix)),
        };
        let state = self.state.lock();
        let below = state.kept.range((start, Bound::Unbounded));
        let ours = below.take_while(|((own, key), _)| own == bucket && key.starts_with(prefix));
        let alive = ours.filter(|(_, kept)| !kept.is_over(now_ms)).map(|((_, key), _)| key.clone());
        Ok(alive.take(limit as usize).collect())
    }
}

impl StoreHealth for MemoryKv {
    fn is_away(&self) -> bool {
        false
    }
}
