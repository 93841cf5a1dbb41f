//! The key-value store: buckets of keys that survive a restart, shared by the plugins that are granted them.
//!
//! ```yaml
//! grants: { kv: [visits] }
//! ```
//!
//! ```
//! use tidegate_plugin::kv::{self, Bucket};
//!
//! const VISITS: Bucket<'_> = Bucket::new("visits");
//!
//! fn count(user: &str) -> Result<i64, kv::Error> {
//!     VISITS.increment(user, 1, None)
//! }
//! # assert_eq!(count("u1").unwrap(), 1);
//! ```
//!
//! In unit tests off wasm a store in memory stands in, one a thread, with every bucket granted.

use std::fmt;
use std::time::Duration;

use crate::Refusal;
#[cfg(target_arch = "wasm32")]
use crate::bindings::granted_world::tidegate::kv::store as host;
#[cfg(not(target_arch = "wasm32"))]
use crate::testing::kv as host;

/// A bucket, by the name in `grants.kv`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket<'a> {
    name: &'a str,
}

/// A value and its revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The value.
    pub value: Vec<u8>,
    /// Never 0; greater after every write.
    pub revision: u64,
}

/// Why there is no answer. Nothing was read or written, but for [`Error::Unavailable`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// The bucket is not in `grants.kv`.
    Denied,
    /// The key is longer than 512 bytes, or the value larger than `limits.kv_value`.
    TooLarge,
    /// The key has another revision: this one, 0 when there is no such key.
    Conflict(u64),
    /// The value is no integer, or the sum is out of range.
    NotAnInteger,
    /// More calls a second than `limits.kv`.
    RateLimited,
    /// The store is away or took longer than `limits.kv_time`, after which a write may have happened all the same. The
    /// sentence is for the log.
    Unavailable(String),
}

/// How a key is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Write {
    /// Only when the key has this revision now; 0 says that there must be no such key.
    pub if_revision: Option<u64>,
    /// The key is gone after this time, in whole milliseconds.
    pub ttl: Option<Duration>,
}

impl<'a> Bucket<'a> {
    /// The bucket of this name.
    #[must_use]
    pub const fn new(name: &'a str) -> Self {
        Self { name }
    }

    /// The value of a key; `None` when there is none or its time is over.
    ///
    /// # Errors
    /// [`Error`].
    pub fn get(self, key: &str) -> Result<Option<Entry>, Error> {
        let found = ours(host::get(self.name, key))?;
        Ok(found.map(|entry| Entry { value: entry.value, revision: entry.revision }))
    }

    /// Writes a key, whatever it was, to stay. The new revision.
    ///
    /// # Errors
    /// [`Error`].
    pub fn put(self, key: &str, value: impl AsRef<[u8]>) -> Result<u64, Error> {
        self.write(key, value, Write::default())
    }

    /// Writes a key on a condition, or for a time. The new revision.
    ///
    /// # Errors
    /// [`Error::Conflict`] when the condition does not hold; otherwise as any.
    pub fn write(self, key: &str, value: impl AsRef<[u8]>, how: Write) -> Result<u64, Error> {
        ours(host::put(self.name, key, value.as_ref(), how.if_revision, how.ttl.map(millis)))
    }

    /// Deletes a key, with `if_revision` only when it has that revision. Whether there was one.
    ///
    /// # Errors
    /// [`Error::Conflict`] when the key has another revision; otherwise as any.
    pub fn delete(self, key: &str, if_revision: Option<u64>) -> Result<bool, Error> {
        ours(host::delete(self.name, key, if_revision))
    }

    /// Adds to an integer kept as decimal text, 0 when there is no such key. A key made by it gets `ttl`. The sum.
    ///
    /// # Errors
    /// [`Error::NotAnInteger`], also when the sum is out of range; otherwise as any.
    pub fn increment(self, key: &str, delta: i64, ttl: Option<Duration>) -> Result<i64, Error> {
        ours(host::increment(self.name, key, delta, ttl.map(millis)))
    }

    /// Keys that begin with `prefix`, in the order of their bytes, after `after`: at most `limit`, never more than 1000.
    ///
    /// # Errors
    /// [`Error`].
    pub fn keys(self, prefix: &str, after: Option<&str>, limit: u32) -> Result<Vec<String>, Error> {
        ours(host::keys(self.name, prefix, after, limit))
    }
}

fn millis(ttl: Duration) -> u64 {
    u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX)
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied => f.write_str("the bucket is not in `grants.kv`"),
            Self::TooLarge => f.write_str("the key or the value is too large"),
            Self::Conflict(revision) => write!(f, "the key has revision {revision}"),
            Self::NotAnInteger => f.write_str("the value is no integer, or the sum is out of range"),
            Self::RateLimited => f.write_str("more calls a second than `limits.kv`"),
            Self::Unavailable(why) => write!(f, "the store is away: {why}"),
        }
    }
}

impl std::error::Error for Error {}

/// What may be better in a moment is [`Refusal::Unavailable`], the rest [`Refusal::Failed`].
impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        match error {
            Error::RateLimited | Error::Unavailable(_) => Self::Unavailable(error.to_string()),
            _ => Self::Failed(error.to_string()),
        }
    }
}

#[cfg(target_arch = "wasm32")]
fn ours<T>(answer: Result<T, host::Error>) -> Result<T, Error> {
    answer.map_err(|error| match error {
        host::Error::Denied => Error::Denied,
        host::Error::TooLarge => Error::TooLarge,
        host::Error::Conflict(revision) => Error::Conflict(revision),
        host::Error::NotAnInteger => Error::NotAnInteger,
        host::Error::RateLimited => Error::RateLimited,
        host::Error::Unavailable(why) => Error::Unavailable(why),
    })
}

/// Off wasm the store answers in these words already.
#[cfg(not(target_arch = "wasm32"))]
const fn ours<T>(answer: Result<T, Error>) -> Result<T, Error> {
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_that_passes_is_a_refusal_that_says_so() {
        assert!(matches!(Refusal::from(Error::RateLimited), Refusal::Unavailable(_)));
        assert!(matches!(Refusal::from(Error::Denied), Refusal::Failed(_)));
    }

    #[test]
    fn the_store_of_unit_tests_answers_as_the_host_does() {
        let bucket = Bucket::new("b");
        let first = bucket.put("k", "one").unwrap();
        assert_eq!(bucket.get("k").unwrap(), Some(Entry { value: b"one".to_vec(), revision: first }));
        let absent = Write { if_revision: Some(0), ttl: None };
        assert_eq!(bucket.write("k", "two", absent), Err(Error::Conflict(first)));
        assert_eq!(bucket.increment("k", 1, None), Err(Error::NotAnInteger));
        assert_eq!(bucket.increment("n", 2, None), Ok(2));
        assert_eq!(bucket.increment("n", -5, None), Ok(-3));
        assert_eq!(bucket.keys("", Some("k"), 9).unwrap(), ["n"]);
        assert_eq!(bucket.delete("k", Some(first)), Ok(true));
        assert_eq!(bucket.delete("k", None), Ok(false));
        bucket.write("gone", "", Write { ttl: Some(Duration::ZERO), ..Write::default() }).unwrap();
        assert_eq!(bucket.get("gone"), Ok(None));
    }
}
