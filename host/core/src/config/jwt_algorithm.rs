//! The signature algorithms, by the names that tokens, key sets and the configuration use (RFC 7518, RFC 9864).

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error as _};

/// A signature algorithm of tokens. `Ed25519` and `EdDSA` are the same.
///
/// ```
/// use tidegate_core::config::JwtAlgorithm;
///
/// assert_eq!(JwtAlgorithm::named("Ed25519"), JwtAlgorithm::named("EdDSA"));
/// assert_eq!(JwtAlgorithm::named("Ed448"), None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum JwtAlgorithm {
    /// HMAC with SHA-256.
    #[default]
    HS256,
    /// HMAC with SHA-384.
    HS384,
    /// HMAC with SHA-512.
    HS512,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    RS256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    RS384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    RS512,
    /// RSASSA-PSS with SHA-256.
    PS256,
    /// RSASSA-PSS with SHA-384.
    PS384,
    /// RSASSA-PSS with SHA-512.
    PS512,
    /// ECDSA on P-256 with SHA-256.
    ES256,
    /// ECDSA on P-384 with SHA-384.
    ES384,
    /// Ed25519. `EdDSA` is its older name. The other curve of that name, Ed448, is not supported.
    Ed25519,
}

/// Every supported name. The server itself writes the first name of an algorithm.
const NAMES: [(&str, JwtAlgorithm); 13] = [
    ("HS256", JwtAlgorithm::HS256),
    ("HS384", JwtAlgorithm::HS384),
    ("HS512", JwtAlgorithm::HS512),
    ("RS256", JwtAlgorithm::RS256),
    ("RS384", JwtAlgorithm::RS384),
    ("RS512", JwtAlgorithm::RS512),
    ("PS256", JwtAlgorithm::PS256),
    ("PS384", JwtAlgorithm::PS384),
    ("PS512", JwtAlgorithm::PS512),
    ("ES256", JwtAlgorithm::ES256),
    ("ES384", JwtAlgorithm::ES384),
    ("EdDSA", JwtAlgorithm::Ed25519),
    ("Ed25519", JwtAlgorithm::Ed25519),
];

impl JwtAlgorithm {
    /// The algorithm with this name. Case matters: `None` is not `none`. `Ed25519` (RFC 9864) and `EdDSA` are the same.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        NAMES.into_iter().find(|(known, _)| *known == name).map(|(_, algorithm)| algorithm)
    }

    /// Why the server does not support an algorithm of this name; `None` if the name is unknown.
    #[must_use]
    pub fn not_served(name: &str) -> Option<&'static str> {
        match name {
            "ES512" | "ES256K" | "Ed448" => Some("signatures of this algorithm are not supported"),
            "ESP256" => Some("this is its name in COSE, but tokens name it `ES256`"),
            "ESP384" => Some("this is its name in COSE, but tokens name it `ES384`"),
            "ESP512" | "ESB256" | "ESB320" | "ESB384" | "ESB512" => {
                Some("this is a name of COSE, and signatures of this algorithm are not supported")
            }
            "none" => Some("tokens without a signature are refused"),
            _ => None,
        }
    }

    /// The shortest secret, in bytes: as long as the hash, RFC 7518 §3.2. `None` if the algorithm uses no shared
    /// secret.
    #[must_use]
    pub const fn secret_bytes_min(self) -> Option<usize> {
        match self {
            Self::HS256 => Some(32),
            Self::HS384 => Some(48),
            Self::HS512 => Some(64),
            _ => None,
        }
    }

    /// The name in messages, and in the header of a token that the server signs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        NAMES.into_iter().find(|(_, algorithm)| *algorithm == self).map_or("-", |(name, _)| name)
    }
}

impl<'de> Deserialize<'de> for JwtAlgorithm {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::named(&name).ok_or_else(|| {
            let names = NAMES.map(|(name, _)| format!("`{name}`")).join(", ");
            let why = Self::not_served(&name).map(|why| format!(": {why}")).unwrap_or_default();
            D::Error::custom(format!("expected one of {names}, found `{name}`{why}"))
        })
    }
}

impl JsonSchema for JwtAlgorithm {
    fn schema_name() -> Cow<'static, str> {
        "JwtAlgorithm".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "enum": NAMES.map(|(name, _)| name),
            "description": "A signature algorithm of tokens. `Ed25519` and `EdDSA` are the same."
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_not_served_is_told_as_that() {
        let told = |name: &str| serde_json::from_value::<JwtAlgorithm>(name.into()).unwrap_err().to_string();
        assert!(told("Ed448").ends_with("found `Ed448`: signatures of this algorithm are not supported"));
        assert!(told("ESP256").ends_with("tokens name it `ES256`"));
        assert!(told("rs256").ends_with("`EdDSA`, `Ed25519`, found `rs256`"));
    }
}
