//! Measures how much time has passed, including the time while the machine slept: for everything that is valid for a
//! while.
//!
//! The monotonic clock stops while a machine is suspended, and a virtual machine may not notice a suspension at all.
//! The wall clock shows it, but somebody can set it back, and then a minute would last for hours. So time passes by the
//! monotonic clock, plus whatever the wall clock ran ahead of it.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

use super::ports::Clock;

/// Every wait for a moment looks at the clocks again after at most this time.
pub const LOOK_AGAIN: Duration = Duration::from_secs(2);
/// Smaller differences come from clocks that are adjusted gradually.
const AHEAD_MIN: Duration = Duration::from_secs(1);

/// Time that also passes while the machine sleeps.
pub struct Elapsed {
    clock: Arc<dyn Clock>,
    /// Locked for a short look only.
    seen: Mutex<Seen>,
}

/// Both clocks at the last look.
struct Seen {
    at: Instant,
    at_unix_ms: u64,
    /// The time that the monotonic clock missed.
    missed: Duration,
}

impl Elapsed {
    /// Starts now.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let seen = Seen { at: Instant::now(), at_unix_ms: clock.now_unix_ms(), missed: Duration::ZERO };
        Self { clock, seen: Mutex::new(seen) }
    }

    /// The present moment. Compare it only with other moments of the same `Elapsed`.
    #[must_use]
    pub fn now(&self) -> Instant {
        let mut seen = self.seen.lock();
        let (now, now_unix_ms) = (Instant::now(), self.clock.now_unix_ms());
        let by_wall = Duration::from_millis(now_unix_ms.saturating_sub(seen.at_unix_ms));
        let ahead = by_wall.saturating_sub(now.saturating_duration_since(seen.at));
        let missed = if ahead < AHEAD_MIN { seen.missed } else { seen.missed.saturating_add(ahead) };
        *seen = Seen { at: now, at_unix_ms: now_unix_ms, missed };
        now.checked_add(missed).unwrap_or(now)
    }

    /// Waits for this time.
    pub async fn sleep(&self, time: Duration) {
        let began = self.now();
        loop {
            let left = time.saturating_sub(self.now().saturating_duration_since(began));
            if left.is_zero() {
                return;
            }
            sleep(left.min(LOOK_AGAIN)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use tokio::time::advance;

    use super::*;

    #[derive(Default)]
    struct Wall(AtomicU64);

    impl Clock for Wall {
        fn now_unix_s(&self) -> u64 {
            self.now_unix_ms() / 1000
        }

        fn now_unix_ms(&self) -> u64 {
            self.0.load(Ordering::Relaxed)
        }
    }

    fn minutes(count: u64) -> Duration {
        Duration::from_secs(60 * count)
    }

    #[tokio::test(start_paused = true)]
    async fn time_passes_by_the_clock_that_is_ahead_and_never_goes_back() {
        let wall = Arc::new(Wall::default());
        let elapsed = Elapsed::new(wall.clone());
        let began = elapsed.now();
        let passed = || elapsed.now() - began;
        advance(minutes(1)).await;
        assert_eq!(passed(), minutes(1), "the wall clock stands still");
        wall.0.store(7_200_000, Ordering::Relaxed);
        assert_eq!(passed(), minutes(121), "the machine slept");
        wall.0.store(0, Ordering::Relaxed);
        advance(minutes(1)).await;
        assert_eq!(passed(), minutes(122), "the wall clock was put back");
        wall.0.store(60_500, Ordering::Relaxed);
        advance(minutes(1)).await;
        assert_eq!(passed(), minutes(123), "half a second ahead is put right little by little");
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_ends_within_seconds_of_a_clock_that_jumped() {
        let wall = Arc::new(Wall::default());
        let elapsed = Arc::new(Elapsed::new(wall.clone()));
        let waits = tokio::spawn({
            let elapsed = elapsed.clone();
            async move { elapsed.sleep(minutes(60)).await }
        });
        tokio::time::sleep(minutes(1)).await;
        assert!(!waits.is_finished());
        wall.0.store(7_200_000, Ordering::Relaxed);
        let jumped = Instant::now();
        waits.await.unwrap();
        assert!(jumped.elapsed() <= LOOK_AGAIN);
    }
}
