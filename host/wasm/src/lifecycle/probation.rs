//! Probation: the time after a swap in which the server counts the faults of a version, and rolls it back if there are
//! too many.
//!
//! For a version that is not on probation, each call costs one read of a flag.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant as Moment;

use super::quarantine::Quarantined;
use crate::plugin::Plugin;
use crate::run::Counts;
use tidegate_core::config::Rollback;

/// The probation of a version.
#[derive(Debug, Default)]
pub(crate) struct Probation {
    watched: AtomicBool,
    calls: AtomicU32,
    faults: AtomicU32,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    watch: Option<Watch>,
    failed: Option<Failed>,
}

/// The terms of a probation.
#[derive(Debug)]
struct Watch {
    until: Moment,
    faults_max: u32,
    percent: u8,
    /// The counts of the version before.
    before: Counts,
    notify: Arc<Notify>,
}

/// A failed probation.
#[derive(Debug, Clone, Copy)]
struct Failed {
    counts: Counts,
    paused: bool,
}

impl Probation {
    /// Notes the end of a call: `fault` as [`Failure::verdict`](crate::run::Failure::verdict) says, and whether it made
    /// the breaker open.
    pub(crate) fn note(&self, fault: Option<bool>, opened: bool) {
        if !self.watched.load(Ordering::Relaxed) {
            return;
        }
        let Some(fault) = fault else { return };
        let calls = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
        if fault {
            let faults = self.faults.fetch_add(1, Ordering::Relaxed) + 1;
            self.judge(Counts { calls: calls.into(), faults: faults.into() }, opened);
        }
    }

    fn judge(&self, counts: Counts, opened: bool) {
        let mut state = self.state.lock();
        let Some(watch) = &state.watch else { return };
        if Moment::now() >= watch.until {
            self.watched.store(false, Ordering::Relaxed);
            return;
        }
        let too_many = counts.faults >= watch.faults_max.into();
        let too_often = counts.faults * 100 >= counts.calls * u64::from(watch.percent);
        if (opened || too_many && too_often) && counts.worse_than(watch.before) {
            self.watched.store(false, Ordering::Relaxed);
            let notify = watch.notify.clone();
            *state = State { watch: None, failed: Some(Failed { counts, paused: opened }) };
            notify.notify_one();
        }
    }
}

impl Plugin {
    /// Begins the probation of this version, which replaced `before`. A notification of `notify` means that
    /// [`Plugin::has_failed`] may have changed.
    pub fn watch(&self, terms: &Rollback, before: Option<&Self>, notify: &Arc<Notify>) {
        let mut state = self.probation.state.lock();
        self.probation.calls.store(0, Ordering::Relaxed);
        self.probation.faults.store(0, Ordering::Relaxed);
        let watch = Watch {
            until: Moment::now() + terms.probation.get(),
            faults_max: terms.faults.get(),
            percent: terms.percent,
            before: before.map(|before| before.statistics.counts()).unwrap_or_default(),
            notify: notify.clone(),
        };
        *state = State { watch: Some(watch), failed: None };
        self.probation.watched.store(true, Ordering::Relaxed);
    }

    /// Ends the probation.
    pub fn unwatch(&self) {
        self.probation.watched.store(false, Ordering::Relaxed);
        *self.probation.state.lock() = State::default();
    }

    /// Whether the version failed its probation, and must be rolled back.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.probation.state.lock().failed.is_some()
    }

    /// The entry of the quarantine for this version, which is rolled back to `good`.
    #[must_use]
    pub fn quarantined(&self, good: &Self) -> Quarantined {
        Quarantined::new(self, good, format!("rolled back: {}", self.failing()))
    }

    /// The calls and faults since the swap, in a sentence.
    #[must_use]
    pub fn failing(&self) -> String {
        let failed = self.probation.state.lock().failed;
        let Counts { calls, faults } = failed.map_or_else(|| self.statistics.counts(), |failed| failed.counts);
        let mut reason = format!("{faults} of {calls} calls after the swap failed");
        if failed.is_some_and(|failed| failed.paused) {
            reason += " and its breaker opened";
        }
        if let Some(last) = self.statistics.last_fault() {
            reason += &format!("; the last: {}: {}", last.kind, last.detail);
        }
        reason
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::time::Duration;

    use super::*;
    use tidegate_core::config::HumanDuration;

    fn watched(faults_max: u32, percent: u8, before: Counts) -> Probation {
        let terms = Rollback::default();
        let until = Moment::now() + HumanDuration::new(Duration::from_secs(10)).get();
        let faults_max = NonZeroU32::new(faults_max).unwrap_or(terms.faults).get();
        let watch = Watch { until, faults_max, percent, before, notify: Arc::default() };
        let state = Mutex::new(State { watch: Some(watch), failed: None });
        Probation { watched: AtomicBool::new(true), state, ..Probation::default() }
    }

    fn fail(probation: &Probation, times: u32) -> bool {
        (0..times).for_each(|_| probation.note(Some(true), false));
        probation.state.lock().failed.is_some()
    }

    #[tokio::test(start_paused = true)]
    async fn a_version_fails_by_its_number_of_faults() {
        let probation = watched(3, 20, Counts::default());
        assert!(!fail(&probation, 2));
        probation.note(None, false);
        assert!(fail(&probation, 1));
        assert!(!probation.watched.load(Ordering::Relaxed), "it is told once");
    }

    #[tokio::test(start_paused = true)]
    async fn rare_faults_are_not_held_against_it() {
        let probation = watched(3, 20, Counts::default());
        (0..12).for_each(|_| probation.note(Some(false), false));
        assert!(!fail(&probation, 2));
        assert!(fail(&probation, 1), "3 of 15 are 20 percent");
    }

    #[tokio::test(start_paused = true)]
    async fn a_version_no_worse_than_the_one_before_stays() {
        let probation = watched(3, 20, Counts { calls: 10, faults: 10 });
        assert!(!fail(&probation, 50));
        probation.note(Some(true), true);
        assert!(probation.state.lock().failed.is_none(), "that its breaker opens says no more");
    }

    #[tokio::test(start_paused = true)]
    async fn an_open_breaker_needs_no_more_faults() {
        let probation = watched(100, 20, Counts { calls: 1000, faults: 1 });
        probation.note(Some(true), true);
        assert!(probation.state.lock().failed.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn what_happens_after_its_time_is_for_the_breaker_alone() {
        let probation = watched(1, 0, Counts::default());
        tokio::time::advance(Duration::from_secs(10)).await;
        assert!(!fail(&probation, 5));
        assert!(!probation.watched.load(Ordering::Relaxed));
    }
}
