//! Checks the credential of a session again, for example a row that the application has extended, changed or deleted
//! since.
//!
//! This happens before the end of a credential is announced, and every `auth.recheck`. It does not count as activity.
//! If the check gives no result, nothing changes: the session lasts until its known end.

use std::sync::Arc;
use std::time::Duration;

use super::connect::AuthProvider;
use super::credential::Brought;
use super::ports::{Identity, Provider};
use super::{Ending, Gates, Session};
use crate::protocol::{Code, User};
use crate::telemetry;

/// The result of checking a session's credential again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Looked {
    /// Nothing has changed, or nobody can tell.
    Same,
    /// It has another end or other roles, and the session continues with them. As after [`Gates::authenticate`], the
    /// caller checks again everything that depends on the user.
    Renewed,
    /// It is not valid any more, as gate 1 would say now.
    Over(Code),
}

/// The provider that can check a session's credential again, and the data for it.
#[derive(Debug, Clone)]
pub(super) struct LookedAt {
    /// The index of the provider.
    pub(super) by: usize,
    pub(super) brought: Arc<Brought>,
}

impl Gates {
    /// Checks a session's credential again.
    pub async fn look_again(&self, session: &Session) -> Looked {
        let Some((looked_at, user)) = session.looked_at() else { return Looked::Same };
        let Some(provider) = self.looks(&looked_at) else { return Looked::Same };
        let credential = looked_at.brought.credential();
        let Some(shown) = credential.shown_to(&self.auth.cookie, provider.cookies()) else { return Looked::Same };
        let (looked, outcome) = match provider.look_again(&shown, &user).await {
            Identity::User(found) => match self.judge_again(session, &user, found) {
                Looked::Same => (Looked::Same, "same"),
                Looked::Renewed => (Looked::Renewed, "renewed"),
                Looked::Over(code) => (Looked::Over(code), "over"),
            },
            Identity::NotMine => (Looked::Same, "same"),
            Identity::Refused(code) if code.retry() => (Looked::Same, "unavailable"),
            Identity::Refused(code) => (Looked::Over(code), "over"),
        };
        telemetry::auth_look(outcome);
        // Another credential came meanwhile; this result says nothing about it.
        if session.is_of(&user) || looked == Looked::Renewed { looked } else { Looked::Same }
    }

    fn judge_again(&self, session: &Session, user: &Arc<User>, found: User) -> Looked {
        if (&found.id, &found.tenant) != (&user.id, &user.tenant) {
            return Looked::Over(Code::Forbidden);
        }
        let found = match self.judge_revoked(found, self.ports.clock.now_unix_s()) {
            Ok(found) => found,
            Err(refusal) if refusal.code.retry() => return Looked::Same,
            Err(refusal) => return Looked::Over(refusal.code),
        };
        let found = User { seen_at: user.seen_at.or(found.seen_at), ..found };
        if found == **user || !session.replace_user(user, found) { Looked::Same } else { Looked::Renewed }
    }

    /// How long until a session's credential is checked again; `None` if no provider can check it, or it should not be
    /// checked.
    #[must_use]
    pub fn next_look(&self, session: &Session) -> Option<Duration> {
        let (looked_at, _) = session.looked_at()?;
        self.looks(&looked_at)?;
        let recheck = self.auth.lifetimes.recheck;
        (!recheck.is_zero()).then(|| self.decisions.early(recheck))
    }

    /// Whether a session's credential is to be checked before this ending takes place; `true` once for each ending.
    #[must_use]
    pub fn looks_before(&self, session: &Session, ending: Ending) -> bool {
        let Some((looked_at, user)) = session.looked_at() else { return false };
        let Some(ends_at) = user.ends_at() else { return false };
        self.looks(&looked_at).is_some() && session.looks_for(ends_at, ending == Ending::Over)
    }

    fn looks(&self, looked_at: &LookedAt) -> Option<&dyn Provider> {
        match self.auth.providers.get(looked_at.by)? {
            AuthProvider::Own(provider) => Some(&**provider),
            AuthProvider::Plugin { .. } => None,
        }
    }
}
