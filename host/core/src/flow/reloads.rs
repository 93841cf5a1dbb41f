//! The last reloads, for operators.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use serde::Serialize;

use crate::channels::{Change, ChangeKind};
use crate::config::Diagnostic;

/// Most reloads that are remembered.
pub const RELOADS_MAX: usize = 50;
/// Most changes, files and errors that are remembered of each.
const EACH_MAX: usize = 200;

/// A reload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reload {
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// What became of it.
    pub outcome: ReloadOutcome,
    /// The generation that serves since then, if it was applied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
    /// How long it took.
    pub took_ms: u64,
    /// What it changed, in words, the most serious first.
    pub changes: Vec<String>,
    /// The kind of each change, in the order of `changes`.
    pub kinds: Vec<ChangeKind>,
    /// The files that changed; or that hold it up.
    pub files: Vec<String>,
    /// What is wrong in the files.
    pub errors: Vec<ReloadError>,
}

/// What became of a reload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReloadOutcome {
    /// The files serve. Errors are of parts that stay as they were.
    Applied,
    /// The generation before serves on.
    Rejected,
    /// A plugin failed after a reload, and its version before serves again.
    RolledBack,
}

/// An error in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReloadError {
    /// The file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// The line in it, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// What is wrong.
    pub message: String,
    /// The way out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// Remembers the last reloads, and tells whoever listens.
#[derive(Default)]
pub struct ReloadLog {
    last: Mutex<VecDeque<Arc<Reload>>>,
    listener: OnceLock<Listener>,
}

type Listener = Box<dyn Fn(&Reload) + Send + Sync>;

impl Reload {
    /// A reload without a generation, changes, files and errors.
    #[must_use]
    pub fn new(at_ms: u64, outcome: ReloadOutcome, took_ms: u64) -> Self {
        let (changes, kinds, files, errors) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { at_ms, outcome, generation: None, took_ms, changes, kinds, files, errors }
    }

    /// With this in force.
    #[must_use]
    pub fn applied(self, generation: u64, changes: &[Change]) -> Self {
        let told = || changes.iter().take(EACH_MAX);
        let kinds = told().map(|change| change.kind).collect();
        Self { generation: Some(generation), changes: told().map(ToString::to_string).collect(), kinds, ..self }
    }

    /// By these files.
    #[must_use]
    pub fn by(self, files: impl IntoIterator<Item = String>) -> Self {
        Self { files: files.into_iter().take(EACH_MAX).collect(), ..self }
    }

    /// With this as its error.
    #[must_use]
    pub fn saying(mut self, message: &str) -> Self {
        self.errors.push(ReloadError { place: None, line: None, message: message.to_owned(), hint: None });
        self
    }

    /// With these errors.
    #[must_use]
    pub fn with_errors(self, mistakes: &[Diagnostic]) -> Self {
        Self { errors: mistakes.iter().take(EACH_MAX).map(ReloadError::of).collect(), ..self }
    }
}

impl ReloadError {
    fn of(mistake: &Diagnostic) -> Self {
        Self {
            place: mistake.place.as_ref().map(|place| place.source.path.clone()),
            line: mistake.place.as_ref().map(|place| place.line),
            message: mistake.message.clone(),
            hint: mistake.hint.clone(),
        }
    }
}

impl ReloadLog {
    /// From now on `listener` hears of each reload. Of several only the first does.
    pub fn listen(&self, listener: impl Fn(&Reload) + Send + Sync + 'static) {
        let _ = self.listener.set(Box::new(listener));
    }

    /// Remembers a reload in the place of the oldest.
    pub fn note(&self, reload: Reload) {
        if let Some(tell) = self.listener.get() {
            tell(&reload);
        }
        let mut reloads = self.last.lock();
        if reloads.len() == RELOADS_MAX {
            reloads.pop_back();
        }
        reloads.push_front(Arc::new(reload));
    }

    /// The last reloads, the newest first.
    #[must_use]
    pub fn newest_first(&self) -> Vec<Arc<Reload>> {
        self.last.lock().iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_reloads_stay() {
        let (log, heard) = (ReloadLog::default(), Arc::new(Mutex::new(0)));
        let counts = Arc::clone(&heard);
        log.listen(move |_| *counts.lock() += 1);
        (0..200).for_each(|at_ms| log.note(Reload::new(at_ms, ReloadOutcome::Applied, 1)));
        let kept: Vec<u64> = log.newest_first().iter().map(|reload| reload.at_ms).collect();
        assert_eq!((kept.len(), kept[0], kept[RELOADS_MAX - 1]), (RELOADS_MAX, 199, 150));
        assert_eq!(*heard.lock(), 200);
    }
}
