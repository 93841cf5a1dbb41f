//! One revocation: what it names, whom it covers, and how long it matters.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::ahead;
use crate::channels::RuleId;
use crate::protocol::{BusEvent, Topic, User};

/// Longest user id, token id or reason, in bytes.
const TEXT_BYTES_MAX: usize = 1024;
/// How far `issued_before` may be in the future: clocks differ, but a credential that is not issued yet cannot be
/// revoked. This also distinguishes milliseconds from seconds.
const AHEAD_S_MAX: u64 = 300;
/// How long the revocation of a subscription matters: no node holds an earlier decision of an authorizer for longer.
const SUBSCRIPTION_S: u64 = super::super::decisions::TTL_MAX.as_secs();

/// A revocation, as it is stored and sent between nodes.
///
/// Without a topic it covers credentials: sessions with one of them end, and gate 1 refuses the credential. With a
/// topic it covers subscriptions: the covered clients leave the topic, and may subscribe again if the gates admit them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocation {
    /// Unique; a node that receives it twice acts once. A revocation from a bus event has the same id on every node
    /// that reads the event.
    pub id: String,
    /// The user's id, in every tenant.
    pub user: Option<String>,
    /// The credential's own id (`jti`), or this server's name for a credential that was seen before (`ahead.rs`).
    pub token: Option<String>,
    /// The topic.
    pub topic: Option<Topic>,
    /// Only credentials issued before this time, in seconds since the Unix epoch, or without a time. The second after
    /// [`Revocation::at_unix_s`] means all until now, whatever time they have: also those that were seen before.
    pub issued_before: Option<u64>,
    /// For operators; never shown to clients.
    pub reason: Option<String>,
    /// When it was made, in seconds since the Unix epoch.
    pub at_unix_s: u64,
    /// Until when it matters, in seconds since the Unix epoch.
    pub until_unix_s: u64,
}

/// A requested revocation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RevokeRequest {
    /// Like [`Revocation::user`].
    pub user: Option<String>,
    /// Like [`Revocation::token`].
    pub token: Option<String>,
    /// Like [`Revocation::topic`], unchecked.
    pub topic: Option<String>,
    /// Like [`Revocation::issued_before`].
    pub issued_before: Option<u64>,
    /// Like [`Revocation::reason`].
    pub reason: Option<String>,
}

/// Why a request is not a valid revocation. The caller may see it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRevocation {
    /// It names nothing.
    #[error("at least one of `user`, `token` and `topic` is needed")]
    Nothing,
    /// A text that is empty or too long.
    #[error("`{0}` must be a text of 1 to {TEXT_BYTES_MAX} bytes, without NUL")]
    Text(&'static str),
    /// Not a valid topic.
    #[error("`topic` is not a valid topic: {0}")]
    Topic(#[from] crate::protocol::InvalidName),
    /// A pattern of topics.
    #[error(
        "`topic` must be one topic, never a pattern; to end all sessions of a user, revoke `{{ \"user\": \"…\" }}`"
    )]
    Pattern,
    /// A time of issue without a user.
    #[error("`issued_before` needs a `user`: it selects this user's credentials")]
    NobodysTime,
    /// A time of issue in the future.
    #[error("`issued_before` is in the future; give it in seconds since the Unix epoch")]
    Future,
}

/// A user that a revocation can cover; `None` if no revocation could name the user or the credential. If an issuer's
/// clock is too far ahead, its times are ignored: its credentials count as issued before every revocation.
pub(in crate::flow) fn revocable(mut user: User, now_unix_s: u64) -> Option<User> {
    let can_be_named = is_text(&user.id) && user.token_id.as_deref().is_none_or(is_text);
    user.issued_at = user.issued_at.filter(|at| *at <= now_unix_s.saturating_add(AHEAD_S_MAX));
    can_be_named.then_some(user)
}

/// A name made from a value: the same on every node.
pub(super) fn print_of(prefix: &str, says: &Value) -> String {
    let hash = Sha256::digest(says.to_string().as_bytes());
    hash.iter().take(20).fold(prefix.to_owned(), |text, byte| text + &format!("{byte:02x}"))
}

fn is_called(user: &User, token: &str) -> bool {
    ahead::is_print(token) && ahead::print(user) == token
}

