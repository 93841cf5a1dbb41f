//! The use of a web application's sessions, as a port: the data behind the idle and absolute timeouts of the `session`
//! provider. The provider's query says whose a session is ([`super::queries`]); this is the server's own record next to
//! it.

use async_trait::async_trait;

/// Remembers when sessions were first and last used, for all nodes that share the store, also after restarts.
#[async_trait]
pub trait Sessions: Send + Sync + 'static {
    /// Opens the store, if it is not open. Called before a session is looked up.
    ///
    /// # Errors
    /// [`SessionsError`].
    async fn open(&self) -> Result<(), SessionsError>;

    /// When a session was used, as far as it was written back; `None` if it never was.
    ///
    /// # Errors
    /// [`SessionsError`].
    async fn used(&self, key: &SessionKey) -> Result<Option<SessionUse>, SessionsError>;

    /// Writes back when these sessions were used, at most [`BATCH_MAX`] of them, each key once. It only widens the
    /// known time: `first` never gets later and `last` never earlier, in whatever order nodes write. It writes all of
    /// them or none.
    ///
    /// # Errors
    /// [`SessionsError`].
    async fn write_back(&self, used: &[(SessionKey, SessionUse)]) -> Result<(), SessionsError>;

    /// Removes sessions last used before this time. Returns how many there were.
    ///
    /// # Errors
    /// [`SessionsError`].
    async fn forget(&self, last_before_unix_s: u64) -> Result<u64, SessionsError>;
}

/// Most sessions of one [`Sessions::write_back`].
pub const BATCH_MAX: usize = 500;

/// Names a session without revealing its id: the SHA-256 of the cookie's name and the id, in hex. A reader of the table
/// cannot use anybody's session.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionKey(String);

impl SessionKey {
    /// The hash, 64 hex digits.
    #[must_use]
    pub fn new(hash: impl Into<String>) -> Self {
        Self(hash.into())
    }

    /// The stored form.
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
    /// The union of what this node and another node know.
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
