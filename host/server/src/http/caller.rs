//! The caller: the API key of the `Authorization` header, or the session of an operator, and its permissions.

use axum::extract::Request;
use axum::http::{HeaderMap, header};

use super::State;
use super::answer::Problem;
use super::openapi::by_session;
use super::operator::cookies;
use tidegate_core::config::{ApiKey, Permission};
use tidegate_core::flow::Session;
use tidegate_core::protocol::{Code, Refusal};

impl State {
    /// Whether the bearer token is an API key. What is not may be a client's credential.
    pub(super) fn has_key(&self, headers: &HeaderMap) -> bool {
        self.key(headers).is_some()
    }

    fn key(&self, headers: &HeaderMap) -> Option<&ApiKey> {
        let header = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        header.and_then(bearer).and_then(|bearer| self.api_keys.find(bearer))
    }

    /// Admits a caller whose key has the permission; what operators do is also open to a session that began with such a
    /// key. Call it before reading the body.
    ///
    /// # Errors
    /// 401 if the bearer token is not a key, 403 if the key lacks the permission.
    pub(super) fn admit(&self, headers: &HeaderMap, permission: Permission) -> Result<&ApiKey, Problem> {
        let of_session = || {
            let operators = self.operators.as_deref().filter(|_| by_session(permission))?;
            // Whoever brings a bearer token means it.
            let session = operators.session(&cookies(headers)).filter(|_| !headers.contains_key(header::AUTHORIZATION));
            session.map(|session| session.key)
        };
        let key = self
            .key(headers)
            .or_else(of_session)
            .ok_or_else(|| Refusal::because(Code::Unauthenticated, "an API key is needed as bearer token"))?;
        if !key.may(permission) {
            return Err(Refusal::because(Code::Forbidden, "the API key may not do this").into());
        }
        Ok(key)
    }

    /// Admits a caller that reads a topic: a backend whose key may read, or a client, whose session clears the next
    /// gates. `None`: it is a backend.
    ///
    /// # Errors
    /// As [`State::admit`], and those of gate 1.
    pub(super) async fn admit_reader(&self, request: Request) -> Result<Option<Session>, Problem> {
        let (request, _) = request.into_parts();
        if self.has_key(&request.headers) {
            self.admit(&request.headers, Permission::Read)?;
            return Ok(None);
        }
        Ok(Some(self.visitors.admit(&request).await?))
    }
}

/// RFC 6750, 2.1; the scheme's case does not matter.
fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
