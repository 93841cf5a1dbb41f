//! The last activity of a connection's user, for credentials that end when the user is idle.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The time of the user's last activity, shared by every connection with the same credential.
#[derive(Debug, Clone)]
pub struct Activity(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    last_unix_s: AtomicU64,
    /// 0: no limit.
    idle_s: u64,
}

impl Activity {
    /// Active at `now_unix_s`; ends after `idle_s` seconds without activity, never if that is 0.
    #[must_use]
    pub fn new(now_unix_s: u64, idle_s: u64) -> Self {
        Self(Arc::new(Inner { last_unix_s: AtomicU64::new(now_unix_s), idle_s }))
    }

    /// Records an activity of the user.
    pub fn heard(&self, now_unix_s: u64) {
        // Most messages come within the same second as the one before: those only read.
        if self.0.last_unix_s.load(Ordering::Relaxed) < now_unix_s {
            self.0.last_unix_s.fetch_max(now_unix_s, Ordering::Relaxed);
        }
    }

    /// The time of the last activity, in seconds since the Unix epoch.
    #[must_use]
    pub fn last_unix_s(&self) -> u64 {
        self.0.last_unix_s.load(Ordering::Relaxed)
    }

    /// When it ends if there is no further activity; `None`: never.
    #[must_use]
    pub fn ends_at(&self) -> Option<u64> {
        (self.0.idle_s > 0).then(|| self.last_unix_s().saturating_add(self.0.idle_s))
    }

    /// Whether nobody else shares it any more.
    #[must_use]
    pub fn is_left(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }
}

impl PartialEq for Activity {
    /// The same object, not another one with the same time.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Activity {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_ends_when_nothing_comes_for_long_enough_and_moves_on_only_forward() {
        let activity = Activity::new(100, 30);
        assert_eq!(activity.ends_at(), Some(130));
        activity.heard(120);
        activity.heard(110);
        assert_eq!((activity.last_unix_s(), activity.ends_at()), (120, Some(150)));
        assert_eq!(Activity::new(100, 0).ends_at(), None);
    }

    #[test]
    fn all_who_have_it_see_it_move() {
        let activity = Activity::new(100, 30);
        let other = activity.clone();
        other.heard(105);
        assert_eq!(activity.last_unix_s(), 105);
        assert!(!activity.is_left());
        drop(other);
        assert!(activity.is_left());
    }
}
