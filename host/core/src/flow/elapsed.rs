//! How much time has passed, the time included that the machine slept: for what is good for a while.
//!
//! The monotonic clock stands still while a machine is suspended, and a virtual one may not notice at all. The wall clock
//! tells, but it can be put back, and then a minute would last for hours. So time passes by the monotonic clock, and where
//! the wall clock has run ahead of it, by that much more.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

use super::ports::Clock;

/// What waits for a moment looks at the clocks again at the latest after so long.
pub const LOOK_AGAIN: Duration = Duration::from_secs(2);
/// Less than this is how far clocks are apart that are put right little by little.
const AHEAD_MIN: Duration = Duration::from_secs(1);

/// Time that passes while the machine sleeps, too.
pub struct Elapsed {
    clock: Arc<dyn Clock>,
    /// Held for a look.
    seen: Mutex<Seen>,
}

/// Both clocks at the last look.
struct Seen {
    at: Instant,
    at_unix_ms: u64,
    /// What the monotonic clock did not see pass.
    missed: Duration,
}

impl Elapsed {
    /// Begins now.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let seen = Seen { at: Instant::now(), at_unix_ms: clock.now_unix_ms(), missed: Duration::ZERO };
        Self { clock, seen: Mutex::new(seen) }
    }

    /// Now. To be compared with other moments of the same `Elapsed` only.
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

    /// Waits so long.
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
