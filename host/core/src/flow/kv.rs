//! The key-value store as a port: the service behind `tidegate:kv`. The caller checks grants, sizes and rates.

use std::time::Duration;

use async_trait::async_trait;

/// Keys with values and revisions, in buckets.
///
/// Every write raises one counter of the whole store and uses its value as the key's revision. So no revision comes
/// twice, even if a key is deleted and created again. An expired key counts as deleted. Calls must be safe to cancel by
/// dropping the future: a write then happened completely or not at all.
#[async_trait]
pub trait KeyValue: Send + Sync + 'static {
    /// Opens the store, if it is not open. Called before a plugin with a granted bucket serves.
    ///
    /// # Errors
    /// [`KvError::Unavailable`].
    async fn open(&self) -> Result<(), KvError>;

    /// The value of a key.
    ///
    /// # Errors
    /// [`KvError::Unavailable`].
    async fn get(&self, key: KvKey<'_>) -> Result<Option<KvEntry>, KvError>;

    /// Writes a key; with `if_revision`, only if the key has that revision now (0: the key does not exist). Returns the
    /// new revision.
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

    /// Deletes a key; with `if_revision`, only if the key has that revision now. Returns whether the key existed.
    ///
    /// # Errors
    /// [`KvError::Conflict`], [`KvError::Unavailable`].
    async fn delete(&self, key: KvKey<'_>, if_revision: Option<u64>) -> Result<bool, KvError>;

    /// Adds to an integer stored as decimal text; a missing key counts as 0, and the new key gets `ttl`. Returns the
    /// sum.
    ///
    /// # Errors
    /// [`KvError::NotAnInteger`], also when the sum is out of range; [`KvError::Unavailable`].
    async fn increment(&self, key: KvKey<'_>, delta: i64, ttl: Option<Duration>) -> Result<i64, KvError>;

    /// At most `limit` keys of a bucket that begin with `prefix` and come after `after`, in the order of their bytes.
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
    /// Never 0; it grows with every write.
    pub revision: u64,
}

/// Why there is no answer. Nothing was read or written, except perhaps after [`KvError::Unavailable`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KvError {
    /// The key has another revision: this one, or 0 if the key does not exist.
    #[error("the key has revision {0}")]
    Conflict(u64),
    /// The value is not an integer, or the sum is out of range.
    #[error("the value is not an integer, or the sum is out of range")]
    NotAnInteger,
    /// The store is away, or went away before it answered: a write may have happened nevertheless.
    #[error("{0}")]
    Unavailable(String),
}

/// Checks that a key with this revision (0: no key) may be written.
///
/// # Errors
/// [`KvError::Conflict`] if the caller asked for another revision.
pub fn expect_revision(found: u64, wanted: Option<u64>) -> Result<(), KvError> {
    if wanted.is_some_and(|wanted| wanted != found) { Err(KvError::Conflict(found)) } else { Ok(()) }
}

/// The sum of `delta` and an integer stored as decimal text, or 0 if there is none.
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

/// When a key written at `now_ms` expires, in milliseconds since the Unix epoch.
#[must_use]
pub fn expiry_ms(now_ms: u64, ttl: Option<Duration>) -> Option<u64> {
    ttl.map(|ttl| now_ms.saturating_add(u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX)))
}
