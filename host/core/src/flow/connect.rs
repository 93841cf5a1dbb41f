//! Gate 1: credential → user, or anonymous; a bad credential is refused. And `authenticate`, its renewal.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::credential::{Brought, Credential, Handshake};
use super::look::LookedAt;
use super::ports::{IdentifyCall, Identity, Provider, Recognition};
use super::{Gates, Session, observe, revoke};
use crate::protocol::{Ack, AuthenticateRequest, Code, ConnectionId, Payload, PluginName, Refusal, User};
use crate::telemetry::{self, Gate};

/// How gate 1 decides.
#[derive(Clone)]
pub struct AuthPolicy {
    /// Whether a connection without a credential is let in.
    pub anonymous: bool,
    /// The cookie that may hold the credential.
    pub cookie: String,
    /// Origins a browser page may connect from besides the server's own: `*` is any, but never with a cookie,
    /// `https://*.example.com` every host below that one.
    pub origins: Vec<String>,
    /// Asked in order; the first that recognises the credential decides.
    pub providers: Vec<AuthProvider>,
    /// How long what gates decided is good for.
    pub lifetimes: Lifetimes,
}

/// How long what gates decided is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetimes {
    /// How long before the end of its credential a session is told of it; at half the credential's time when that is
    /// less. Zero tells nobody.
    pub expiring_ahead: Duration,
    /// How long a subscription is held on an authorizer's yes that came without a time, before it is asked about again.
    /// Zero is for as long as it lasts.
    pub recheck: Duration,
    /// How long a subscription is held whose authorizer, asked again, cannot tell.
    pub recheck_grace: Duration,
}

impl Default for Lifetimes {
    fn default() -> Self {
        Self {
            expiring_ahead: Duration::from_secs(60),
            recheck: Duration::from_secs(5 * 60),
            recheck_grace: Duration::from_secs(60 * 60),
        }
    }
}

/// What recognises credentials.
#[derive(Clone)]
pub enum AuthProvider {
    /// Something of the server's own, which may leave a credential to the next.
    Own(Arc<dyn Provider>),
    /// An authorizer plugin. It decides on every credential that comes to it.
    Plugin {
        /// The plugin.
        name: PluginName,
        /// Cookies it is shown besides [`AuthPolicy::cookie`].
        cookies: Vec<String>,
    },
}

/// Longest credential that a plugin is shown, in bytes. Tokens travel in headers, which no server takes much longer.
const SHOWN_BYTES_MAX: usize = 8 * 1024;

/// A connection let in.
#[derive(Debug, Clone)]
pub struct Admission {
    /// Its user; `None` is anonymous.
    pub user: Option<Arc<User>>,
    /// The cookies it came with, where it was let in by them.
    pub(super) cookies: Option<Arc<Brought>>,
    /// Who can look at its credential again.
    pub(super) looked_at: Option<LookedAt>,
}

/// Whose a credential is.
#[derive(Default)]
struct Recognised {
    /// `None` is anonymous.
    user: Option<User>,
    /// The number of the provider that can look again.
    looks: Option<usize>,
}

impl Recognised {
    fn looked_at(&self, brought: &Arc<Brought>) -> Option<LookedAt> {
        self.looks.map(|by| LookedAt { by, brought: Arc::clone(brought) })
    }
}

impl Gates {
    /// Gate 1. `connection` names the connection to plugins.
    ///
    /// # Errors
    /// `unauthenticated`, `token_expired`, `token_revoked`, `forbidden` (origin), `unavailable` (a plugin that should
    /// decide, revocations not loaded yet), `draining`.
    pub async fn connect(&self, connection: &ConnectionId, handshake: &Handshake) -> Result<Admission, Refusal> {
        let started = Instant::now();
        let result = self.admit(connection, handshake).await;
        observe(Gate::Connect, None, started, &result);
        result
    }

    /// Whether every provider has the keys it checks credentials with. Until then nobody who brings one of its comes in.
    #[must_use]
    pub fn has_keys(&self) -> bool {
        self.auth.providers.iter().all(|provider| match provider {
            AuthProvider::Own(provider) => provider.has_keys(),
            AuthProvider::Plugin { .. } => true,
        })
    }

    /// Whether what providers ask is known to fit. Until it is nobody comes in by one of which it is not.
    #[must_use]
    pub fn has_fit_providers(&self) -> bool {
        self.auth.providers.iter().all(|provider| match provider {
            AuthProvider::Own(provider) => provider.is_fit(),
            AuthProvider::Plugin { .. } => true,
        })
    }

