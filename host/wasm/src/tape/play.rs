//! Plays the tape of another call: each question is answered as the host answered it then.
//!
//! An answer is taken once. The first question with the same function and the same arguments takes the first one; an
//! HTTP request that only differs in its header fields or its body takes the next answer for its method and URL, and is
//! counted.

use std::cell::RefCell;
use std::sync::Arc;

use serde_json::Value;

use super::answer::Answer;
use super::overlay::Overlay;
use super::record::Entry;

/// What a plugin reads that asks what the tape does not answer.
pub(super) const NO_ANSWER: &str = "the record has no answer to this";
/// The function whose answers fit by method and URL, too.
const HTTP: &str = "http.send";
/// Functions whose arguments say nothing: they may be asked more often than the tape tells.
const OF_THE_MOMENT: &str = "clock.";
/// Most questions without an answer that are told of one call.
const MISSED_MAX: usize = 20;

tokio::task_local! {
    static PLAY: RefCell<Play>;
}

/// A tape that plays.
pub(crate) struct Play {
    /// The entries; `None` where the answer was taken.
    left: Vec<Option<Entry>>,
    missed: Vec<Missed>,
    missed_count: usize,
    overlay: Arc<Overlay>,
    received_at_ms: u64,
}

/// A question that the tape did not answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Missed {
    pub(crate) import: &'static str,
    pub(crate) asked: Value,
}

/// What of the tape nobody asked for.
#[derive(Debug, Default)]
pub(crate) struct Unused {
    pub(crate) missed: Vec<Missed>,
    pub(crate) missed_count: usize,
    pub(crate) unused: Vec<Entry>,
}

/// What the tape says to a question.
pub(crate) enum Played {
    /// No tape plays, or the keys were changed meanwhile: ask the host.
    Host,
    /// This answer.
    Answer(Value),
    /// The call ended before the host answered.
    Never,
    /// Nothing.
    Missing,
}

impl Played {
    /// The answer of the tape; `None` where the host is to be asked. It never comes where the host never gave it.
    pub(crate) async fn read<T: Answer>(self) -> Option<T> {
        match self {
            Self::Answer(answer) => T::from_json(&answer),
            Self::Never => std::future::pending().await,
            Self::Host | Self::Missing => None,
        }
    }
}

impl Play {
    pub(crate) fn new(entries: Vec<Entry>, overlay: Overlay, received_at_ms: u64) -> Self {
        let left = entries.into_iter().map(Some).collect();
        Self { left, missed: Vec::new(), missed_count: 0, overlay: Arc::new(overlay), received_at_ms }
    }

    fn take(&mut self, import: &str, asked: &Value) -> Option<Value> {
        let fits =
            |entry: &Option<Entry>| entry.as_ref().is_some_and(|entry| entry.import == import && entry.asked == *asked);
        let at = self.left.iter().position(fits)?;
        self.left[at].take().map(|entry| entry.answer)
    }

    /// The next answer to a request of this method and URL.
    fn take_alike(&mut self, import: &str, asked: &Value) -> Option<Value> {
        if import != HTTP {
            return None;
        }
        let same = |entry: &Entry| ["method", "url"].iter().all(|key| entry.asked.get(key) == asked.get(key));
        let fits = |entry: &Option<Entry>| entry.as_ref().is_some_and(|entry| entry.import == HTTP && same(entry));
        let at = self.left.iter().position(fits)?;
        self.left[at].take().map(|entry| entry.answer)
    }

    fn answer(&mut self, import: &'static str, asked: Value) -> Played {
        if let Some(answer) = self.take(import, &asked) {
            return if answer.is_null() { Played::Never } else { Played::Answer(answer) };
        }
        let alike = self.take_alike(import, &asked);
        self.missed_count += 1;
        if self.missed.len() < MISSED_MAX {
            self.missed.push(Missed { import, asked });
        }
        match alike {
            Some(Value::Null) => Played::Never,
            Some(answer) => Played::Answer(answer),
            None if import.starts_with(OF_THE_MOMENT) => self.last_moment(import),
            None => Played::Missing,
        }
    }

    /// The time when the call came in: then it stands still.
    fn last_moment(&self, import: &str) -> Played {
        match import {
            "clock.now_ms" => Played::Answer(self.received_at_ms.into()),
            _ => Played::Missing,
        }
    }
}

/// Runs a call in whose course this tape plays, and gives what did not fit.
pub(crate) async fn playing<T>(tape: Play, call: impl Future<Output = T>) -> (T, Unused) {
    PLAY.scope(RefCell::new(tape), async {
        let answer = call.await;
        let rest = PLAY.with(|play| {
            let mut play = play.borrow_mut();
            let unused = play.left.drain(..).flatten().collect();
            Unused { missed: std::mem::take(&mut play.missed), missed_count: play.missed_count, unused }
        });
        (answer, rest)
    })
    .await
}

/// Whether a tape plays.
pub(crate) fn plays() -> bool {
    PLAY.try_with(|_| ()).is_ok()
}

/// The answer to a question.
pub(crate) fn play(import: &'static str, asked: impl FnOnce() -> Value) -> Played {
    PLAY.try_with(|play| play.borrow_mut().answer(import, asked())).unwrap_or(Played::Host)
}

/// The answer to a question about a key (or all keys of the bucket): from the overlay if the plugin changed it.
pub(crate) fn play_key(import: &'static str, bucket: &str, key: Option<&str>, asked: impl FnOnce() -> Value) -> Played {
    let played = PLAY.try_with(|play| {
        let mut play = play.borrow_mut();
        if play.overlay.is_changed(bucket, key) {
            play.take(import, &asked());
            return Played::Host;
        }
        play.answer(import, asked())
    });
    played.unwrap_or(Played::Host)
}

/// The keys of the call that plays.
pub(crate) fn overlay() -> Option<Arc<Overlay>> {
    PLAY.try_with(|play| play.borrow().overlay.clone()).ok()
}

/// When the call that plays came in.
pub(super) fn received_at_ms() -> Option<u64> {
    PLAY.try_with(|play| play.borrow().received_at_ms).ok()
}
