//! The end of a session's credential: the announcement before it, and the end on time.

use std::time::Duration;

use super::{Gates, Session};
use crate::protocol::{Code, User};

/// What happens next to a session because its credential ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The session receives `expiring`, so that it can renew.
    Tell {
        /// When the credential ends, as known now, in seconds since the Unix epoch.
        expires_at: u64,
        /// How long it is still valid, in seconds, rounded up.
        expires_in_s: u64,
    },
    /// The credential has ended.
    Over,
}

impl Gates {
    /// What happens next because the session's credential ends, and when; `None` if it never ends. The caller does it
    /// at that time and asks again; it also asks again whenever the user was renewed. A session receives `expiring`
    /// once for each end. An end caused by idleness moves on with every message of the user, and is announced again
    /// when it comes near again.
    #[must_use]
    pub fn next_ending(&self, session: &Session) -> Option<(Duration, Ending)> {
        let user = session.user()?;
        let ends_at = user.ends_at()?;
        let ends_ms = ends_at.saturating_mul(1000);
        let now_ms = self.ports.clock.now_unix_ms();
        let tell_ms = session.tell_at(&user, ends_at, || self.tell_ms(&user, ends_at, now_ms));
        let tell_ms = tell_ms.filter(|at_ms| ends_ms > now_ms && *at_ms < ends_ms);
        Some(match tell_ms {
            Some(at_ms) => {
                let (at_ms, expires_in_s) = (at_ms.max(now_ms), (ends_ms - at_ms.max(now_ms)).div_ceil(1000));
                (Duration::from_millis(at_ms - now_ms), Ending::Tell { expires_at: ends_at, expires_in_s })
            }
            None => (Duration::from_millis(ends_ms.saturating_sub(now_ms)), Ending::Over),
        })
    }

    /// `auth.expiring_ahead` before the end, or when half of the credential's lifetime, or of the idle time, has
    /// passed; `None` if nothing is to be announced.
    fn tell_ms(&self, user: &User, ends_at: u64, now_ms: u64) -> Option<u64> {
        let ahead_ms = u64::try_from(self.auth.lifetimes.expiring_ahead.as_millis()).unwrap_or(u64::MAX);
        let began = match &user.activity {
            Some(activity) if user.expires_at != Some(ends_at) => Some(activity.last_unix_s()),
            _ => user.issued_at,
        };
        let began_ms = began.map_or(now_ms, |at| at.saturating_mul(1000).min(now_ms));
        let ends_ms = ends_at.saturating_mul(1000);
        let half_ms = ends_ms.saturating_sub(began_ms) / 2;
        (ahead_ms > 0).then(|| ends_ms.saturating_sub(ahead_ms.min(half_ms)))
    }

    /// Checks that the session's credential has not ended and was not revoked since gate 1 accepted it.
    ///
    /// # Errors
    /// `token_expired`, `token_revoked`.
    pub fn still_good(&self, session: &Session) -> Result<(), Code> {
        session.user().map_or(Ok(()), |user| self.still_good_user(&user))
    }

    /// The same for the user of a session that has ended.
    ///
    /// # Errors
    /// `token_expired`, `token_revoked`.
    pub fn still_good_user(&self, user: &User) -> Result<(), Code> {
        let now_unix_s = self.ports.clock.now_unix_s();
        if user.is_expired(now_unix_s) {
            return Err(Code::TokenExpired);
        }
        self.ports.revocations.judge(user, now_unix_s)
    }
}
