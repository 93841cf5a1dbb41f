//! Records what a plugin does during one call, for `tidegate plugin call`.
//!
//! A call runs in the task of its caller, imports included, so the record belongs to the task. If nobody records, a
//! note costs one look at a thread-local.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

tokio::task_local! {
    static RECORD: RefCell<Recorded>;
}

/// What a plugin did while it was recorded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recorded {
    /// Its log lines, level and text, in order, without those beyond `limits.log_lines` and `limits.log_rate`.
    pub log: Vec<(&'static str, String)>,
    /// Log lines that were dropped.
    pub log_dropped: u32,
    /// What it wrote to standard output and error.
    pub printed: String,
    /// How often it called each import.
    pub host_calls: BTreeMap<&'static str, u32>,
    /// The HTTP requests that it sent and their results, in order.
    pub http: Vec<HttpSeen>,
    /// Linear memory of the instance that was called last, in bytes; `None` if no call succeeded.
    pub memory_bytes: Option<usize>,
}

/// An HTTP request of a plugin and its result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpSeen {
    /// The method.
    pub method: String,
    /// The URL.
    pub url: String,
    /// The status of the response, or the error in the words of the contract.
    pub told: Result<u16, String>,
    /// How long it took.
    pub took: Duration,
}

/// Runs calls of plugins, and records what they do.
pub async fn recorded<T>(calls: impl Future<Output = T>) -> (T, Recorded) {
    RECORD
        .scope(RefCell::default(), async {
            let answer = calls.await;
            (answer, RECORD.with(RefCell::take))
        })
        .await
}

/// Records something, if somebody records.
pub(super) fn note(what: impl FnOnce(&mut Recorded)) {
    let _ = RECORD.try_with(|record| what(&mut record.borrow_mut()));
}

/// Records a call of an import.
pub(super) fn host_call(import: &'static str) {
    note(|record| *record.host_calls.entry(import).or_default() += 1);
}
