//! Stops calling a plugin that keeps failing, and tries again after a pause.
//!
//! Closed, it counts calls and faults. Open, it refuses calls. After the pause it lets one call through: that call
//! decides whether it closes.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant as Moment;

use crate::manifest::{BreakerSettings, PAUSE_MAX};

/// The breaker of one call class of one plugin.
#[derive(Debug)]
pub(crate) struct Breaker {
    settings: BreakerSettings,
    state: Mutex<State>,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// Calls go through, and the breaker counts them.
    Closed { since: Moment, calls: u32, faults: u32 },
    /// The breaker refuses all calls.
    Open { until: Moment, pause: Duration },
    /// One call is running, and its result decides.
    Trying { pause: Duration },
}

/// What a call's end changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turned {
    /// The breaker opened: the plugin is not called for this long.
    Open(Duration),
    /// The breaker closed: the plugin is called again.
    Closed,
}

/// An admitted call. If it is dropped without [`Admission::end`], it does not count: it was cancelled, or it never
/// reached the plugin.
#[derive(Debug)]
pub(crate) struct Admission<'a> {
    breaker: &'a Breaker,
    decides: bool,
}

impl Breaker {
    pub(crate) fn new(settings: BreakerSettings) -> Self {
        let state = State::Closed { since: Moment::now(), calls: 0, faults: 0 };
        Self { settings, state: Mutex::new(state) }
    }

    /// Admits a call, or refuses it.
    pub(crate) fn admit(&self) -> Option<Admission<'_>> {
        let mut state = self.state.lock();
        match *state {
            State::Closed { .. } => Some(Admission { breaker: self, decides: false }),
            State::Open { until, pause } if Moment::now() >= until => {
                *state = State::Trying { pause };
                Some(Admission { breaker: self, decides: true })
            }
            State::Open { .. } | State::Trying { .. } => None,
        }
    }

    /// `open` or `closed`.
    pub(crate) fn word(&self) -> &'static str {
        if self.is_open() { "open" } else { "closed" }
    }

    /// Whether the breaker is open.
    pub(crate) fn is_open(&self) -> bool {
        !matches!(*self.state.lock(), State::Closed { .. })
    }

    fn count(&self, fault: bool) -> Option<Turned> {
        let now = Moment::now();
        let mut state = self.state.lock();
        // A call from before the breaker opened decides nothing.
        let State::Closed { since, calls, faults } = *state else { return None };
        let fresh = now.duration_since(since) > self.settings.window;
        let (since, calls, faults) = if fresh { (now, 0, 0) } else { (since, calls, faults) };
        let (calls, faults) = (calls.saturating_add(1), faults.saturating_add(u32::from(fault)));
        if faults >= self.settings.faults_max && faults >= calls.div_ceil(2) {
            let pause = self.settings.pause;
            *state = State::Open { until: now + pause, pause };
            return Some(Turned::Open(pause));
        }
        *state = State::Closed { since, calls, faults };
        None
    }

    fn decide(&self, fault: bool) -> Option<Turned> {
        let now = Moment::now();
        let mut state = self.state.lock();
        let State::Trying { pause } = *state else { return None };
        if fault {
            let pause = pause.saturating_mul(2).min(PAUSE_MAX);
            *state = State::Open { until: now + pause, pause };
            return Some(Turned::Open(pause));
        }
        *state = State::Closed { since: now, calls: 0, faults: 0 };
        Some(Turned::Closed)
    }
}

impl Admission<'_> {
    /// Ends the call; `fault` is whether the plugin itself failed.
    pub(crate) fn end(mut self, fault: bool) -> Option<Turned> {
        let turned = if self.decides { self.breaker.decide(fault) } else { self.breaker.count(fault) };
        self.decides = false;
        turned
    }
}

impl Drop for Admission<'_> {
    fn drop(&mut self) {
        if self.decides {
            let mut state = self.breaker.state.lock();
            if let State::Trying { pause } = *state {
                *state = State::Open { until: Moment::now(), pause };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaker() -> Breaker {
        let (window, pause) = (Duration::from_secs(10), Duration::from_secs(2));
        Breaker::new(BreakerSettings { faults_max: 3, window, pause })
    }

    fn call(breaker: &Breaker, fault: bool) -> Option<Turned> {
        breaker.admit().unwrap().end(fault)
    }

    fn open(breaker: &Breaker) {
        for _ in 0..3 {
            call(breaker, true);
        }
        assert!(breaker.is_open());
    }

    async fn pass(seconds: u64) {
        tokio::time::advance(Duration::from_secs(seconds)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn it_opens_when_half_of_the_calls_fail_and_not_before() {
        let breaker = breaker();
        for _ in 0..4 {
            assert_eq!(call(&breaker, false), None);
        }
        for _ in 0..3 {
            assert_eq!(call(&breaker, true), None);
        }
        assert_eq!(call(&breaker, true), Some(Turned::Open(Duration::from_secs(2))));
        assert!(breaker.admit().is_none() && breaker.is_open());
    }

    #[tokio::test(start_paused = true)]
    async fn faults_far_apart_do_not_add_up() {
        let breaker = breaker();
        for _ in 0..20 {
            assert_eq!(call(&breaker, true), None);
            pass(11).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_call_is_tried_after_the_pause_and_its_success_closes() {
        let breaker = breaker();
        open(&breaker);
        pass(1).await;
        assert!(breaker.admit().is_none());
        pass(1).await;
        let tried = breaker.admit().unwrap();
        assert!(breaker.admit().is_none(), "one at a time");
        assert_eq!(tried.end(false), Some(Turned::Closed));
        assert_eq!(call(&breaker, true), None);
    }

    #[tokio::test(start_paused = true)]
    async fn each_try_that_fails_doubles_the_pause_up_to_a_minute() {
        let breaker = breaker();
        open(&breaker);
        for pause in [4, 8, 16, 32, 60, 60] {
            pass(60).await;
            assert_eq!(call(&breaker, true), Some(Turned::Open(Duration::from_secs(pause))));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_cancelled_try_leaves_room_for_another() {
        let breaker = breaker();
        open(&breaker);
        pass(2).await;
        drop(breaker.admit().unwrap());
        assert_eq!(call(&breaker, false), Some(Turned::Closed));
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_from_before_decides_nothing_about_an_open_breaker() {
        let breaker = breaker();
        let early = breaker.admit().unwrap();
        open(&breaker);
        assert_eq!(early.end(false), None);
        assert!(breaker.admit().is_none());
    }
}
