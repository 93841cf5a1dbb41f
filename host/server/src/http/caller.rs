//! Who calls: the API key of the `Authorization` header, and what it may do.

use axum::http::{HeaderMap, header};

use super::State;
use super::answer::Problem;
use tidegate_core::config::{ApiKey, Permission};
use tidegate_core::protocol::{Code, Refusal};

impl State {
    /// Lets a caller in whose key has the permission. Call it before the body is read.
    ///
    /// # Errors
    /// 401 when the bearer is no key, 403 when the key may not do this.
    pub(super) fn admit(&self, headers: &HeaderMap, permission: Permission) -> Result<&ApiKey, Problem> {
        let header = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let key = header.and_then(bearer).and_then(|bearer| self.api_keys.find(bearer));
        let key = key.ok_or_else(|| Refusal::because(Code::Unauthenticated, "an API key is needed as bearer token"))?;
        if !key.may(permission) {
            return Err(Refusal::because(Code::Forbidden, "the API key may not do this").into());
        }
        Ok(key)
    }
}

/// RFC 6750, 2.1; the scheme's case does not matter.
fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
