//! Signs tokens for tests: `tidegate token` and `tidegate dev`.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use super::{claims, keys};
use tidegate_core::config::JwtProvider;

/// The content of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRequest {
    /// The user's id.
    pub user: String,
    /// The user's roles.
    pub roles: Vec<String>,
    /// The user's tenant, if there is one and the provider has a claim for it.
    pub tenant: Option<String>,
    /// How long the token is valid.
    pub ttl: Duration,
}

/// Why a token could not be signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// There is no claim for the tenant.
    #[error("the provider has no claim for a tenant")]
    NoTenantClaim,
    /// Only the issuer can sign.
    #[error("the provider has only the issuer's public key; only the issuer can sign")]
    NoSecret,
}

/// Signs a token that [`super::Jwt`] of the same provider accepts, with its shared secret and the first of its
/// algorithms.
///
/// # Errors
/// [`SignError`].
pub fn sign(provider: &JwtProvider, request: &TokenRequest, now_unix_s: u64) -> Result<String, SignError> {
    let mut claims = Map::new();
    claims::set(&mut claims, &provider.user, json!(request.user));
    claims::set(&mut claims, &provider.roles, json!(request.roles));
    match (&request.tenant, &provider.tenant) {
        (Some(tenant), Some(claim)) => claims::set(&mut claims, claim, json!(tenant)),
        (Some(_), None) => return Err(SignError::NoTenantClaim),
        (None, _) => {}
    }
    let aud = provider.aud.as_ref().and_then(|aud| aud.as_slice().first());
    for (claim, value) in [("iss", provider.iss.as_ref()), ("aud", aud)] {
        if let Some(value) = value {
            claims.insert(claim.to_owned(), json!(value));
        }
    }
    claims.insert("iat".to_owned(), json!(now_unix_s));
    claims.insert("exp".to_owned(), json!(now_unix_s.saturating_add(request.ttl.as_secs())));
    let secret = provider.secret.as_ref().ok_or(SignError::NoSecret)?;
    let algorithm = *provider.algorithm.as_slice().first().ok_or(SignError::NoSecret)?;
    let header = json!({ "typ": "JWT", "alg": algorithm.as_str() });
    let encoded = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
    let message = format!("{}.{}", encoded(&header), encoded(&Value::Object(claims)));
    let signature = keys::sign(algorithm, secret.expose().as_bytes(), message.as_bytes()).ok_or(SignError::NoSecret)?;
    Ok(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)))
}
