//! Gate 1: from a credential to a user, or to an anonymous connection; a bad credential is refused. Also
//! `authenticate`, which renews a credential.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::credential::{Brought, Credential, Handshake};
use super::look::LookedAt;
use super::ports::{Fault, FaultKind, IdentifyCall, Identity, Provider, Recognition};
use super::{Gates, Passage, Session, revoke};
use crate::protocol::{Ack, AuthenticateRequest, Code, ConnectionId, Payload, PluginName, Refusal, User};
use crate::telemetry::{self, Gate};

/// The rules of gate 1.
#[derive(Clone)]
pub struct AuthPolicy {
    /// Whether a connection without a credential is accepted.
    pub anonymous: bool,
    /// The cookie that may hold the credential.
    pub cookie: String,
    /// Origins of browser pages that may connect, in addition to the server's own: `*` is any origin, but never with a
    /// cookie; `https://*.example.com` is every host below `example.com`.
    pub origins: Vec<String>,
    /// The providers, asked in order. The first provider that recognises the credential decides.
    pub providers: Vec<AuthProvider>,
    /// How long decisions of the gates are valid.
    pub lifetimes: Lifetimes,
}

/// How long decisions of the gates are valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetimes {
    /// How long before the end of its credential a session receives `expiring`; at half the credential's lifetime if
    /// that is shorter. Zero: never.
    pub expiring_ahead: Duration,
    /// How long a subscription is held before it is re-authorized, if the authorizer allowed it without a time. Zero:
    /// for as long as it lasts.
    pub recheck: Duration,
    /// How long a subscription is held while its authorizer, asked again, cannot decide.
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

/// A provider that recognises credentials.
#[derive(Clone)]
pub enum AuthProvider {
    /// One of the server's own providers, which may leave a credential to the next one.
    Own(Arc<dyn Provider>),
    /// An authorizer plugin. It decides on every credential that reaches it.
    Plugin {
        /// The plugin.
        name: PluginName,
        /// The cookies that it receives in addition to [`AuthPolicy::cookie`].
        cookies: Vec<String>,
    },
}

/// Longest credential for a plugin, in bytes. Tokens travel in headers, and few servers accept longer headers.
const SHOWN_BYTES_MAX: usize = 8 * 1024;

/// An accepted connection.
#[derive(Debug, Clone)]
pub struct Admission {
    /// The user; `None` for an anonymous connection.
    pub user: Option<Arc<User>>,
    /// The cookies of the connection, if it was accepted by them.
    pub(super) cookies: Option<Arc<Brought>>,
    /// The provider that can check the credential again.
    pub(super) looked_at: Option<LookedAt>,
}

/// The result of recognising a credential.
#[derive(Default)]
struct Recognised {
    /// `None` for an anonymous connection.
    user: Option<User>,
    /// The index of the provider that can check the credential again.
    looks: Option<usize>,
}

impl Recognised {
    fn looked_at(&self, brought: &Arc<Brought>) -> Option<LookedAt> {
        self.looks.map(|by| LookedAt { by, brought: Arc::clone(brought) })
    }
}

impl Gates {
    /// Gate 1. `connection` is the connection's name for plugins.
    ///
    /// # Errors
    /// `unauthenticated`, `token_expired`, `token_revoked`, `forbidden` (origin), `unavailable` (a plugin that should
    /// decide is unavailable, or revocations are not loaded yet), `draining`.
    pub async fn connect(&self, connection: &ConnectionId, handshake: &Handshake) -> Result<Admission, Refusal> {
        let passage = Passage::begin(Gate::Connect);
        let result = passage.span.around(self.admit(connection, handshake)).await;
        passage.end(None, &result);
        result
    }

    /// Whether every provider has the keys that it checks credentials with. Until then credentials of a provider
    /// without keys are refused.
    #[must_use]
    pub fn has_keys(&self) -> bool {
        self.auth.providers.iter().all(|provider| match provider {
            AuthProvider::Own(provider) => provider.has_keys(),
            AuthProvider::Plugin { .. } => true,
        })
    }

    /// Whether every provider is known to work with its source, such as the session query. Until then credentials of
    /// the other providers are refused.
    #[must_use]
    pub fn has_fit_providers(&self) -> bool {
        self.auth.providers.iter().all(|provider| match provider {
            AuthProvider::Own(provider) => provider.is_fit(),
            AuthProvider::Plugin { .. } => true,
        })
    }

    /// Whether all plugins that a channel or a provider needs are loaded. Requests that need a missing (quarantined)
    /// plugin are refused.
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

