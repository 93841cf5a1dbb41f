//! The keys of backends and operators.

use schemars::JsonSchema;
use serde::Deserialize;
use subtle::ConstantTimeEq;

use super::Secret;

/// What a key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Permission {
    /// Publish on a channel.
    Publish,
    /// Put events on the bus.
    Events,
    /// Read the history of topics, and who is on them.
    Read,
    /// Revoke sessions and subscriptions.
    Revoke,
    /// Read and retry dead letters.
    Operate,
}

impl Permission {
    /// Every permission.
    pub const ALL: [Self; 5] = [Self::Publish, Self::Events, Self::Read, Self::Revoke, Self::Operate];

    /// The name in the configuration and in logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Events => "events",
            Self::Read => "read",
            Self::Revoke => "revoke",
            Self::Operate => "operate",
        }
    }
}

/// One key.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApiKey {
    /// The name of the key in logs.
    pub name: String,
    /// The key itself: the caller sends it as its bearer token.
    pub key: Secret,
    /// What the caller may do. Default: everything.
    #[serde(default = "everything")]
    pub may: Vec<Permission>,
}

fn everything() -> Vec<Permission> {
    Permission::ALL.to_vec()
}

impl ApiKey {
    /// Whether the key has this permission.
    #[must_use]
    pub fn may(&self, permission: Permission) -> bool {
        self.may.contains(&permission)
    }
}

/// All keys.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct ApiKeys(pub Vec<ApiKey>);

impl ApiKeys {
    /// The key that equals the presented one. The function compares every key, and each in constant time: the time
    /// taken reveals neither how much of a guess was right nor which key it was.
    #[must_use]
    pub fn find(&self, bearer: &str) -> Option<&ApiKey> {
        let same = |key: &ApiKey| bool::from(key.key.expose().as_bytes().ct_eq(bearer.as_bytes()));
        self.0.iter().fold(None, |found, key| if same(key) { Some(key) } else { found })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> ApiKeys {
        let key = |name: &str, key: &str, may: &[Permission]| ApiKey {
            name: name.to_owned(),
            key: Secret::from(key.to_owned()),
            may: may.to_vec(),
        };
        ApiKeys(vec![
            key("backend", "k-backend", &[Permission::Publish]),
            key("operator", "k-operator", &Permission::ALL),
        ])
    }

    #[test]
    fn a_key_is_found_by_its_whole_text_only() {
        assert_eq!(keys().find("k-operator").map(|key| key.name.clone()).as_deref(), Some("operator"));
        for wrong in ["", "k-operato", "k-operator ", "K-OPERATOR"] {
            assert_eq!(keys().find(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_key_may_do_what_it_lists_and_everything_when_it_lists_nothing() {
        let keys = keys();
        let backend = keys.find("k-backend").unwrap();
        assert!(backend.may(Permission::Publish));
        assert!(!backend.may(Permission::Operate));
        let all: ApiKey = serde_json::from_str(r#"{ "name": "a", "key": "b" }"#).unwrap();
        assert!(Permission::ALL.into_iter().all(|permission| all.may(permission)));
    }
}
