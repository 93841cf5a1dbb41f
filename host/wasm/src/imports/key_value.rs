//! `tidegate:kv/store`: the granted buckets of keys, within sizes and a rate.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant as Moment, timeout_at};

use super::rate::Rate;
use super::staged;
use crate::contract::store::{self, Entry, Error};
use crate::manifest::Grants;
use crate::manifest::PluginLimits;
use crate::run::Guest;
use tidegate_core::flow::kv::{KeyValue, KvEntry, KvError, KvKey};

/// Longest key, and longest prefix of keys, in bytes.
const KEY_BYTES_MAX: usize = 512;
/// Most keys that one call lists.
const KEYS_MAX: u32 = 1000;

/// The buckets that one version of a plugin may use.
pub(crate) struct KeyValueGrant {
    store: Arc<dyn KeyValue>,
    buckets: BTreeSet<String>,
    value_bytes_max: usize,
    time_max: Duration,
    rate: Rate,
}

impl KeyValueGrant {
    pub(super) fn new(store: Arc<dyn KeyValue>, grants: &Grants, limits: &PluginLimits) -> Self {
        Self {
            store,
            buckets: grants.kv.clone(),
            value_bytes_max: limits.kv_value_bytes_max,
            time_max: limits.kv_time_max,
            rate: Rate::new(limits.kv_per_second),
        }
    }

    /// The keys of the vector that runs, if it has any; else the store.
    fn store(&self) -> Arc<dyn KeyValue> {
        staged::kv().unwrap_or_else(|| self.store.clone())
    }

    /// Checks that the plugin may make this call now.
    fn admit(&self, bucket: &str, key: &str, value: &[u8]) -> Result<(), Error> {
        if !self.buckets.contains(bucket) {
            return Err(Error::Denied);
        }
        if key.len() > KEY_BYTES_MAX || value.len() > self.value_bytes_max {
            return Err(Error::TooLarge);
        }
        if self.rate.admit() { Ok(()) } else { Err(Error::RateLimited) }
    }
}

impl store::Host for Guest {
    async fn get(&mut self, bucket: String, key: String) -> Result<Option<Entry>, Error> {
        let capabilities = self.capabilities.clone();
        let store = capabilities.kv.store();
        let admitted = capabilities.kv.admit(&bucket, &key, &[]);
        let found = self.ask(admitted, store.get(KvKey { bucket: &bucket, key: &key })).await?;
        Ok(found.map(|KvEntry { value, revision }| Entry { value, revision }))
    }

    async fn put(
        &mut self,
        bucket: String,
        key: String,
        value: Vec<u8>,
        if_revision: Option<u64>,
        ttl_ms: Option<u64>,
    ) -> Result<u64, Error> {
        let capabilities = self.capabilities.clone();
        let store = capabilities.kv.store();
        let admitted = capabilities.kv.admit(&bucket, &key, &value);
        let ttl = ttl_ms.map(Duration::from_millis);
        self.ask(admitted, store.put(KvKey { bucket: &bucket, key: &key }, &value, if_revision, ttl)).await
    }

    async fn delete(&mut self, bucket: String, key: String, if_revision: Option<u64>) -> Result<bool, Error> {
        let capabilities = self.capabilities.clone();
        let store = capabilities.kv.store();
        let admitted = capabilities.kv.admit(&bucket, &key, &[]);
        self.ask(admitted, store.delete(KvKey { bucket: &bucket, key: &key }, if_revision)).await
    }

    async fn increment(&mut self, bucket: String, key: String, delta: i64, ttl_ms: Option<u64>) -> Result<i64, Error> {
        let capabilities = self.capabilities.clone();
        let store = capabilities.kv.store();
        let admitted = capabilities.kv.admit(&bucket, &key, &[]);
        let ttl = ttl_ms.map(Duration::from_millis);
        self.ask(admitted, store.increment(KvKey { bucket: &bucket, key: &key }, delta, ttl)).await
    }

    async fn keys(
        &mut self,
        bucket: String,
        prefix: String,
        after: Option<String>,
        limit: u32,
    ) -> Result<Vec<String>, Error> {
        let capabilities = self.capabilities.clone();
        let store = capabilities.kv.store();
        let admitted = capabilities.kv.admit(&bucket, &prefix, &[]);
        let limit = limit.min(KEYS_MAX);
        self.ask(admitted, store.keys(&bucket, &prefix, after.as_deref(), limit)).await
    }
}

impl Guest {
    /// Asks the store if the call was admitted, and counts the host call either way.
    async fn ask<T>(
        &mut self,
        admitted: Result<(), Error>,
        answer: impl Future<Output = Result<T, KvError>> + Send,
    ) -> Result<T, Error> {
        let call = self.begin_host_call("kv");
        let answer = match admitted {
            Ok(()) => {
                let deadline = (Moment::now() + self.capabilities.kv.time_max).min(self.answer_by());
                in_time(deadline, answer).await
            }
            Err(error) => Err(error),
        };
        self.end_host_call(call, answer.as_ref().map_or_else(outcome, |_| "ok"));
        answer
    }
}

/// The answer, or an error when it comes too late.
async fn in_time<T>(deadline: Moment, answer: impl Future<Output = Result<T, KvError>>) -> Result<T, Error> {
    match timeout_at(deadline, answer).await {
        Ok(answer) => answer.map_err(Error::from),
        Err(_) => {
            Err(Error::Unavailable("the store did not answer in time (`limits.kv_time`, `limits.wall`)".to_owned()))
        }
    }
}

fn outcome(error: &Error) -> &'static str {
    match error {
        Error::Denied => "denied",
        Error::TooLarge => "too_large",
        Error::Conflict(_) => "conflict",
        Error::NotAnInteger => "not_an_integer",
        Error::RateLimited => "rate_limited",
        Error::Unavailable(_) => "unavailable",
    }
}

impl From<KvError> for Error {
    fn from(error: KvError) -> Self {
        match error {
            KvError::Conflict(revision) => Self::Conflict(revision),
            KvError::NotAnInteger => Self::NotAnInteger,
            KvError::Unavailable(why) => Self::Unavailable(why),
        }
    }
}
