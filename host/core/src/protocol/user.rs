//! Who a connection belongs to.

use serde::Serialize;

use super::Activity;

/// A user as gate 1 found it in the credential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct User {
    /// The id; what a `user` scope compares with the topic's param.
    pub id: String,
    /// The roles, for `role` and `roles` scopes and for plugins.
    pub roles: Vec<String>,
    /// The tenant, where the credential names one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// When the credential ends, in seconds since the Unix epoch; `None` never ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<u64>,
    /// The credential's own id (`jti`), by which it alone can be revoked. Shown to nobody.
    #[serde(skip)]
    pub token_id: Option<String>,
    /// When the credential was issued, in seconds since the Unix epoch, or when whoever vouches for it last did. One
    /// that does not say counts as issued before every revocation. Shown to nobody.
    #[serde(skip)]
    pub issued_at: Option<u64>,
    /// When this server first saw the credential, where that was before its `issued_at`: its issuer's clock is ahead. In
    /// seconds since the Unix epoch. Shown to nobody.
    #[serde(skip)]
    pub seen_at: Option<u64>,
    /// When the user was last heard of, where the credential ends when nothing comes. Shown to nobody.
    #[serde(skip)]
    pub activity: Option<Activity>,
}

impl User {
    /// A user of whose credential nothing is known: it never ends.
    #[must_use]
    pub fn new(id: impl Into<String>, roles: Vec<String>, tenant: Option<String>) -> Self {
        let (expires_at, token_id, issued_at, seen_at, activity) = (None, None, None, None, None);
        Self { id: id.into(), roles, tenant, expires_at, token_id, issued_at, seen_at, activity }
    }

    /// Whether the credential's time is over at `now_unix_s`.
    #[must_use]
    pub fn is_expired(&self, now_unix_s: u64) -> bool {
        self.ends_at().is_some_and(|at| now_unix_s >= at)
    }

    /// When the credential's time is over, in seconds since the Unix epoch, as things stand: later when the user is
    /// heard of again, where that counts. `None` is never.
    #[must_use]
    pub fn ends_at(&self) -> Option<u64> {
        let idle = self.activity.as_ref().and_then(Activity::ends_at);
        match (self.expires_at, idle) {
            (Some(expires_at), Some(idle)) => Some(expires_at.min(idle)),
            (expires_at, idle) => expires_at.or(idle),
        }
    }
}
