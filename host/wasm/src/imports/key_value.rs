//! `tidegate:kv/store`: the granted buckets of keys, within sizes and a rate.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant as Moment, timeout_at};

use super::rate::Rate;
use crate::contract::store::{self, Entry, Error};
use crate::manifest::Grants;
use crate::manifest::PluginLimits;
use crate::run::Guest;
use crate::tape::{self, Answer, Played, bytes_as_json, record};
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
        tape::kv().unwrap_or_else(|| self.store.clone())
    }

    /// Checks that the plugin may make this call now.
    fn admit(&self, bucket: &str, key: &str, value: &[u8]) -> Result<(), Error> {
        if !self.buckets.contains(bucket) {
            return Err(Error::Denied);
        }
        if key.len() > KEY_BYTES_MAX || value.len() > self.value_bytes_max {
            return Err(Error::TooLarge);
        }
        if tape::plays() || self.rate.admit() { Ok(()) } else { Err(Error::RateLimited) }
    }
}

impl store::Host for Guest {
    async fn get(&mut self, bucket: String, key: String) -> Result<Option<Entry>, Error> {
        let capabilities = self.capabilities.clone();
        let store = capabilities.kv.store();
        let admitted = capabilities.kv.admit(&bucket, &key, &[]);
        let of = KvKey { bucket: &bucket, key: &key };
        let question = Question { import: "kv.get", bucket: &bucket, key: Some(&key), asked: &|| json!([bucket, key]) };
        let answer = async { store.get(of).await.map(|found| found.map(Entry::from)) };
        let found = self.ask(admitted, question, answer).await?;
        if let Some(keys) = tape::overlay()
            && !keys.is_changed(&bucket, Some(&key))
        {
            keys.learn(of, found.clone().map(|Entry { value, revision }| KvEntry { value, revision }));
        }
        Ok(found)
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
        let of = KvKey { bucket: &bucket, key: &key };
        let asked = || json!([bucket, key, bytes_as_json(&value), if_revision, ttl_ms]);
        let question = Question { import: "kv.put", bucket: &bucket, key: Some(&key), asked: &asked };
        let revision = self.ask(admitted, question, store.put(of, &value, if_revision, ttl)).await?;
        if let Some(keys) = tape::overlay()
            && !keys.is_changed(&bucket, Some(&key))
        {
            keys.learn(of, Some(KvEntry { value, revision }));
        }
        Ok(revision)
    }

    async fn delete(&mut self, bucket: String, key: String, if_revision: Option<u64>) -> Result<bool, Error> {
        let capabilities = self.capabilities.clone();
        let store = capabilities.kv.store();
        let admitted = capabilities.kv.admit(&bucket, &key, &[]);
        let asked = || json!([bucket, key, if_revision]);
        let question = Question { import: "kv.delete", bucket: &bucket, key: Some(&key), asked: &asked };
        self.ask(admitted, question, store.delete(KvKey { bucket: &bucket, key: &key }, if_revision)).await
    }

    async fn increment(&mut self, bucket: String, key: String, delta: i64, ttl_ms: Option<u64>) -> Result<i64, Error> {
        let capabilities = self.capabilities.clone();
        let store = capabilities.kv.store();
        let admitted = capabilities.kv.admit(&bucket, &key, &[]);
        let ttl = ttl_ms.map(Duration::from_millis);
        let asked = || json!([bucket, key, delta, ttl_ms]);
        let question = Question { import: "kv.increment", bucket: &bucket, key: Some(&key), asked: &asked };
        self.ask(admitted, question, store.increment(KvKey { bucket: &bucket, key: &key }, delta, ttl)).await
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
        let asked = || json!([bucket, prefix, after, limit]);
        let question = Question { import: "kv.keys", bucket: &bucket, key: None, asked: &asked };
        self.ask(admitted, question, store.keys(&bucket, &prefix, after.as_deref(), limit)).await
    }
}

/// A question to the store, for the tape.
struct Question<'a> {
    import: &'static str,
    bucket: &'a str,
    /// `None`: all keys of the bucket.
    key: Option<&'a str>,
    asked: &'a (dyn Fn() -> Value + Sync),
}

impl Question<'_> {
    /// What the tape says that plays.
    fn play(&self) -> Played {
        tape::play_key(self.import, self.bucket, self.key, self.asked)
    }
}

impl Guest {
    /// Asks the store if the call was admitted, and counts the host call either way.
    async fn ask<T>(
        &mut self,
        admitted: Result<(), Error>,
        question: Question<'_>,
        answer: impl Future<Output = Result<T, KvError>> + Send,
    ) -> Result<T, Error>
    where
        Result<T, Error>: Answer,
    {
        let call = self.begin_host_call("kv");
        let played = question.play().read::<Result<T, Error>>().await;
        let answer = match (admitted, played) {
            (Ok(()), Some(answer)) => answer,
            (Err(error), Some(_)) => Err(error),
            (admitted, None) => {
                let asked = record::asks(question.import, question.asked);
                let answer = match admitted {
                    Ok(()) => {
                        let deadline = (Moment::now() + self.capabilities.kv.time_max).min(self.answer_by());
                        in_time(deadline, answer).await
                    }
                    Err(error) => Err(error),
                };
                record::answers(asked, || answer.to_json());
                answer
            }
        };
        self.end_host_call(call, answer.as_ref().map_or_else(outcome, |_| "ok"));
        answer
    }
}

impl From<KvEntry> for Entry {
    fn from(KvEntry { value, revision }: KvEntry) -> Self {
        Self { value, revision }
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
