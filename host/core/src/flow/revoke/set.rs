//! The revocations in force, in memory: gate 1 checks every credential against them and never waits.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use tokio::sync::{Semaphore, mpsc, oneshot};

use super::ahead::IssuedAhead;
use super::{Keeper, Revocation, RevocationStore, StoreAway, ToKeep};
use crate::flow::broker::Sending;
use crate::protocol::{Code, User};
use crate::telemetry;

/// The revocations in force, and the queue to the task that stores them.
pub struct Revocations {
    /// Held for look-ups and changes, never across a wait.
    state: RwLock<State>,
    /// Credentials that revocations cover only if the server has seen them.
    ahead: IssuedAhead,
    /// The most revocations and remembered credentials (`limits.revocations`).
    max: usize,
    /// How long a revocation of credentials matters (`auth.revocations_kept`).
    kept: Duration,
    /// Whether the revocations from before this process are loaded.
    loaded: AtomicBool,
    /// `None` if nothing is stored.
    to_keep: Option<mpsc::Sender<ToKeep>>,
    /// Until the task that stores them takes it.
    keeper: Mutex<Option<mpsc::Receiver<ToKeep>>>,
}

#[derive(Default)]
struct State {
    /// All revocations by id, with the time until which each matters.
    known: HashMap<String, u64>,
    /// Revocations of credentials that name a user, by user.
    by_user: HashMap<String, Vec<Arc<Revocation>>>,
    /// Revocations of credentials that name only a token.
    by_token: HashMap<String, Vec<Arc<Revocation>>>,
}

impl Revocations {
    /// No revocations, and none are stored: for a server without a store.
    #[must_use]
    pub fn unkept(max: usize, kept: Duration) -> Self {
        let (state, ahead, loaded) = (RwLock::default(), IssuedAhead::default(), AtomicBool::new(true));
        Self { state, ahead, max, kept, loaded, to_keep: None, keeper: Mutex::new(None) }
    }

    /// No revocations until [`Keeper::run`] has loaded the stored ones: until then credentials are refused with
    /// `unavailable`.
    #[must_use]
    pub fn kept(max: usize, kept: Duration) -> Self {
        // Room for all of them: a node that starts late receives all revocations of other nodes at once.
        let (sender, receiver) = mpsc::channel(max.clamp(1, Semaphore::MAX_PERMITS));
        let loaded = AtomicBool::new(false);
        Self { loaded, to_keep: Some(sender), keeper: Mutex::new(Some(receiver)), ..Self::unkept(max, kept) }
    }

    /// The task that stores them in `store`; `None` if there is one already, or nothing is stored.
    #[must_use]
    pub fn keeper(&self, store: Arc<dyn RevocationStore>) -> Option<Keeper> {
        self.keeper.lock().take().map(|receiver| Keeper::new(store, receiver))
    }

    /// How long a revocation of credentials matters.
    #[must_use]
    pub const fn kept_for(&self) -> Duration {
        self.kept
    }

    /// Whether the revocations from before this process are loaded.
    #[must_use]
    pub fn is_loaded(&self) -> bool {
        self.loaded.load(Ordering::Acquire)
    }

    pub(super) fn loaded(&self) {
        self.loaded.store(true, Ordering::Release);
    }

