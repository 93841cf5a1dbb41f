//! Gate 1: credential → user, or anonymous; a bad credential is refused. And `authenticate`, its renewal.

use std::sync::Arc;

use tokio::time::Instant;

use super::ports::{Identity, Provider};
use super::{Gates, Session, observe};
use crate::protocol::{Ack, AuthenticateRequest, Code, Refusal, User};
use crate::telemetry::Gate;

/// How gate 1 decides.
#[derive(Clone)]
pub struct AuthPolicy {
    /// Whether a connection without a credential is let in.
    pub anonymous: bool,
    /// The cookie that may hold the credential.
    pub cookie: String,
    /// Origins a browser page may connect from besides the server's own; `*` is any, but never with a cookie.
    pub origins: Vec<String>,
    /// Asked in order; the first that recognises the credential decides.
    pub providers: Vec<Arc<dyn Provider>>,
}

/// What a client brings: the places a credential may be in, and where its page came from.
#[derive(Debug, Clone, Default)]
pub struct Handshake {
    /// `auth.token` of the Socket.IO handshake.
    pub token: Option<String>,
    /// The `Authorization` header.
    pub authorization: Option<String>,
    /// The `Cookie` header.
    pub cookie: Option<String>,
    /// The `Origin` header.
    pub origin: Option<String>,
    /// The `Host` header.
    pub host: Option<String>,
}

/// A connection let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admission {
    /// Its user; `None` is anonymous.
    pub user: Option<Arc<User>>,
}

enum Credential<'a> {
    Explicit(&'a str),
    Cookie(&'a str),
}

impl Gates {
    /// Gate 1.
    ///
    /// # Errors
    /// `unauthenticated`, `token_expired`, `forbidden` (origin), `draining`.
    pub async fn connect(&self, handshake: &Handshake) -> Result<Admission, Refusal> {
        let started = Instant::now();
        let result = self.admit(handshake).await;
        observe(Gate::Connect, None, started, &result);
        result
    }

    async fn admit(&self, handshake: &Handshake) -> Result<Admission, Refusal> {
        self.refuse_while_draining()?;
        let credential = handshake.credential(&self.auth.cookie);
        if !self.auth.admits_origin(handshake, matches!(credential, Some(Credential::Cookie(_)))) {
            return Err(Refusal::because(Code::Forbidden, "this origin may not connect"));
        }
        match credential {
            None if self.auth.anonymous => Ok(Admission { user: None }),
            None => Err(Code::Unauthenticated.into()),
            Some(Credential::Explicit(text) | Credential::Cookie(text)) => {
                let user = self.identify(text).await?;
                Ok(Admission { user: Some(Arc::new(user)) })
            }
        }
    }

    async fn identify(&self, credential: &str) -> Result<User, Refusal> {
        for provider in &self.auth.providers {
            match provider.identify(credential).await {
                Identity::NotMine => {}
                Identity::User(user) if user.is_expired(self.ports.clock.now_unix_s()) => {
                    return Err(Code::TokenExpired.into());
                }
                Identity::User(user) => return Ok(user),
                Identity::Refused(code) => return Err(code.into()),
            }
        }
        Err(Code::Unauthenticated.into())
    }

    /// `authenticate`: renews the session's credential; the user must stay the same, an anonymous session gains one.
    ///
    /// # Errors
    /// As gate 1; `forbidden` when the token is another user's.
    pub async fn authenticate(&self, session: &Session, request: &AuthenticateRequest) -> Result<Ack, Refusal> {
        let started = Instant::now();
        let result = self.renew(session, request).await;
        observe(Gate::Connect, None, started, &result);
        result
    }

    async fn renew(&self, session: &Session, request: &AuthenticateRequest) -> Result<Ack, Refusal> {
        self.refuse_while_draining()?;
        let user = self.identify(&request.token).await?;
        if session.user().is_some_and(|current| current.id != user.id) {
            return Err(Refusal::because(Code::Forbidden, "the token is another user's"));
        }
        let expires_at = user.expires_at;
        session.set_user(Arc::new(user));
        Ok(Ack::Authenticated { expires_at })
    }
}

impl Handshake {
    /// The credential: `auth.token`, else a bearer token, else the cookie. An empty one counts as none given.
    fn credential(&self, cookie: &str) -> Option<Credential<'_>> {
        let explicit = self.token.as_deref().or_else(|| self.authorization.as_deref().and_then(bearer));
        if let Some(text) = explicit.filter(|text| !text.is_empty()) {
            return Some(Credential::Explicit(text));
        }
        let cookies = self.cookie.as_deref()?;
        let mut values = cookies.split(';').filter_map(|pair| pair.trim().split_once('='));
        let (_, value) = values.find(|(name, value)| *name == cookie && !value.is_empty())?;
        Some(Credential::Cookie(value.trim_matches('"')))
    }
}

impl AuthPolicy {
    /// Browsers send `Origin`; other clients do not and are not judged by it.
    fn admits_origin(&self, handshake: &Handshake, by_cookie: bool) -> bool {
        let Some(origin) = &handshake.origin else { return true };
        let host = origin.split_once("://").map(|(_, host)| host);
        if host.is_some() && host == handshake.host.as_deref() {
            return true;
        }
        self.origins.iter().any(|allowed| allowed == origin || (allowed == "*" && !by_cookie))
    }
}

fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