fn is_text(text: &str) -> bool {
    !text.is_empty() && text.len() <= TEXT_BYTES_MAX && !text.contains('\0')
}

impl RevokeRequest {
    /// Makes it a revocation as of now. `kept` is how long a revocation of credentials matters
    /// (`auth.revocations_kept`).
    ///
    /// Without a time it covers all credentials of a user up to now. The current second counts as before: a token from
    /// this second may be older than the revocation.
    ///
    /// # Errors
    /// [`InvalidRevocation`].
    pub fn judge(self, now_unix_s: u64, kept: Duration) -> Result<Revocation, InvalidRevocation> {
        let Self { user, token, topic, issued_before, reason } = self;
        if user.is_none() && token.is_none() && topic.is_none() {
            return Err(InvalidRevocation::Nothing);
        }
        for (name, text) in [("user", &user), ("token", &token), ("reason", &reason)] {
            if text.as_deref().is_some_and(|text| !is_text(text)) {
                return Err(InvalidRevocation::Text(name));
            }
        }
        let topic = topic.as_deref().map(Topic::parse).transpose()?;
        if topic.as_ref().is_some_and(|topic| topic.as_str().split('.').any(|segment| segment == "*")) {
            return Err(InvalidRevocation::Pattern);
        }
        if issued_before.is_some() && user.is_none() {
            return Err(InvalidRevocation::NobodysTime);
        }
        if issued_before.is_some_and(|before| before > now_unix_s.saturating_add(AHEAD_S_MAX)) {
            return Err(InvalidRevocation::Future);
        }
        let is_of_all = user.is_some() && token.is_none() && topic.is_none();
        let issued_before = issued_before.or_else(|| is_of_all.then(|| now_unix_s.saturating_add(1)));
        let matters_s = if topic.is_some() { SUBSCRIPTION_S } else { kept.as_secs() };
        let until_unix_s = now_unix_s.max(issued_before.unwrap_or_default()).saturating_add(matters_s);
        let id = uuid::Uuid::now_v7().to_string();
        Ok(Revocation { id, user, token, topic, issued_before, reason, at_unix_s: now_unix_s, until_unix_s })
    }
}

impl Revocation {
    /// Whether it covers this user's credential, or a connection without one.
    #[must_use]
    pub fn covers(&self, user: Option<&User>) -> bool {
        let Some(user) = user else { return self.user.is_none() && self.token.is_none() };
        self.user.as_ref().is_none_or(|id| *id == user.id)
            && self.token.as_ref().is_none_or(|id| user.token_id.as_ref() == Some(id) || is_called(user, id))
            && self.issued_before.is_none_or(|before| user.issued_at.is_none_or(|at| at < before) || self.saw(user))
    }

    /// Whether it covers everything that a user has at the time of the revocation.
    pub(super) fn is_of_all_until_now(&self) -> bool {
        let is_of_user = self.user.is_some() && self.token.is_none() && self.topic.is_none();
        is_of_user && self.issued_before == Some(self.at_unix_s.saturating_add(1))
    }

    /// Whether a credential with a later time of issue existed before this revocation. For credentials from the very
    /// same second [`ahead::IssuedAhead`] knows that.
    fn saw(&self, user: &User) -> bool {
        self.is_of_all_until_now() && user.seen_at.is_some_and(|at| at < self.at_unix_s)
    }

    /// The same, as a bus event requests it: whichever nodes take the event across, and however often, it is one
    /// revocation. Its content is a part of its id, too: a source that uses one id for two events revokes twice.
    #[must_use]
    pub(in crate::flow) fn said_by(self, event: &BusEvent, rule: &RuleId) -> Self {
        let BusEvent { source, id, time, kind, .. } = event;
        let says = json!([source, id, time, kind, rule, self.user, self.token, self.topic]);
        Self { id: print_of("event:", &says), ..self }
    }

    /// Whether it covers credentials, not subscriptions.
    #[must_use]
    pub const fn is_of_credentials(&self) -> bool {
        self.topic.is_none()
    }

    /// Whether it does not matter any more.
    #[must_use]
    pub const fn is_over(&self, now_unix_s: u64) -> bool {
        self.until_unix_s <= now_unix_s
    }
}
