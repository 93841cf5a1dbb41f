//! The `jwt` provider: which tokens it accepts, and where the keys are that check them.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};

use super::auth::some_time;
use super::{HumanDuration, JwtAlgorithm, OneOrMore, Place, Secret, WebUrl};

/// JSON Web Tokens (RFC 7519) of one issuer, checked with exactly one of `secret`, `public_key` and `jwks`.
#[derive(Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JwtProvider {
    /// The algorithm that tokens must be signed with, or a list of algorithms. Default `HS256`, which needs a `secret`.
    #[serde(default = "hs256")]
    pub algorithm: OneOrMore<JwtAlgorithm>,
    /// The shared secret for HS256, HS384 and HS512. It must be at least as long as the algorithm's hash (RFC 7518
    /// §3.2).
    #[serde(default)]
    pub secret: Option<Secret>,
    /// The issuer's public key: the PEM text, or the file that holds it.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub public_key: Option<PublicKeyPlace>,
    /// The issuer's public keys as a JSON Web Key Set (RFC 7517): a file, which the server reads again when it changes,
    /// or a URL, which the server fetches regularly. The URL may be on a private network.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub jwks: Option<JwksPlace>,
    /// How often the server fetches the URL of `jwks`. Default 5 min. A token with an unknown key triggers an earlier
    /// fetch, at most every 10 s, and waits for the result, at most `timeout`.
    #[serde(default = "five_minutes", deserialize_with = "some_time")]
    pub refresh: HumanDuration,
    /// How long the URL of `jwks` may take to answer. Default 5 s.
    #[serde(default = "five_seconds", deserialize_with = "some_time")]
    pub timeout: HumanDuration,
    /// The claim that holds the user's id, or a JSON Pointer into the claims (`/data/id`). Default `sub`.
    #[serde(default = "sub")]
    pub user: String,
    /// The claim that holds the roles: a list, or one text separated by spaces or commas; or a JSON Pointer. Default
    /// `roles`.
    #[serde(default = "roles")]
    pub roles: String,
    /// The claim that holds the tenant, or a JSON Pointer. Default: none.
    #[serde(default)]
    pub tenant: Option<String>,
    /// The required `iss`. The provider leaves a token of another issuer to the next provider. Default: any issuer.
    #[serde(default)]
    pub iss: Option<String>,
    /// The audience that a token must name in `aud`, or a list of audiences of which it must name one. Default: a token
    /// must have no `aud`.
    #[serde(default)]
    pub aud: Option<OneOrMore<String>>,
    /// How far the clocks of the issuer and of this server may differ. Default 0 s.
    #[serde(default)]
    pub leeway: Option<HumanDuration>,
    /// Where the key is configured, for the error when the key is not valid.
    #[serde(skip)]
    pub place: Option<Place>,
}

impl fmt::Debug for JwtProvider {
    /// Leaves out the text of the file that the place is in.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("JwtProvider");
        shown.field("algorithm", &self.algorithm).field("public_key", &self.public_key).field("jwks", &self.jwks);
        shown.field("iss", &self.iss).field("aud", &self.aud).finish_non_exhaustive()
    }
}

impl JwtProvider {
    /// A provider for tokens signed with a shared secret, everything else at its default.
    #[must_use]
    pub fn with_secret(algorithm: JwtAlgorithm, secret: Secret) -> Self {
        Self {
            algorithm: OneOrMore::one(algorithm),
            secret: Some(secret),
            public_key: None,
            jwks: None,
            refresh: five_minutes(),
            timeout: five_seconds(),
            user: sub(),
            roles: roles(),
            tenant: None,
            iss: None,
            aud: None,
            leeway: None,
            place: None,
        }
    }
}

/// Where a public key is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublicKeyPlace {
    /// The PEM text itself.
    Pem(String),
    /// A file that holds the PEM text.
    File(PathBuf),
}

impl<'de> Deserialize<'de> for PublicKeyPlace {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.contains("PRIVATE KEY-----") {
            // Serde's sentences show values, this one does not.
            return Err(serde::de::Error::custom(
                "expected a public key, found a private key, which only the issuer should have",
            ));
        }
        match text.trim() {
            "" => Err(serde::de::Error::custom("expected the PEM text of a public key, or the path of a file")),
            pem if pem.starts_with("-----BEGIN") => Ok(Self::Pem(pem.to_owned())),
            file => Ok(Self::File(file.into())),
        }
    }
}

/// Where a JSON Web Key Set is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JwksPlace {
    /// A file.
    File(PathBuf),
    /// A URL.
    Url(WebUrl),
}

impl<'de> Deserialize<'de> for JwksPlace {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.trim() {
            "" => Err(serde::de::Error::custom("expected the path of a file, or a URL")),
            url if url.contains("://") => WebUrl::parse(url).map(Self::Url).map_err(serde::de::Error::custom),
            file => Ok(Self::File(file.into())),
        }
    }
}

fn hs256() -> OneOrMore<JwtAlgorithm> {
    OneOrMore::one(JwtAlgorithm::HS256)
}

const fn five_minutes() -> HumanDuration {
    HumanDuration::new(Duration::from_secs(5 * 60))
}

const fn five_seconds() -> HumanDuration {
    HumanDuration::new(Duration::from_secs(5))
}

fn sub() -> String {
    "sub".to_owned()
}

fn roles() -> String {
    "roles".to_owned()
}
