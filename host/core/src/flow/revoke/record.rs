//! One revocation: what it names, whom it is about, and for how long it matters.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::ahead;
use crate::channels::RuleId;
use crate::protocol::{BusEvent, Topic, User};

/// Longest user id, token id or reason, in bytes.
const TEXT_BYTES_MAX: usize = 1024;
/// How far `issued_before` may lie ahead: clocks differ, but what is not issued yet cannot be withdrawn. It tells
/// milliseconds from seconds, too.
const AHEAD_S_MAX: u64 = 300;
/// How long a subscription's revocation matters: no node has a decision of an authorizer from before for longer.
const SUBSCRIPTION_S: u64 = super::super::decisions::TTL_MAX.as_secs();

/// What is withdrawn, as it is kept and carried from node to node.
///
/// Without a topic it is about credentials: sessions with one of them end, and gate 1 refuses it. With a topic it is
/// about subscriptions: those who are meant leave the topic, and may subscribe again if the gates let them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocation {
    /// Unique; a node that is told twice acts once. One that a bus event says is the same on every node that reads it.
    pub id: String,
    /// The user's id. Of every tenant.
    pub user: Option<String>,
    /// The credential's own id (`jti`), or what this server calls one that was seen before (`ahead.rs`).
    pub token: Option<String>,
    /// The topic.
    pub topic: Option<Topic>,
    /// Only credentials issued before, in seconds since the Unix epoch, or not saying when. The second after
    /// [`Revocation::at_unix_s`] means all until now, whatever they say: those that were seen before, too.
    pub issued_before: Option<u64>,
    /// For operators; never shown to clients.
    pub reason: Option<String>,
    /// When it was made, in seconds since the Unix epoch.
    pub at_unix_s: u64,
    /// Until when it matters, in seconds since the Unix epoch.
    pub until_unix_s: u64,
}

/// A revocation as somebody asks for it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RevokeRequest {
    /// As [`Revocation::user`].
    pub user: Option<String>,
    /// As [`Revocation::token`].
    pub token: Option<String>,
    /// As [`Revocation::topic`], unchecked.
    pub topic: Option<String>,
    /// As [`Revocation::issued_before`].
    pub issued_before: Option<u64>,
    /// As [`Revocation::reason`].
    pub reason: Option<String>,
}

/// Why a request is no revocation. Safe to tell whoever made it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRevocation {
    /// It names nothing.
    #[error("at least one of `user`, `token` and `topic` is needed")]
    Nothing,
    /// A text that is empty, or longer than any.
    #[error("`{0}` must be a text of 1 to {TEXT_BYTES_MAX} bytes, without NUL")]
    Text(&'static str),
    /// No name a topic can have.
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
    /// A time of issue that has not come.
    #[error("`issued_before` is in the future; give it in seconds since the Unix epoch")]
    Future,
}

/// A user whom a revocation can reach; `None` when no revocation could name the user or the credential. An issuer whose
/// clock is ahead by more than clocks are has no say about when: its credentials count as issued before every revocation.
pub(in crate::flow) fn revocable(mut user: User, now_unix_s: u64) -> Option<User> {
    let can_be_named = is_text(&user.id) && user.token_id.as_deref().is_none_or(is_text);
    user.issued_at = user.issued_at.filter(|at| *at <= now_unix_s.saturating_add(AHEAD_S_MAX));
    can_be_named.then_some(user)
}

/// A name made of what something says: the same on every node.
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
    /// Makes it a revocation as of now. `kept` is how long one of credentials matters (`auth.revocations_kept`).
    ///
    /// All credentials of a user are meant up to now when no time is named. The current second counts as before: a token
    /// of it may be older than the revocation.
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
    /// Whether it is about this user's credential, or about a connection without one.
    #[must_use]
    pub fn covers(&self, user: Option<&User>) -> bool {
        let Some(user) = user else { return self.user.is_none() && self.token.is_none() };
        self.user.as_ref().is_none_or(|id| *id == user.id)
            && self.token.as_ref().is_none_or(|id| user.token_id.as_ref() == Some(id) || is_called(user, id))
            && self.issued_before.is_none_or(|before| user.issued_at.is_none_or(|at| at < before) || self.saw(user))
    }

    /// Whether it withdraws all that a user has, as of when it was made.
    pub(super) fn is_of_all_until_now(&self) -> bool {
        let is_of_user = self.user.is_some() && self.token.is_none() && self.topic.is_none();
        is_of_user && self.issued_before == Some(self.at_unix_s.saturating_add(1))
    }

    /// Whether a credential that seems to be issued later than this was made was here before. Of those of its very second
    /// [`ahead::IssuedAhead`] knows which were.
    fn saw(&self, user: &User) -> bool {
        self.is_of_all_until_now() && user.seen_at.is_some_and(|at| at < self.at_unix_s)
    }

    /// The same, said by a bus event: whichever nodes take it across, and however often, it is one revocation. What it is
    /// about stands in the name, too: a source that gives two events one id revokes twice.
    #[must_use]
    pub(in crate::flow) fn said_by(self, event: &BusEvent, rule: &RuleId) -> Self {
        let BusEvent { source, id, time, kind, .. } = event;
        let says = json!([source, id, time, kind, rule, self.user, self.token, self.topic]);
        Self { id: print_of("event:", &says), ..self }
    }

    /// Whether it withdraws credentials, and not subscriptions.
    #[must_use]
    pub const fn is_of_credentials(&self) -> bool {
        self.topic.is_none()
    }

    /// Whether it matters no more.
    #[must_use]
    pub const fn is_over(&self, now_unix_s: u64) -> bool {
        self.until_unix_s <= now_unix_s
    }
}
