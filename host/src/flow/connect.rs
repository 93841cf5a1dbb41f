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
    /// On success the caller runs [`Gates::recheck`]: the roles may be others.
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
        let expires_at = user.expires_at;
        if !session.become_user(Arc::new(user)) {
            return Err(Refusal::because(Code::Forbidden, "the token is another user's"));
        }
        Ok(Ack::Authenticated { expires_at })
    }
}

impl Handshake {
    /// The credential: `auth.token`, else a bearer token, else the cookie. An empty one counts as none given.
    fn credential(&self, cookie: &str) -> Option<Credential<'_>> {
        let token = self.token.as_deref().filter(|token| !token.is_empty());
        if let Some(text) = token.or_else(|| bearer(self.authorization.as_deref()?)) {
            return Some(Credential::Explicit(text));
        }
        let mut pairs = self.cookie.as_deref()?.split(';').filter_map(|pair| pair.split_once('='));
        let value = pairs.find_map(|(name, value)| {
            let value = unquoted(value.trim());
            (name.trim() == cookie && !value.is_empty()).then_some(value)
        })?;
        Some(Credential::Cookie(value))
    }
}

impl AuthPolicy {
    /// Browsers send `Origin`; other clients do not and are not judged by it.
    fn admits_origin(&self, handshake: &Handshake, by_cookie: bool) -> bool {
        let Some(origin) = handshake.origin.as_deref().map(canonical) else { return true };
        if handshake.host.as_deref().is_some_and(|host| is_same_host(&origin, host)) {
            return true;
        }
        // Any page can make itself an opaque origin, so `null` is as good as anyone: never with the user's cookie.
        let is_anyone = origin == "null";
        self.origins.iter().any(|allowed| match allowed.as_str() {
            "*" => !by_cookie,
            allowed => canonical(allowed) == origin && !(is_anyone && by_cookie),
        })
    }
}

/// Whether a web page of this origin came from the host that is asked now. Behind a proxy that ends TLS the server
/// does not know its own scheme, so that either will do.
fn is_same_host(origin: &str, host: &str) -> bool {
    ["http://", "https://"]
        .iter()
        .any(|scheme| origin.starts_with(scheme) && origin == canonical(&format!("{scheme}{host}")))
}

/// An origin as browsers write it: lower case, without the scheme's own port, without a slash at the end.
/// <https://www.rfc-editor.org/rfc/rfc6454#section-6.2>
fn canonical(origin: &str) -> String {
    let origin = origin.trim().trim_end_matches('/').to_ascii_lowercase();
    let own_port = match origin.split_once("://") {
        Some(("http", _)) => ":80",
        Some(("https", _)) => ":443",
        _ => return origin,
    };
    origin.strip_suffix(own_port).map_or_else(|| origin.clone(), str::to_owned)
}

fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.trim().split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// RFC 6265, 4.1.1: a cookie's value may stand in double quotes.
fn unquoted(value: &str) -> &str {
    value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value)
}
