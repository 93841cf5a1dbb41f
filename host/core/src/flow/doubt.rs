//! Subscriptions whose authorizer cannot decide whether they may continue. They are kept, and the authorizer is asked
//! again after growing waits, until it decides or `auth.recheck_grace` ends.

use std::time::Duration;

use tokio::time::Instant;

use super::decisions::Age;
use super::session::Authorizer;

/// The first wait; each further wait is twice as long.
const AGAIN_FIRST: Duration = Duration::from_secs(1);
/// The longest wait.
const AGAIN_MAX: Duration = Duration::from_secs(60);

/// The state of a subscription whose authorizer could not decide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Doubt {
    /// When the doubt began, by the monotonic clock: nobody is asked while the machine sleeps.
    since: Instant,
    /// How often the authorizer was asked since then.
    times: u32,
    /// The authorizer that was asked last.
    by: Option<Authorizer>,
    /// The age of the last question among revocations.
    pub(super) asked_at: Age,
    /// When to ask again, in the time of [`super::Gates::elapsed`].
    pub(super) ask_again: Instant,
}

impl Doubt {
    /// The next doubt, now in the time of [`super::Gates::elapsed`]; `None` when `grace` has ended. `spread` lengthens
    /// the wait by up to half, so that doubts of the same moment are not all asked about at the same moment.
    pub(super) fn after(
        before: Option<&Self>,
        by: Option<Authorizer>,
        asked_at: Age,
        grace: Duration,
        now: Instant,
        spread: impl FnOnce(Duration) -> Duration,
    ) -> Option<Self> {
        let since = before.map_or_else(Instant::now, |doubt| doubt.since);
        let left = grace.saturating_sub(since.elapsed());
        if left.is_zero() {
            return None;
        }
        let times = before.map_or(0, |doubt| doubt.times).saturating_add(1);
        let wait = AGAIN_FIRST.saturating_mul(1 << (times - 1).min(16)).min(AGAIN_MAX);
        let ask_again = now + spread(wait).min(left);
        Some(Self { since, times, by, asked_at, ask_again })
    }

    /// Whether this authorizer must not be asked yet, provided that nothing was revoked since.
    pub(super) fn waits(&self, by: Option<&Authorizer>, now: Instant) -> bool {
        self.by.as_ref() == by && now < self.ask_again
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(60 * 60);

    #[tokio::test(start_paused = true)]
    async fn each_wait_is_twice_the_one_before_up_to_a_minute_and_none_is_beyond_the_grace() {
        let mut doubt: Option<Doubt> = None;
        let mut waits = Vec::new();
        let began = Instant::now();
        while let Some(next) = Doubt::after(doubt.as_ref(), None, Age::default(), HOUR, Instant::now(), |wait| wait) {
            waits.push((next.ask_again - Instant::now()).as_secs());
            tokio::time::advance(next.ask_again - Instant::now()).await;
            doubt = Some(next);
        }
        assert_eq!(waits[..8], [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(began.elapsed(), HOUR);
        assert!(waits.len() < 70, "{}", waits.len());
    }

    #[tokio::test(start_paused = true)]
    async fn without_grace_there_is_no_doubt() {
        assert_eq!(Doubt::after(None, None, Age::default(), Duration::ZERO, Instant::now(), |wait| wait), None);
    }
}