    pub(super) async fn admit(&self, connection: &ConnectionId, handshake: &Handshake) -> Result<Admission, Refusal> {
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
                tracing::debug!(
                    cookie = name,
                    "credential refused: several cookies with the same name have different values"
                );
                return Err(Code::Unauthenticated.into());
            }
            credential => match self.identify(connection, credential).await {
                // The provider looked at some cookies, and none is a credential: the client gave none.
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

    /// Recognises a credential; `None` is an anonymous connection.
    async fn identify(&self, connection: &ConnectionId, credential: &Credential<'_>) -> Result<Recognised, Refusal> {
        if !self.knows_revocations() {
            // Any credential might be revoked. The client may come back with it.
            return Err(Code::Unavailable.into());
        }
        self.recognise(connection, credential, self.ports.clock.now_unix_s()).await
    }

    /// Asks the providers in order. `now_unix_s` is the time when the asking began.
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
                            // An answer requested in the very second of a revocation is refused like an earlier one.
                            // The provider forgets it, so that the next attempt with this credential asks again.
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

    /// Returns the user unless the credential is revoked, or could never be revoked.
    pub(super) fn judge_revoked(&self, user: User, now_unix_s: u64) -> Result<User, Refusal> {
        let Some(user) = revoke::revocable(user, now_unix_s) else {
            tracing::debug!("credential refused: a revocation could not name its user or its id");
            return Err(Code::Unauthenticated.into());
        };
        let user = self.ports.revocations.seen(user, now_unix_s);
        self.ports.revocations.judge(&user, now_unix_s)?;
        Ok(user)
    }

    /// Asks a plugin to identify the user of a credential. Fails closed: after a fault nobody is accepted, because a
    /// fault says nothing about the credential; the client may come back with it.
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
        // Decisions about credentials are not kept: the plugin is asked each time.
        match self.serving().plugins.identify(plugin, IdentifyCall { connection, credential }).await {
            Ok(Recognition::Admitted { user: Some(user), ttl }) => {
                // Whole seconds, like every credential, rounded down: a credential never lasts longer than granted.
                let now_unix_s = self.ports.clock.now_unix_s();
                let ends_at = now_unix_s.saturating_add(ttl.as_secs().max(1));
                let expires_at = (!ttl.is_zero()).then_some(ends_at);
                // The plugin is asked every time, and its answer counts as of this moment: it may not know of
                // revocations after it.
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
            Err(Fault { kind: FaultKind::OverBudget, .. }) => Err(Code::OverBudget.into()),
            Err(_fault) => Err(Code::Unavailable.into()),
        }
    }

    /// `authenticate`: renews the session's credential with a token, or with the cookies of its connection. The user
    /// must stay the same; an anonymous session gets a user. On success the caller runs [`Gates::recheck`], because the
    /// roles may have changed.
    ///
    /// # Errors
    /// As gate 1; `forbidden` if the token belongs to another user: then the caller ends the session.
    pub async fn authenticate(&self, session: &Session, request: &AuthenticateRequest) -> Result<Ack, Refusal> {
        let passage = Passage::begin(Gate::Connect);
        let result = passage.span.around(self.renew(session, request)).await;
        passage.end(None, &result);
        result
    }

    async fn renew(&self, session: &Session, request: &AuthenticateRequest) -> Result<Ack, Refusal> {
        self.refuse_while_draining()?;
        let cookies = session.cookies();
        let credential = match (&request.token, &cookies) {
            (Some(token), _) => Credential::Token(token),
            (None, Some(cookies)) => cookies.credential(),
            (None, None) => {
                return Err(Refusal::because(
                    Code::Unauthenticated,
                    "there is no token, and no cookie came with the connection",
                ));
            }
        };
        let recognised = self.identify(session.connection(), &credential).await?;
        let looked_at = recognised.looks.map(|by| LookedAt { by, brought: Arc::new(credential.brought()) });
        let user = recognised.user.ok_or(Code::Unauthenticated)?;
        let expires_at = user.expires_at;
        if !session.become_user(Arc::new(user), looked_at) {
            return Err(Refusal::because(Code::Forbidden, "the credential belongs to another user"));
        }
        Ok(Ack::Authenticated { expires_at })
    }
}

impl AuthPolicy {
    /// Called after a revocation for this user: no provider may use its earlier answers about the user.
    pub(super) fn forget(&self, user_id: &str) {
        for provider in &self.providers {
            if let AuthProvider::Own(provider) = provider {
                provider.forget(user_id);
            }
        }
    }

    /// Every name that a credential with this id may have: a token's `jti`, or the id of a session.
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
