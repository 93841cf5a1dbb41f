//! The user of a connection.

use serde::Serialize;

use super::Activity;

/// A user, as gate 1 found it in the credential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct User {
    /// The id, which a `user` scope compares with the topic's param.
    pub id: String,
    /// The roles, for `role` and `roles` scopes and for plugins.
    pub roles: Vec<String>,
    /// The tenant, if the credential names one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// When the credential expires, in seconds since the Unix epoch; `None`: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<u64>,
    /// The credential's own id (`jti`), by which it can be revoked alone. Never shown to anybody.
    #[serde(skip)]
    pub token_id: Option<String>,
    /// When the credential was issued, or last confirmed by its provider, in seconds since the Unix epoch. A credential
    /// without this counts as issued before every revocation. Never shown to anybody.
    #[serde(skip)]
    pub issued_at: Option<u64>,
    /// When this server first saw the credential, if that was before its `issued_at`: its issuer's clock is ahead. In
    /// seconds since the Unix epoch. Never shown to anybody.
    #[serde(skip)]
    pub seen_at: Option<u64>,
    /// The user's last activity, if the credential ends when the user is idle. Never shown to anybody.
    #[serde(skip)]
    pub activity: Option<Activity>,
}

impl User {
    /// A user without any information about the credential: it never expires.
    #[must_use]
    pub fn new(id: impl Into<String>, roles: Vec<String>, tenant: Option<String>) -> Self {
        let (expires_at, token_id, issued_at, seen_at, activity) = (None, None, None, None, None);
        Self { id: id.into(), roles, tenant, expires_at, token_id, issued_at, seen_at, activity }
    }

    /// Whether the credential has expired at `now_unix_s`.
    #[must_use]
    pub fn is_expired(&self, now_unix_s: u64) -> bool {
        self.ends_at().is_some_and(|at| now_unix_s >= at)
    }

    /// When the credential ends, in seconds since the Unix epoch, as known now: activity of the user may move it.
    /// `None`: never.
    #[must_use]
    pub fn ends_at(&self) -> Option<u64> {
        let idle = self.activity.as_ref().and_then(Activity::ends_at);
        match (self.expires_at, idle) {
            (Some(expires_at), Some(idle)) => Some(expires_at.min(idle)),
            (expires_at, idle) => expires_at.or(idle),
        }
    }
}
