//! Rates of a plugin: how often all its instances together may do something in a second.

use parking_lot::Mutex;
use tokio::time::Instant;

/// A token bucket that holds the tokens of one second and fills evenly.
#[derive(Debug)]
pub(crate) struct Rate {
    per_second: f64,
    state: Mutex<(Instant, f64)>,
}

impl Rate {
    pub(crate) fn new(per_second: u32) -> Self {
        let per_second = f64::from(per_second);
        Self { per_second, state: Mutex::new((Instant::now(), per_second)) }
    }

    /// Takes a token; `false` when there is none.
    pub(crate) fn admit(&self) -> bool {
        let now = Instant::now();
        let mut state = self.state.lock();
        let (since, tokens) = *state;
        let filled = (tokens + now.duration_since(since).as_secs_f64() * self.per_second).min(self.per_second);
        let admitted = filled >= 1.0;
        *state = (now, if admitted { filled - 1.0 } else { filled });
        admitted
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_second_has_as_many_as_were_granted_and_no_more() {
        let rate = Rate::new(10);
        assert_eq!((0..100).filter(|_| rate.admit()).count(), 10);
        tokio::time::advance(Duration::from_millis(500)).await;
        assert_eq!((0..100).filter(|_| rate.admit()).count(), 5);
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!((0..100).filter(|_| rate.admit()).count(), 10);
    }
}