    /// Whether there is room for one more, in force and in the queue to the store.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.state.read().known.len() < self.max && self.to_keep.as_ref().is_none_or(|queue| queue.capacity() > 0)
    }

    /// The same user, with the time when the credential was first seen here, if its issuer's clock is ahead. Call it
    /// before [`Revocations::judge`]: a concurrent revocation that misses the remembered credential is found there.
    pub(in crate::flow) fn seen(&self, user: User, now_unix_s: u64) -> User {
        User { seen_at: self.ahead.see(&user, now_unix_s, self.max), ..user }
    }

    /// The further credentials that a revocation covers, because they were seen before it.
    pub(super) fn seen_before(&self, revocation: &Revocation) -> Vec<Revocation> {
        self.ahead.seen_before(revocation)
    }

    /// Gate 1's check of a credential that is valid otherwise.
    ///
    /// # Errors
    /// `token_revoked`; `unavailable` until the revocations are loaded.
    pub fn judge(&self, user: &User, now_unix_s: u64) -> Result<(), Code> {
        if !self.is_loaded() {
            return Err(Code::Unavailable);
        }
        let state = self.state.read();
        let of_user = state.by_user.get(&user.id);
        let of_token = user.token_id.as_ref().and_then(|id| state.by_token.get(id));
        let mut all = of_user.into_iter().chain(of_token).flatten();
        let is_revoked = all.any(|revocation| !revocation.is_over(now_unix_s) && revocation.covers(Some(user)));
        if is_revoked { Err(Code::TokenRevoked) } else { Ok(()) }
    }

    /// Puts a revocation in force. `false` if it is in force already, or does not matter any more.
    pub(in crate::flow) fn take(&self, revocation: &Arc<Revocation>, now_unix_s: u64) -> bool {
        if revocation.is_over(now_unix_s) {
            return false;
        }
        let mut state = self.state.write();
        if state.known.insert(revocation.id.clone(), revocation.until_unix_s).is_some() {
            return false;
        }
        if revocation.is_of_credentials() {
            let named = match (&revocation.token, &revocation.user) {
                (_, Some(user)) => state.by_user.entry(user.clone()),
                (Some(token), None) => state.by_token.entry(token.clone()),
                (None, None) => return true,
            };
            let named = named.or_default();
            named.retain(|older| !is_contained(older, revocation));
            named.push(revocation.clone());
        }
        telemetry::revocations(state.known.len());
        true
    }

    /// Passes a revocation on to be stored, with the first attempt to send it to other nodes; the receiver gets the
    /// result. Does not wait.
    pub(in crate::flow) fn keep(
        &self,
        revocation: &Arc<Revocation>,
        told: Option<Sending>,
    ) -> oneshot::Receiver<Result<(), StoreAway>> {
        let (kept, hears) = oneshot::channel();
        let Some(queue) = &self.to_keep else {
            let _ = kept.send(Ok(()));
            return hears;
        };
        if let Err(refused) = queue.try_send(ToKeep { revocation: revocation.clone(), told, kept }) {
            let why = StoreAway("too many revocations wait to be stored".to_owned());
            telemetry::revocation_unkept(&revocation.id, &why.0);
            let (mpsc::error::TrySendError::Full(unkept) | mpsc::error::TrySendError::Closed(unkept)) = refused;
            let _ = unkept.kept.send(Err(why));
        }
        hears
    }

    /// Removes the revocations that do not matter any more.
    pub(in crate::flow) fn sweep(&self, now_unix_s: u64) {
        self.ahead.sweep(now_unix_s);
        let mut state = self.state.write();
        state.known.retain(|_, until| *until > now_unix_s);
        let State { by_user, by_token, .. } = &mut *state;
        for named in [by_user, by_token] {
            named.retain(|_, revocations| {
                revocations.retain(|revocation| !revocation.is_over(now_unix_s));
                !revocations.is_empty()
            });
        }
        telemetry::revocations(state.known.len());
    }
}

/// Whether the newer revocation of the same user or token refuses everything that the older one refuses, for as long.
fn is_contained(older: &Revocation, newer: &Revocation) -> bool {
    let refuses_more = match (older.issued_before, newer.issued_before) {
        (_, None) => true,
        (Some(older), Some(newer)) => older <= newer,
        (None, Some(_)) => false,
    };
    let is_as_wide = (newer.user.is_none() || older.user == newer.user)
        && (newer.token.is_none() || older.token == newer.token)
        // The credentials that it saw say nothing about those that were seen before the older one.
        && !(older.is_of_all_until_now() && newer.issued_before.is_some() && !newer.is_of_all_until_now());
    refuses_more && older.until_unix_s <= newer.until_unix_s && is_as_wide
}
