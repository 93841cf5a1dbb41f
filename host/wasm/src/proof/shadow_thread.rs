//! The thread of a shadow. The operating system gives it the processor only when nobody else wants it. It ends when the
//! shadow does.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use async_trait::async_trait;
use rustix::process::nice;
use tokio::runtime::{Builder, Handle};
use tokio::sync::mpsc;

use super::listener::Ended;
use super::shadow::{Results, judge};
use crate::plugin::Plugin;
use tidegate_core::flow::kv::{KeyValue, KvEntry, KvError, KvKey};

/// The lowest priority that the operating system knows.
const NICENESS: i32 = 19;

/// Begins the thread that asks the candidate, call after call.
///
/// # Errors
/// The operating system's, when there can be no other thread.
pub(super) fn begin(
    candidate: Plugin,
    below: Arc<dyn KeyValue>,
    mut calls: mpsc::Receiver<Ended>,
    results: Arc<Results>,
) -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_time().build()?;
    let work = move || {
        // Of this thread only. Where it is not allowed, the candidate has the priority of all others.
        let _ = nice(NICENESS);
        runtime.block_on(async {
            while let Some(call) = calls.recv().await {
                judge(&candidate, &below, call, &results).await;
            }
        });
    };
    thread::Builder::new().name("plugin-shadow".to_owned()).spawn(work)?;
    Ok(())
}

/// A store that is only read, by tasks of the runtime that it belongs to.
pub(super) fn reading(store: Arc<dyn KeyValue>) -> Arc<dyn KeyValue> {
    Arc::new(Reading { store, runtime: Handle::current() })
}

struct Reading {
    store: Arc<dyn KeyValue>,
    runtime: Handle,
}

const ONLY_READ: &str = "the store of a shadow is only read";

impl Reading {
    async fn away<T: Send + 'static>(
        &self,
        answer: impl Future<Output = Result<T, KvError>> + Send + 'static,
    ) -> Result<T, KvError> {
        let answer = self.runtime.spawn(answer).await;
        answer.unwrap_or_else(|_| Err(KvError::Unavailable("the server ends".to_owned())))
    }
}

fn refused<T>() -> Result<T, KvError> {
    Err(KvError::Unavailable(ONLY_READ.to_owned()))
}

#[async_trait]
impl KeyValue for Reading {
    async fn open(&self) -> Result<(), KvError> {
        Ok(())
    }

    async fn get(&self, key: KvKey<'_>) -> Result<Option<KvEntry>, KvError> {
        let (store, bucket, key) = (self.store.clone(), key.bucket.to_owned(), key.key.to_owned());
        self.away(async move { store.get(KvKey { bucket: &bucket, key: &key }).await }).await
    }

    async fn put(&self, _: KvKey<'_>, _: &[u8], _: Option<u64>, _: Option<Duration>) -> Result<u64, KvError> {
        refused()
    }

    async fn delete(&self, _: KvKey<'_>, _: Option<u64>) -> Result<bool, KvError> {
        refused()
    }

    async fn increment(&self, _: KvKey<'_>, _: i64, _: Option<Duration>) -> Result<i64, KvError> {
        refused()
    }

    async fn keys(&self, bucket: &str, prefix: &str, after: Option<&str>, limit: u32) -> Result<Vec<String>, KvError> {
        let (store, bucket, prefix) = (self.store.clone(), bucket.to_owned(), prefix.to_owned());
        let after = after.map(str::to_owned);
        self.away(async move { store.keys(&bucket, &prefix, after.as_deref(), limit).await }).await
    }
}
