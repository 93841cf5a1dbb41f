//! A budget that renews with the time: an amount a second, and up to so much at once.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// What was spent is kept as the moment at which all of it is renewed. What a unit costs is the time in which it renews.
#[derive(Debug)]
pub(super) struct Renewing {
    started: Instant,
    /// In nanoseconds since `started`.
    renewed_at_ns: AtomicU64,
    /// The time in which all of it renews.
    window_ns: u64,
    /// All that was ever spent, in units.
    spent: AtomicU64,
}

impl Renewing {
    /// A budget of which nothing is spent yet.
    pub(super) fn new(window: Duration) -> Self {
        let [renewed_at_ns, spent] = [const { AtomicU64::new(0) }; 2];
        Self { started: Instant::now(), renewed_at_ns, window_ns: nanos(window), spent }
    }

    /// Spends these units if they are there, each of which renews in `renews`.
    pub(super) fn take(&self, units: u64, renews: Duration) -> bool {
        let (now, cost) = (self.now_ns(), nanos(renews).max(1).saturating_mul(units));
        let most = now.saturating_add(self.window_ns);
        let spend = |at: u64| Some(at.max(now).saturating_add(cost)).filter(|after| *after <= most);
        let is_there = self.renewed_at_ns.fetch_update(Ordering::Relaxed, Ordering::Relaxed, spend).is_ok();
        if is_there {
            self.spent.fetch_add(units, Ordering::Relaxed);
        }
        is_there
    }

    /// Whether anything is left.
    pub(super) fn has_any(&self) -> bool {
        self.renewed_at_ns.load(Ordering::Relaxed) < self.now_ns().saturating_add(self.window_ns)
    }

    /// Spends these units, which renew in `renews` together, whether they are there or not: what is spent beyond the
    /// budget must renew before anything is left again.
    pub(super) fn spend(&self, units: u64, renews: Duration) {
        let (now, cost) = (self.now_ns(), nanos(renews));
        let spend = |at: u64| Some(at.max(now).saturating_add(cost));
        let _ = self.renewed_at_ns.fetch_update(Ordering::Relaxed, Ordering::Relaxed, spend);
        self.spent.fetch_add(units, Ordering::Relaxed);
    }

    /// All units that were ever spent.
    pub(super) fn spent(&self) -> u64 {
        self.spent.load(Ordering::Relaxed)
    }

    fn now_ns(&self) -> u64 {
        nanos(self.started.elapsed())
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn so_much_is_there_at_once_and_then_as_it_renews() {
        let (budget, renews) = (Renewing::new(SECOND), SECOND / 3);
        assert_eq!((0..9).filter(|_| budget.take(1, renews)).count(), 3);
        advance(renews).await;
        assert_eq!((0..9).filter(|_| budget.take(1, renews)).count(), 1);
        advance(SECOND * 60).await;
        assert_eq!((0..9).filter(|_| budget.take(1, renews)).count(), 3);
        assert_eq!(budget.spent(), 7);
    }

    #[tokio::test(start_paused = true)]
    async fn several_are_taken_together_or_not_at_all() {
        let (budget, renews) = (Renewing::new(SECOND), SECOND / 10);
        assert!(budget.take(8, renews));
        assert!(!budget.take(3, renews));
        assert!(budget.take(2, renews));
        assert!(!budget.take(11, renews));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_spent_beyond_the_budget_renews_first() {
        let budget = Renewing::new(SECOND);
        budget.spend(1, SECOND * 3);
        assert!(!budget.has_any());
        advance(SECOND * 2).await;
        assert!(!budget.has_any());
        advance(Duration::from_millis(1)).await;
        assert!(budget.has_any());
    }
}