    /// Whether every plugin is there that a channel or a provider needs. One that is not was kept out: what needs it is
    /// refused.
    #[must_use]
    pub fn has_plugins(&self) -> bool {
        let serving = self.serving();
        let channels = serving.catalog.channels().flat_map(|channel| channel.plugins());
        let providers = self.auth.providers.iter().filter_map(|provider| match provider {
            AuthProvider::Own(_) => None,
            AuthProvider::Plugin { name, .. } => Some(name),
        });
        channels.chain(providers).all(|plugin| serving.plugins.version(plugin).is_some())
    }

    async fn admit(&self, connection: &ConnectionId, handshake: &Handshake) -> Result<Admission, Refusal> {
        self.refuse_while_draining()?;
        let cookies = self.auth.cookies();
        let credential = handshake.credential(&cookies);
        if !self.auth.admits_origin(handshake, credential.as_ref().is_some_and(Credential::is_ambient)) {
            return Err(Refusal::because(Code::Forbidden, "this origin may not connect"));
        }
        let Some(credential) = credential else {
            if self.auth.anonymous {
                return Ok(Admission { user: None, cookies: None, looked_at: None });
            }
            return Err(Code::Unauthenticated.into());
        };
        let recognised = match &credential {
            Credential::Ambiguous(name) => {
                tracing::debug!(cookie = name, "credential refused: several cookies of one name say different things");
                return Err(Code::Unauthenticated.into());
            }
            credential => match self.identify(connection, credential).await {
                // Some cookie or other was asked about, and is nobody's: no credential was given.
                Err(Refusal { code: Code::Unauthenticated, .. })
                    if self.auth.anonymous && credential.is_incidental(&cookies) =>
                {
                    Recognised::default()
                }
                identified => identified?,
            },
        };
        let brought = Arc::new(credential.brought());
        let looked_at = recognised.looked_at(&brought);
        Ok(Admission {
            user: recognised.user.map(Arc::new),
            cookies: credential.is_ambient().then_some(brought),
            looked_at,
        })
    }

    /// Whose a credential is; `None` is an anonymous connection.
    async fn identify(&self, connection: &ConnectionId, credential: &Credential<'_>) -> Result<Recognised, Refusal> {
        if !self.knows_revocations() {
            // Any credential might be revoked. The client may come back with it.
            return Err(Code::Unavailable.into());
        }
        self.recognise(connection, credential, self.ports.clock.now_unix_s()).await
    }

    /// Asks the providers from `now_unix_s` on.
    async fn recognise(
        &self,
        connection: &ConnectionId,
        credential: &Credential<'_>,
        now_unix_s: u64,
    ) -> Result<Recognised, Refusal> {
        for (number, provider) in self.auth.providers.iter().enumerate() {
            match provider {
                AuthProvider::Own(provider) => {
                    let Some(shown) = credential.shown_to(&self.auth.cookie, provider.cookies()) else { continue };
                    match provider.identify(&shown).await {
                        Identity::NotMine => {}
                        Identity::User(user) if user.is_expired(self.ports.clock.now_unix_s()) => {
                            return Err(Code::TokenExpired.into());
                        }
                        Identity::User(user) => {
                            let id = user.id.clone();
                            let judged = self.judge_revoked(user, now_unix_s);
                            // An answer that was asked for in the very second of a revocation is refused like one from
                            // before it, but for no longer: the next one who brings the credential is asked about anew.
                            let user = Some(judged.inspect_err(|_| provider.forget(&id))?);
                            return Ok(Recognised { user, looks: provider.looks_again().then_some(number) });
                        }
                        Identity::Refused(code) => return Err(code.into()),
                    }
                }
                AuthProvider::Plugin { name, cookies } => {
                    let cookies: Vec<&str> = self.auth.cookie_and(cookies).collect();
                    let Some(shown) = credential.shown(&cookies) else { continue };
                    let user = self.ask_plugin(name, connection, &shown, now_unix_s).await?;
                    let user = user.map(|user| self.judge_revoked(user, now_unix_s)).transpose()?;
                    return Ok(Recognised { user, looks: None });
                }
            }
        }
        Err(Code::Unauthenticated.into())
    }

    /// The same user, unless the credential is revoked, or nothing could revoke it.
    pub(super) fn judge_revoked(&self, user: User, now_unix_s: u64) -> Result<User, Refusal> {
        let Some(user) = revoke::revocable(user, now_unix_s) else {
            tracing::debug!("credential refused: no revocation could name its user or its id");
            return Err(Code::Unauthenticated.into());
        };
        let user = self.ports.revocations.seen(user, now_unix_s);
        self.ports.revocations.judge(&user, now_unix_s)?;
        Ok(user)
    }

