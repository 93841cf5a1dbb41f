//! What a revocation does on this node: it is in force at once, and is then stored and sent to other nodes.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

use super::{InvalidRevocation, Revocation, RevokeRequest, StoreAway};
use crate::flow::Gates;
use crate::flow::ports::Touched;
use crate::protocol::Topic;
use crate::telemetry;

/// How long a caller waits until a revocation is stored. It is in force on this node before.
const KEEP_TIMEOUT: Duration = Duration::from_secs(3);

/// A revocation that is in force on this node.
pub struct Enforced {
    /// What it ended on this node.
    pub touched: Touched,
    kept: oneshot::Receiver<Result<(), StoreAway>>,
}

impl Enforced {
    /// Resolves when the revocation is stored and the other nodes have it.
    ///
    /// # Errors
    /// Why it is not yet; it will be as soon as the cause is gone, unless the server stops before.
    pub async fn kept(self) -> Result<(), StoreAway> {
        match timeout(KEEP_TIMEOUT, self.kept).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(StoreAway("the server is shutting down".to_owned())),
            Err(_) => Err(StoreAway(format!("no answer within {} s", KEEP_TIMEOUT.as_secs()))),
        }
    }
}

impl Gates {
    /// The time of the port's clock, in seconds since the Unix epoch.
    pub(super) fn now_unix_s(&self) -> u64 {
        self.ports.clock.now_unix_s()
    }

    /// Makes a revocation from a request. Nothing happens yet: that is [`Gates::enforce`].
    ///
    /// # Errors
    /// [`InvalidRevocation`].
    pub fn revocation(&self, request: RevokeRequest) -> Result<Revocation, InvalidRevocation> {
        request.judge(self.now_unix_s(), self.ports.revocations.kept_for())
    }

    /// Whether the current catalog has a channel for this topic.
    #[must_use]
    pub fn declares(&self, topic: &Topic) -> bool {
        self.serving().catalog.resolve(topic.as_str()).is_some()
    }

    /// Whether there is room for one more revocation (`limits.revocations`, and those that wait to be stored).
    #[must_use]
    pub fn has_room_for_revocations(&self) -> bool {
        self.ports.revocations.has_room()
    }

    /// Whether the earlier revocations are loaded, so that credentials can be checked.
    #[must_use]
    pub fn knows_revocations(&self) -> bool {
        self.ports.revocations.is_loaded()
    }

    /// Puts a revocation of this node in force and passes it on to be stored. Never waits. `from` is its origin, one of
    /// a closed list.
    pub fn enforce(&self, revocation: Revocation, from: &'static str) -> Enforced {
        let revocation = Arc::new(revocation);
        // Before the other nodes hear of it: their copy comes back to this node and would be first otherwise.
        let touched = self.act_on(&revocation, from).unwrap_or_default();
        let told = self.tell_nodes(&revocation);
        let kept = self.ports.revocations.keep(&revocation, told);
        Enforced { touched, kept }
    }

    /// Puts revocations in force that are stored already.
    pub(super) fn learn_of(&self, revocations: Vec<Revocation>, from: &'static str) {
        for revocation in revocations {
            self.act_on(&Arc::new(revocation), from);
        }
    }

    /// `None` if it is in force already, or does not matter any more.
    fn act_on(&self, revocation: &Arc<Revocation>, from: &'static str) -> Option<Touched> {
        // The set comes first: a connection that opens meanwhile is either refused by it, or seen by the next step.
        if !self.ports.revocations.take(revocation, self.now_unix_s()) {
            return None;
        }
        self.decisions.forget(revocation.user.as_deref(), revocation.topic.as_ref());
        if let Some(user) = &revocation.user {
            self.auth.forget(user);
        }
        let mut touched = self.ports.clients.revoke(revocation);
        telemetry::revocation(&telemetry::RevocationTaken {
            id: &revocation.id,
            user: revocation.user.as_deref(),
            topic: revocation.topic.as_ref().map(Topic::as_str),
            reason: revocation.reason.as_deref(),
            from,
            sessions: touched.sessions,
            subscriptions: touched.subscriptions,
        });
        for besides in self.ports.revocations.seen_before(revocation) {
            touched.sessions += self.enforce(besides, from).touched.sessions;
        }
        Some(touched)
    }

    /// Puts a revocation of another node in force.
    pub(in crate::flow) fn hear_revocation(&self, revocation: Revocation) {
        let revocation = Arc::new(revocation);
        if self.act_on(&revocation, "broker").is_some() {
            // Every node stores it, whether nodes share a store or not: storing it twice changes nothing.
            drop(self.ports.revocations.keep(&revocation, None));
        }
    }

    /// From now on credentials can be checked.
    pub(super) fn revocations_loaded(&self, found: usize, was_late: bool) {
        self.ports.revocations.loaded();
        telemetry::revocations_loaded(found, was_late);
    }
}
