//! The keys that a plugin changes while a tape plays. They lie over what the tape told of keys and over a store, which
//! is only read, and are gone after the call.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;

use super::play::NO_ANSWER;
use tidegate_core::flow::kv::{KeyValue, KvEntry, KvError, KvKey, add, expect_revision};

/// Most bytes of values that the overlay of one call holds.
const OVERLAY_BYTES_MAX: usize = 1 << 20;

/// The keys of one call.
#[derive(Default)]
pub(crate) struct Overlay {
    /// What lies below; without it only the tape is known.
    below: Option<Arc<dyn KeyValue>>,
    keys: Mutex<Keys>,
}

#[derive(Default)]
struct Keys {
    known: BTreeMap<(String, String), Known>,
    bytes: usize,
    last_revision: u64,
}

/// What is known of a key.
#[derive(Clone)]
struct Known {
    entry: Option<KvEntry>,
    /// The plugin changed it, and not only read it.
    is_changed: bool,
}

impl Overlay {
    /// Over a store that is only read.
    pub(crate) fn over(below: Arc<dyn KeyValue>) -> Self {
        Self { below: Some(below), keys: Mutex::default() }
    }

    /// Whether the plugin changed a key, or any key of the bucket.
    pub(crate) fn is_changed(&self, bucket: &str, key: Option<&str>) -> bool {
        let keys = self.keys.lock();
        let mut of_bucket = keys.known.iter().filter(|((of, _), _)| of == bucket);
        of_bucket.any(|((_, of), known)| known.is_changed && key.is_none_or(|key| key == of))
    }

    /// Notes what the tape told of a key.
    pub(crate) fn learn(&self, key: KvKey<'_>, entry: Option<KvEntry>) {
        self.keys.lock().set(key, entry, false);
    }

    async fn find(&self, key: KvKey<'_>) -> Result<Option<KvEntry>, KvError> {
        if let Some(known) = self.keys.lock().known.get(&named(key)) {
            return Ok(known.entry.clone());
        }
        match &self.below {
            Some(below) => below.get(key).await,
            None => Err(KvError::Unavailable(NO_ANSWER.to_owned())),
        }
    }

    fn change(&self, key: KvKey<'_>, value: Option<&[u8]>) -> Result<u64, KvError> {
        let mut keys = self.keys.lock();
        keys.bytes += key.key.len() + value.map_or(0, <[u8]>::len);
        if keys.bytes > OVERLAY_BYTES_MAX {
            let why = format!("the call changed more than {OVERLAY_BYTES_MAX} bytes of keys");
            return Err(KvError::Unavailable(why));
        }
        let revision = keys.last_revision + 1;
        let entry = value.map(|value| KvEntry { value: value.to_vec(), revision });
        keys.last_revision = revision;
        keys.set(key, entry, true);
        Ok(revision)
    }
}

fn named(key: KvKey<'_>) -> (String, String) {
    (key.bucket.to_owned(), key.key.to_owned())
}

impl Keys {
    fn set(&mut self, key: KvKey<'_>, entry: Option<KvEntry>, is_changed: bool) {
        self.last_revision = self.last_revision.max(entry.as_ref().map_or(0, |entry| entry.revision));
        self.known.insert(named(key), Known { entry, is_changed });
    }
}

#[async_trait]
impl KeyValue for Overlay {
    async fn open(&self) -> Result<(), KvError> {
        Ok(())
    }

    async fn get(&self, key: KvKey<'_>) -> Result<Option<KvEntry>, KvError> {
        self.find(key).await
    }

    async fn put(
        &self,
        key: KvKey<'_>,
        value: &[u8],
        if_revision: Option<u64>,
        _: Option<Duration>,
    ) -> Result<u64, KvError> {
        if if_revision.is_some() {
            let found = self.find(key).await?;
            expect_revision(found.map_or(0, |found| found.revision), if_revision)?;
        }
        self.change(key, Some(value))
    }

    async fn delete(&self, key: KvKey<'_>, if_revision: Option<u64>) -> Result<bool, KvError> {
        let found = self.find(key).await?;
        expect_revision(found.as_ref().map_or(0, |found| found.revision), if_revision)?;
        self.change(key, None)?;
        Ok(found.is_some())
    }

    async fn increment(&self, key: KvKey<'_>, delta: i64, _: Option<Duration>) -> Result<i64, KvError> {
        let found = self.find(key).await?;
        let sum = add(found.as_ref().map(|found| found.value.as_slice()), delta)?;
        self.change(key, Some(sum.to_string().as_bytes()))?;
        Ok(sum)
    }

    async fn keys(&self, bucket: &str, prefix: &str, after: Option<&str>, limit: u32) -> Result<Vec<String>, KvError> {
        let mut found: BTreeSet<String> = match &self.below {
            Some(below) => below.keys(bucket, prefix, after, limit).await?.into_iter().collect(),
            None => BTreeSet::new(),
        };
        for ((of, key), known) in &self.keys.lock().known {
            if of == bucket && key.starts_with(prefix) && after.is_none_or(|after| key.as_str() > after) {
                if known.entry.is_some() {
                    found.insert(key.clone());
                } else {
                    found.remove(key);
                }
            }
        }
        Ok(found.into_iter().take(limit as usize).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_core::flow::MemoryKv;
    use tidegate_core::flow::ports::SystemClock;

    const KEY: KvKey<'_> = KvKey { bucket: "b", key: "k" };

    #[tokio::test]
    async fn what_is_written_is_read_back_and_the_store_below_stays() {
        let below = Arc::new(MemoryKv::new(Arc::new(SystemClock)));
        below.lay(KEY, b"5".to_vec());
        let keys = Overlay::over(below.clone());
        assert_eq!(keys.increment(KEY, 2, None).await, Ok(7));
        let revision = keys.get(KEY).await.unwrap().unwrap().revision;
        assert_eq!(keys.put(KEY, b"x", Some(revision + 1), None).await, Err(KvError::Conflict(revision)));
        keys.put(KEY, b"x", Some(revision), None).await.unwrap();
        assert_eq!(keys.delete(KEY, None).await, Ok(true));
        assert_eq!(keys.get(KEY).await, Ok(None));
        assert_eq!(keys.keys("b", "", None, 9).await, Ok(Vec::new()));
        assert_eq!(below.get(KEY).await.unwrap().unwrap().value, b"5");
        assert!(keys.is_changed("b", Some("k")) && keys.is_changed("b", None) && !keys.is_changed("c", None));
    }

    #[tokio::test]
    async fn a_revision_that_the_tape_told_counts_although_the_store_has_moved_on() {
        let below = Arc::new(MemoryKv::new(Arc::new(SystemClock)));
        below.put(KEY, b"new", None, None).await.unwrap();
        let keys = Overlay::over(below);
        keys.learn(KEY, Some(KvEntry { value: b"old".to_vec(), revision: 900 }));
        assert!(!keys.is_changed("b", Some("k")));
        assert!(keys.put(KEY, b"x", Some(900), None).await.unwrap() > 900);
    }

    #[tokio::test]
    async fn the_changes_of_a_call_are_bounded() {
        let keys = Overlay::default();
        let half = vec![0; OVERLAY_BYTES_MAX / 2];
        keys.put(KEY, &half, None, None).await.unwrap();
        assert!(matches!(keys.put(KEY, &half, None, None).await, Err(KvError::Unavailable(_))));
        assert!(matches!(keys.get(KvKey { bucket: "b", key: "other" }).await, Err(KvError::Unavailable(_))));
    }
}
