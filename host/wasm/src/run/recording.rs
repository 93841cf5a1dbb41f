//! Records what a plugin does during one call, for `tidegate plugin call`.
//!
//! A call runs in the task of its caller, and so do its host calls. So the record belongs to the task. Without a
//! record, noting costs one read of a thread-local.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

tokio::task_local! {
    static RECORD: RefCell<Recorded>;
}

/// The record of a call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recorded {
    /// Its log lines, level and text, in order, without lines beyond `limits.log_lines` and `limits.log_rate`.
    pub log: Vec<(&'static str, String)>,
    /// The number of dropped log lines.
    pub log_dropped: u32,
    /// Its standard output and error.
    pub printed: String,
    /// How often it called each import.
    pub host_calls: BTreeMap<&'static str, u32>,
    /// Its HTTP requests and their results, in order.
    pub http: Vec<HttpSeen>,
    /// Linear memory of the last instance, in bytes; `None` if no call succeeded.
    pub memory_bytes: Option<usize>,
}

/// An HTTP request of a plugin, and its result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpSeen {
    /// The method.
    pub method: String,
    /// The URL.
    pub url: String,
    /// The status of the response; or the error, in the words of the contract.
    pub result: Result<u16, String>,
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

/// Notes something, if there is a record.
pub(crate) fn note(what: impl FnOnce(&mut Recorded)) {
    let _ = RECORD.try_with(|record| what(&mut record.borrow_mut()));
}

/// Notes a host call.
pub(crate) fn host_call(import: &'static str) {
    note(|record| *record.host_calls.entry(import).or_default() += 1);
}
