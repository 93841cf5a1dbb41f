//! The end of a session's credential: told ahead, and on time.

use std::time::Duration;

use super::{Gates, Session};
use crate::protocol::{Code, User};

/// What happens next to a session because its credential ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It is told, so that it can renew.
    Tell {
        /// When the credential ends, in seconds since the Unix epoch.
        expires_at: u64,
        /// How long it is good still, in seconds, rounded up.
        expires_in_s: u64,
    },
    /// It is over.
    Over,
}

impl Gates {
    /// What happens next because the session's credential ends, and in how long; `None` when it never does. The caller
    /// does it then and asks again, and asks anew whenever the user was renewed. A session is told once a credential.
    #[must_use]
    pub fn next_ending(&self, session: &Session) -> Option<(Duration, Ending)> {
        let user = session.user()?;
        // With every word of the user the end that comes of silence moves on: only the other one is told ahead.
        let ends_ms = user.ends_at()?.saturating_mul(1000);
        let expires_at = user.expires_at.unwrap_or(u64::MAX);
        let expires_ms = expires_at.saturating_mul(1000);
        let now_ms = self.ports.clock.now_unix_ms();
        let tell_ms = user.expires_at.and_then(|_| session.tell_at(&user, || self.tell_ms(&user, expires_ms, now_ms)));
        let tell_ms = tell_ms.filter(|at_ms| ends_ms > now_ms && *at_ms < ends_ms);
        Some(match tell_ms {
            Some(at_ms) => {
                let (at_ms, expires_in_s) = (at_ms.max(now_ms), (expires_ms - at_ms.max(now_ms)).div_ceil(1000));
                (Duration::from_millis(at_ms - now_ms), Ending::Tell { expires_at, expires_in_s })
            }
            None => (Duration::from_millis(ends_ms.saturating_sub(now_ms)), Ending::Over),
        })
    }

    /// `auth.expiring_ahead` before the end, or when half of the credential's time is over; `None` when nobody is told.
    fn tell_ms(&self, user: &User, ends_ms: u64, now_ms: u64) -> Option<u64> {
        let ahead_ms = u64::try_from(self.auth.lifetimes.expiring_ahead.as_millis()).unwrap_or(u64::MAX);
        let began_ms = user.issued_at.map_or(now_ms, |at| at.saturating_mul(1000).min(now_ms));
        let half_ms = ends_ms.saturating_sub(began_ms) / 2;
        (ahead_ms > 0).then(|| ends_ms.saturating_sub(ahead_ms.min(half_ms)))
    }

    /// Whether the session's credential is over, or was revoked since gate 1 took it.
    ///
    /// # Errors
    /// `token_expired`, `token_revoked`.
    pub fn still_good(&self, session: &Session) -> Result<(), Code> {
        let Some(user) = session.user() else { return Ok(()) };
        let now_unix_s = self.ports.clock.now_unix_s();
        if user.is_expired(now_unix_s) {
            return Err(Code::TokenExpired);
        }
        self.ports.revocations.judge(&user, now_unix_s)
    }
}
