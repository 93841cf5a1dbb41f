//! The recognition of credentials as a port.

use async_trait::async_trait;

use crate::flow::Shown;
use crate::protocol::{Code, User};

/// Recognises one kind of credential.
#[async_trait]
pub trait Provider: Send + Sync + 'static {
    /// The cookies that it receives in addition to `auth.cookie`, if the client gave no token.
    fn cookies(&self) -> &[String] {
        &[]
    }

    /// Identifies the user of a credential. It limits its own time to less than the time of a handshake.
    async fn identify(&self, shown: &Shown<'_>) -> Identity;

    /// Whether it can check credentials at all, which needs a first successful read of its keys. Until then the server
    /// is not ready.
    fn has_keys(&self) -> bool {
        true
    }

    /// The value in [`User::token_id`] for a credential with this id; `None` if its credentials have no ids.
    fn token_id(&self, id: &str) -> Option<String> {
        Some(id.to_owned())
    }

    /// Whether it can check a credential again whose user it found.
    fn looks_again(&self) -> bool {
        false
    }

    /// Checks a credential again by which it found this user. This is not a use of the credential. Its time is limited
    /// as in [`Provider::identify`].
    async fn look_again(&self, _shown: &Shown<'_>, _user: &User) -> Identity {
        Identity::NotMine
    }

    /// Whether it is known to work with its source, such as a query with the right columns. Until then it accepts
    /// nobody, and the server is not ready.
    fn is_fit(&self) -> bool {
        true
    }

    /// Called after a revocation for this user: drops cached answers about the user, and ignores answers that are on
    /// their way. Never waits.
    fn forget(&self, _user_id: &str) {}
}

/// A provider's answer about a credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// Another kind of credential: ask the next provider.
    NotMine,
    /// This user.
    User(User),
    /// A credential of this kind, but not a valid one.
    Refused(Code),
}
