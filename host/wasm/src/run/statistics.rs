//! The calls and faults of a plugin since it was loaded.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::fault::Failure;
use crate::contract::shorten;
use tidegate_core::flow::ports::{Clock as _, LastFault, SystemClock};

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
        }
    }

    /// Notes the end of a call.
    pub(crate) fn note(&self, failure: Option<&Failure>) {
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

impl Counts {
    /// Whether a larger share of these calls were faults.
    pub(crate) fn worse_than(self, other: Self) -> bool {
        u128::from(self.faults) * u128::from(other.calls.max(1)) > u128::from(other.faults) * u128::from(self.calls)
    }
}
