//! When the sessions of a web application were used, as a port: what lies behind the idle and absolute timeouts of the
//! `session` provider. Whose a session is, its query says ([`super::queries`]); this is the server's own record beside it.

use async_trait::async_trait;

/// Remembers when sessions were first and last used, for all nodes that share the store, through restarts.
#[async_trait]
pub trait Sessions: Send + Sync + 'static {
    /// Makes it ready for use; nothing when it is. Called before a session is looked for.
    ///
    /// # Errors
    /// [`SessionsError`].
    async fn open(&self) -> Result<(), SessionsError>;

    /// When a session was used, as far as it was written back; `None` when it never was.
    ///
    /// # Errors
    /// [`SessionsError`].
    async fn used(&self, key: &SessionKey) -> Result<Option<SessionUse>, SessionsError>;

    /// Writes back when these sessions were used, at most [`BATCH_MAX`] of them, each key once. Widens what is known:
    /// `first` never gets later and `last` never earlier, in whatever order nodes write. All are written or none.
    ///
    /// # Errors
    /// [`SessionsError`].
    async fn write_back(&self, used: &[(SessionKey, SessionUse)]) -> Result<(), SessionsError>;

    /// Forgets sessions last used before this time. How many there were.
    ///
    /// # Errors
    /// [`SessionsError`].
    async fn forget(&self, last_before_unix_s: u64) -> Result<u64, SessionsError>;
}

/// Most sessions of one [`Sessions::write_back`].
pub const BATCH_MAX: usize = 500;

/// Names a session without being its id: the SHA-256 of the cookie's name and the id, in hex. Who reads the table can
/// use nobody's session.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionKey(String);

impl SessionKey {
    /// The hash, 64 hex digits.
    #[must_use]
    pub fn new(hash: impl Into<String>) -> Self {
        Self(hash.into())
    }

    /// As it is stored.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// When a session was used, in seconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionUse {
    /// For the first time.
    pub first_unix_s: u64,
    /// For the last time.
    pub last_unix_s: u64,
}

impl SessionUse {
    /// Both what this and what another node knows.
    #[must_use]
    pub fn widened(self, other: Self) -> Self {
        Self {
            first_unix_s: self.first_unix_s.min(other.first_unix_s),
            last_unix_s: self.last_unix_s.max(other.last_unix_s),
        }
    }
}

/// The store is away: nothing was read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SessionsError(pub String);
