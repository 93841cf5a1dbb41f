//! SKELETON: The keys of backends and operators.

use subtle::ConstantTimeEq;

/// What a key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// Publish on a channel.
    Publish,
    /// Put events on the bus.
    Events,
    /// Revoke sessions and subscriptions.
    Revoke,
    /// Read and retry dead letters.
    Operate,
}

/// One key.
#[derive(Debug, Clone)]
pub struct ApiKey {
    /// The name, for logs.
    pub name: String,
    /// The secret.
    pub key: String,
    /// What it may do.
    pub may: Vec<Permission>,
}

impl ApiKey {
    /// Whether it may.
    #[must_use]
    pub fn may(&self, permission: Permission) -> bool {
        self.may.contains(&permission)
    }
}

/// Every key.
#[derive(Debug, Clone, Default)]
pub struct ApiKeys(pub Vec<ApiKey>);

impl ApiKeys {
    /// The key that was presented, compared in constant time.
    #[must_use]
    pub fn find(&self, bearer: &str) -> Option<&ApiKey> {
        self.0.iter().find(|key| bool::from(key.key.as_bytes().ct_eq(bearer.as_bytes())))
    }
}