    /// Asks a plugin whose a credential is. Fails closed: a fault says nothing of the credential and lets nobody in; the
    /// client may come back with it.
    async fn ask_plugin(
        &self,
        plugin: &PluginName,
        connection: &ConnectionId,
        credential: &Payload,
        asked_at_unix_s: u64,
    ) -> Result<Option<User>, Refusal> {
        if credential.as_str().len() > SHOWN_BYTES_MAX {
            tracing::debug!(bytes = credential.as_str().len(), "credential refused: it is too long");
            return Err(Code::Unauthenticated.into());
        }
        // No decision about a credential is kept: it is asked about again wherever it comes again.
        match self.serving().plugins.identify(plugin, IdentifyCall { connection, credential }).await {
            Ok(Recognition::Admitted { user: Some(user), ttl }) => {
                // Whole seconds, like every credential: rounded down, so that it never lasts longer than was granted.
                let now_unix_s = self.ports.clock.now_unix_s();
                let ends_at = now_unix_s.saturating_add(ttl.as_secs().max(1));
                let expires_at = (!ttl.is_zero()).then_some(ends_at);
                // It is asked every time, and vouches for the credential as of then: what was revoked meanwhile it may
                // not have known.
                Ok(Some(User { expires_at, issued_at: Some(asked_at_unix_s), ..user }))
            }
            Ok(Recognition::Admitted { user: None, .. }) if self.auth.anonymous => Ok(None),
            Ok(Recognition::Admitted { user: None, .. }) => Err(Code::Unauthenticated.into()),
            Ok(Recognition::Refused { reason }) => {
                tracing::debug!(%plugin, reason, "credential refused by a plugin");
                Err(Code::Unauthenticated.into())
            }
            Ok(Recognition::Unknown { reason }) => {
                telemetry::cannot_tell(plugin.as_str(), telemetry::NO_CHANNEL, "connect", None, &reason);
                Err(Code::Unavailable.into())
            }
            Err(_fault) => Err(Code::Unavailable.into()),
        }
    }

    /// `authenticate`: renews the session's credential, by a token or by the cookies that its connection came with; the user
    /// must stay the same, an anonymous session gains one.
    /// On success the caller runs [`Gates::recheck`]: the roles may be others.
    ///
    /// # Errors
    /// As gate 1; `forbidden` when the token is another user's: the caller ends the session.
    pub async fn authenticate(&self, session: &Session, request: &AuthenticateRequest) -> Result<Ack, Refusal> {
        let started = Instant::now();
        let result = self.renew(session, request).await;
        observe(Gate::Connect, None, started, &result);
        result
    }

    async fn renew(&self, session: &Session, request: &AuthenticateRequest) -> Result<Ack, Refusal> {
        self.refuse_while_draining()?;
        let cookies = session.cookies();
        let credential = match (&request.token, &cookies) {
            (Some(token), _) => Credential::Token(token),
            (None, Some(cookies)) => cookies.credential(),
            (None, None) => {
                return Err(Refusal::because(Code::Unauthenticated, "no token, and it came with no cookie"));
            }
        };
        let recognised = self.identify(session.connection(), &credential).await?;
        let looked_at = recognised.looks.map(|by| LookedAt { by, brought: Arc::new(credential.brought()) });
        let user = recognised.user.ok_or(Code::Unauthenticated)?;
        let expires_at = user.expires_at;
        if !session.become_user(Arc::new(user), looked_at) {
            return Err(Refusal::because(Code::Forbidden, "the credential is another user's"));
        }
        Ok(Ack::Authenticated { expires_at })
    }
}

impl AuthPolicy {
    /// Something of this user was revoked: no provider answers with what it knew before.
    pub(super) fn forget(&self, user_id: &str) {
        for provider in &self.providers {
            if let AuthProvider::Own(provider) = provider {
                provider.forget(user_id);
            }
        }
    }

    /// Whatever a credential with this id of its own may be called: a token's `jti`, the id of a session.
    pub(super) fn token_ids(&self, id: &str) -> BTreeSet<String> {
        let own = self.providers.iter().filter_map(|provider| match provider {
            AuthProvider::Own(provider) => provider.token_id(id),
            AuthProvider::Plugin { .. } => None,
        });
        let ids: BTreeSet<String> = own.collect();
        if ids.is_empty() { BTreeSet::from([id.to_owned()]) } else { ids }
    }

    /// Every cookie that may hold a credential.
    fn cookies(&self) -> Vec<&str> {
        let further = self.providers.iter().flat_map(|provider| match provider {
            AuthProvider::Own(provider) => provider.cookies(),
            AuthProvider::Plugin { cookies, .. } => cookies.as_slice(),
        });
        self.cookie_and(further).collect()
    }

    fn cookie_and<'a>(&'a self, further: impl IntoIterator<Item = &'a String>) -> impl Iterator<Item = &'a str> {
        std::iter::once(self.cookie.as_str()).chain(further.into_iter().map(String::as_str))
    }
}
