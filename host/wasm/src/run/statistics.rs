//! The calls and faults of a plugin since it was loaded.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::fault::Failure;
use crate::contract::shorten;
use tidegate_core::flow::ports::{Clock as _, FaultKind, LastFault, RememberedFault, SystemClock};
use tidegate_core::protocol::Payload;

/// Most faults that are remembered with their calls, and most bytes of an input.
const FAULTS_MAX: usize = 10;
const INPUT_BYTES_MAX: usize = 1024;

/// Calls and faults of one plugin.
#[derive(Debug)]
pub(crate) struct Statistics {
    /// In seconds since the Unix epoch.
    pub(crate) loaded_at_unix_s: u64,
    calls: AtomicU64,
    faults: AtomicU64,
    /// The faults that the plugin is to blame for, and those that say nothing about it.
    blamed: AtomicU64,
    unjudged: AtomicU64,
    last_fault: Mutex<Option<LastFault>>,
    /// The last faults with what is known of their calls, the newest first.
    last_faults: Mutex<VecDeque<RememberedFault>>,
}

/// Calls, and the faults among them.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counts {
    pub(crate) calls: u64,
    pub(crate) faults: u64,
}

impl Statistics {
    /// The statistics of a plugin that was loaded just now.
    pub(crate) fn begin() -> Self {
        Self {
            loaded_at_unix_s: SystemClock.now_unix_s(),
            calls: AtomicU64::new(0),
            faults: AtomicU64::new(0),
            blamed: AtomicU64::new(0),
            unjudged: AtomicU64::new(0),
            last_fault: Mutex::new(None),
            last_faults: Mutex::default(),
        }
    }

    /// Notes the end of a call; one that its team's budget refused never began.
    pub(crate) fn note(&self, failure: Option<&Failure>) {
        if failure.is_some_and(|failure| failure.kind == FaultKind::OverBudget) {
            return;
        }
        self.calls.fetch_add(1, Ordering::Relaxed);
        if let Some(failure) = failure {
            self.faults.fetch_add(1, Ordering::Relaxed);
            match failure.verdict() {
                Some(true) => self.blamed.fetch_add(1, Ordering::Relaxed),
                Some(false) => 0,
                None => self.unjudged.fetch_add(1, Ordering::Relaxed),
            };
            let detail = shorten(failure.detail.clone());
            let at_unix_s = SystemClock.now_unix_s();
            *self.last_fault.lock() = Some(LastFault { kind: failure.kind.as_str(), detail, at_unix_s });
        }
    }

    /// Remembers a fault in the place of the oldest. A call that the breaker refused is no news.
    pub(crate) fn remember(&self, failure: &Failure, channel: Option<&str>, input: Option<&Payload>) {
        if failure.kind == FaultKind::Paused {
            return;
        }
        let fault = RememberedFault {
            at_ms: SystemClock.now_unix_ms(),
            kind: failure.kind.as_str(),
            message: shorten(failure.detail.clone()),
            channel: channel.map(str::to_owned),
            place: place_in(&failure.detail),
            log: failure.log.iter().cloned().collect(),
            input: input.map(|input| input.as_str()[..input.as_str().floor_char_boundary(INPUT_BYTES_MAX)].to_owned()),
        };
        let mut faults = self.last_faults.lock();
        if faults.len() == FAULTS_MAX {
            faults.pop_back();
        }
        faults.push_front(fault);
    }

    pub(crate) fn last_faults(&self) -> Vec<RememberedFault> {
        self.last_faults.lock().iter().cloned().collect()
    }

    /// The calls that reached the plugin, and the faults that it is to blame for.
    pub(crate) fn counts(&self) -> Counts {
        let calls = self.calls().saturating_sub(self.unjudged.load(Ordering::Relaxed));
        Counts { calls, faults: self.blamed.load(Ordering::Relaxed) }
    }

    pub(crate) fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    pub(crate) fn faults(&self) -> u64 {
        self.faults.load(Ordering::Relaxed)
    }

    pub(crate) fn last_fault(&self) -> Option<LastFault> {
        self.last_fault.lock().clone()
    }
}

/// The first place in a source that a message names, as every language writes it: `src/lib.rs:12:5`, `ping.js:3`.
fn place_in(message: &str) -> Option<String> {
    let ends = |c: char| c.is_whitespace() || "()[]<>\"'`,;".contains(c);
    let words = message.split(ends).map(|word| word.trim_end_matches([':', '.']));
    let is_place = |word: &&str| {
        let Some((file, numbers)) = word.split_once(':') else { return false };
        let has_ending = file.rsplit_once('.').is_some_and(|(name, ending)| {
            !name.is_empty() && (1..=4).contains(&ending.len()) && ending.starts_with(|c: char| c.is_ascii_alphabetic())
        });
        has_ending && numbers.split(':').all(|number| number.parse::<u32>().is_ok())
    };
    words.into_iter().find(is_place).map(str::to_owned)
}

impl Counts {
    /// Whether a larger share of these calls were faults.
    pub(crate) fn worse_than(self, other: Self) -> bool {
        u128::from(self.faults) * u128::from(other.calls.max(1)) > u128::from(other.faults) * u128::from(self.calls)
    }
}

#[cfg(test)]
mod tests {
    use super::place_in;

    #[test]
    fn a_place_in_the_source_is_found_in_the_words_of_every_language() {
        for (message, place) in [
            ("panicked at src/lib.rs:23:9:\nno such vault", Some("src/lib.rs:23:9")),
            ("Error: no\n    at handle (ping.js:10:3)", Some("ping.js:10:3")),
            ("main.go:7 +0x3", Some("main.go:7")),
            ("wasm trap: unreachable", None),
            ("https://example.com:80 did not answer at 10:30", None),
        ] {
            assert_eq!(place_in(message).as_deref(), place, "{message}");
        }
    }
}
