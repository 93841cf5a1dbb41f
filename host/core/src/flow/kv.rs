//! The key-value store as a port: what lies behind `tidegate:kv`. Grants, sizes and rates are the caller's business.

use std::time::Duration;

use async_trait::async_trait;

/// Keys with values and revisions, in buckets.
///
/// Every write raises one counter of the whole store and takes its value as the key's revision, so no revision comes
/// twice, not even when a key is deleted and made again. A key whose time is over is as good as deleted. Calls must be
/// safe to cancel by dropping the future: a write then happened whole or not at all.
#[async_trait]
pub trait KeyValue: Send + Sync + 'static {
    /// Makes it ready for use; nothing when it is. Called before a plugin that is granted a bucket serves.
    ///
    /// # Errors
    /// [`KvError::Unavailable`].
    async fn open(&self) -> Result<(), KvError>;

    /// The value of a key.
    ///
    /// # Errors
    /// [`KvError::Unavailable`].
    async fn get(&self, key: KvKey<'_>) -> Result<Option<KvEntry>, KvError>;

    /// Writes a key, with `if_revision` only when it has that revision now, 0 for no such key. The new revision.
    ///
    /// # Errors
    /// [`KvError::Conflict`], [`KvError::Unavailable`].
    async fn put(
        &self,
        key: KvKey<'_>,
        value: &[u8],
        if_revision: Option<u64>,
        ttl: Option<Duration>,
    ) -> Result<u64, KvError>;

    /// Deletes a key, with `if_revision` only when it has that revision now. Whether there was one.
    ///
    /// # Errors
    /// [`KvError::Conflict`], [`KvError::Unavailable`].
    async fn delete(&self, key: KvKey<'_>, if_revision: Option<u64>) -> Result<bool, KvError>;

    /// Adds to an integer kept as decimal text, 0 when there is no such key; a key made by it gets `ttl`. The sum.
    ///
    /// # Errors
    /// [`KvError::NotAnInteger`], also when the sum is out of range; [`KvError::Unavailable`].
    async fn increment(&self, key: KvKey<'_>, delta: i64, ttl: Option<Duration>) -> Result<i64, KvError>;

    /// At most `limit` keys of a bucket that begin with `prefix`, in the order of their bytes, after `after`.
    ///
    /// # Errors
    /// [`KvError::Unavailable`].
    async fn keys(&self, bucket: &str, prefix: &str, after: Option<&str>, limit: u32) -> Result<Vec<String>, KvError>;
}

/// A key in its bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KvKey<'a> {
    /// The bucket.
    pub bucket: &'a str,
    /// The key.
    pub key: &'a str,
}

/// A value and its revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KvEntry {
    /// The value.
    pub value: Vec<u8>,
    /// Never 0; greater after every write.
    pub revision: u64,
}

/// Why there is no answer. Nothing was read or written, but for [`KvError::Unavailable`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KvError {
    /// The key has another revision: this one, 0 when there is no such key.
    #[error("the key has revision {0}")]
    Conflict(u64),
    /// The value is no integer, or the sum is out of range.
    #[error("the value is no integer, or the sum is out of range")]
    NotAnInteger,
    /// The store is away, or went away before it answered: a write may have happened all the same.
    #[error("{0}")]
    Unavailable(String),
}

/// Whether a key of this revision, 0 for none, may be written.
///
/// # Errors
/// [`KvError::Conflict`] when another was asked for.
pub fn expect_revision(found: u64, wanted: Option<u64>) -> Result<(), KvError> {
    if wanted.is_some_and(|wanted| wanted != found) { Err(KvError::Conflict(found)) } else { Ok(()) }
}

/// The sum of an integer kept as decimal text, 0 when there is none, and `delta`.
///
/// # Errors
/// [`KvError::NotAnInteger`].
pub fn add(found: Option<&[u8]>, delta: i64) -> Result<i64, KvError> {
    let now = match found {
        Some(value) => str::from_utf8(value).ok().and_then(|text| text.parse::<i64>().ok()),
        None => Some(0),
    };
    now.and_then(|now| now.checked_add(delta)).ok_or(KvError::NotAnInteger)
}

/// When a key written at `now_ms` is over, in milliseconds since the Unix epoch.
#[must_use]
pub fn expiry_ms(now_ms: u64, ttl: Option<Duration>) -> Option<u64> {
    ttl.map(|ttl| now_ms.saturating_add(u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX)))
}
