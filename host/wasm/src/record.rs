//! What a plugin did since it was loaded: calls and faults.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::contract::shorten;
use super::fault::Failure;
use super::probation::Counts;
use tidegate_core::flow::ports::{Clock as _, LastFault, SystemClock};

/// Calls and faults of one plugin.
#[derive(Debug)]
pub(super) struct Record {
    /// In seconds since the Unix epoch.
    pub(super) loaded_at_unix_s: u64,
    calls: AtomicU64,
    faults: AtomicU64,
    /// Faults that the plugin caused, and calls that say nothing about it.
    blamed: AtomicU64,
    unjudged: AtomicU64,
    last_fault: Mutex<Option<LastFault>>,
}

impl Record {
    /// The record of a plugin that was just loaded.
    pub(super) fn begin() -> Self {
        Self {
            loaded_at_unix_s: SystemClock.now_unix_s(),
            calls: AtomicU64::new(0),
            faults: AtomicU64::new(0),
            blamed: AtomicU64::new(0),
            unjudged: AtomicU64::new(0),
            last_fault: Mutex::new(None),
        }
    }

    /// Records the end of a call.
    pub(super) fn note(&self, failure: Option<&Failure>) {
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

    /// The calls that reached it, and the faults that it caused.
    pub(super) fn counts(&self) -> Counts {
        let calls = self.calls().saturating_sub(self.unjudged.load(Ordering::Relaxed));
        Counts { calls, faults: self.blamed.load(Ordering::Relaxed) }
    }

    pub(super) fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    pub(super) fn faults(&self) -> u64 {
        self.faults.load(Ordering::Relaxed)
    }

    pub(super) fn last_fault(&self) -> Option<LastFault> {
        self.last_fault.lock().clone()
    }
}
