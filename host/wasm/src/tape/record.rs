//! Records what a plugin does during one call, for `tidegate plugin call`, for recordings and for shadows.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::Instant as Moment;

use super::answer::weight;

/// Most bytes of the questions and answers of one call that are kept.
const ENTRIES_BYTES_MAX: usize = 4 << 20;

tokio::task_local! {
    static RECORD: RefCell<State>;
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

/// One question to the host, and its answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// The function: `kv.get`.
    pub(crate) import: Cow<'static, str>,
    /// Its arguments.
    pub(crate) asked: Value,
    /// `null`: the call ended before the host answered.
    pub(crate) answer: Value,
    /// How long the answer took, in microseconds.
    pub(crate) took_us: u64,
}

/// What was heard of one call.
#[derive(Debug, Clone, Default)]
pub(crate) struct Heard {
    /// The questions to the host, in order.
    pub(crate) entries: Vec<Entry>,
    /// Whether there were more than are kept: then the tape is not whole.
    pub(crate) is_cut: bool,
    /// When the call came in, in milliseconds since the Unix epoch.
    pub(crate) received_at_ms: u64,
    /// How long the plugin itself worked: without the wait for an instance, and for the host.
    pub(crate) busy: Duration,
    /// Linear memory of its instance after a success, in bytes.
    pub(crate) memory_bytes: Option<usize>,
}

#[derive(Default)]
struct State {
    recorded: Recorded,
    /// `None` where nobody asked for them.
    heard: Option<(Heard, usize)>,
}

/// A question that was noted; `None` where nobody listens.
pub(crate) struct Asked(Option<(usize, Moment)>);

/// Runs calls of plugins, and records what they do.
pub async fn recorded<T>(calls: impl Future<Output = T>) -> (T, Recorded) {
    RECORD
        .scope(RefCell::default(), async {
            let answer = calls.await;
            (answer, RECORD.with(RefCell::take).recorded)
        })
        .await
}

/// Runs one call, and keeps its tape.
pub(crate) async fn heard<T>(call: impl Future<Output = T>) -> (T, Heard) {
    let state = State { heard: Some((Heard::default(), 0)), ..State::default() };
    RECORD
        .scope(RefCell::new(state), async {
            let answer = call.await;
            let State { recorded, heard } = RECORD.with(RefCell::take);
            let heard = heard.map(|(heard, _)| heard).unwrap_or_default();
            (answer, Heard { memory_bytes: recorded.memory_bytes, ..heard })
        })
        .await
}

/// Notes something, if there is a record.
pub(crate) fn note(what: impl FnOnce(&mut Recorded)) {
    let _ = RECORD.try_with(|record| what(&mut record.borrow_mut().recorded));
}

/// Notes a host call.
pub(crate) fn host_call(import: &'static str) {
    note(|record| *record.host_calls.entry(import).or_default() += 1);
}

fn listen<T>(what: impl FnOnce(&mut Heard, &mut usize) -> T) -> Option<T> {
    let told = RECORD.try_with(|record| record.borrow_mut().heard.as_mut().map(|(heard, bytes)| what(heard, bytes)));
    told.ok().flatten()
}

/// Whether somebody keeps the tape.
pub(crate) fn is_heard() -> bool {
    RECORD.try_with(|record| record.borrow().heard.is_some()).unwrap_or(false)
}

/// Notes a question to the host, if somebody listens.
pub(crate) fn asks(import: &'static str, asked: impl FnOnce() -> Value) -> Asked {
    let noted = listen(|heard, bytes| {
        let asked = asked();
        *bytes += weight(&asked);
        if *bytes > ENTRIES_BYTES_MAX {
            heard.is_cut = true;
            return None;
        }
        heard.entries.push(Entry { import: Cow::Borrowed(import), asked, answer: Value::Null, took_us: 0 });
        Some((heard.entries.len() - 1, Moment::now()))
    });
    Asked(noted.flatten())
}

/// Notes the answer to a question.
pub(crate) fn answers(asked: Asked, answer: impl FnOnce() -> Value) {
    let Asked(Some((at, since))) = asked else { return };
    listen(|heard, bytes| {
        let answer = answer();
        *bytes += weight(&answer);
        if *bytes > ENTRIES_BYTES_MAX {
            heard.is_cut = true;
            heard.entries.clear();
            return;
        }
        if let Some(entry) = heard.entries.get_mut(at) {
            entry.answer = answer;
            entry.took_us = micros(since.elapsed());
        }
    });
}

/// Notes when the call came in.
pub(crate) fn received(at_ms: u64) {
    listen(|heard, _| heard.received_at_ms = at_ms);
}

/// Notes how long the plugin itself worked.
pub(crate) fn worked(busy: impl FnOnce() -> Duration) {
    listen(|heard, _| heard.busy = busy());
}

/// Whole microseconds.
pub(crate) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
