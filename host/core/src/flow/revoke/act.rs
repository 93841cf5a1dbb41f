//! What a revocation does on this node: in force at once, then on its way to where it is kept.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::{InvalidRevocation, Revocation, RevokeRequest, StoreAway};
use crate::flow::Gates;
use crate::flow::broker::{HearsNodes, Sending};
use crate::flow::ports::Touched;
use crate::protocol::Topic;
use crate::telemetry;

/// How long whoever revokes waits until it is kept. It is in force on this node before.
const KEEP_TIMEOUT: Duration = Duration::from_secs(3);

/// A revocation that is in force on this node.
pub struct Enforced {
    /// What it ended here.
    pub touched: Touched,
    kept: oneshot::Receiver<Result<(), StoreAway>>,
}

/// What nodes tell each other.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Word {
    Revoke(Revocation),
    /// Events of this source are gone that every node would have had something of.
    Missed(String),
}

/// The same, to be told.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum WordRef<'a> {
    Revoke(&'a Revocation),
    Missed(&'a str),
}

impl Enforced {
    /// Resolves once it is kept, for a restart, and the other nodes are told.
    ///
    /// # Errors
    /// Why it is not; it will be as soon as that is over, unless the server stops before.
    pub async fn kept(self) -> Result<(), StoreAway> {
        match timeout(KEEP_TIMEOUT, self.kept).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(StoreAway("the server stops".to_owned())),
            Err(_) => Err(StoreAway(format!("no answer within {} s", KEEP_TIMEOUT.as_secs()))),
        }
    }
}

impl Gates {
    /// The time by the port's clock, in seconds since the Unix epoch.
    pub(super) fn now_unix_s(&self) -> u64 {
        self.ports.clock.now_unix_s()
    }

    /// Makes a revocation of what is asked for. Nothing happens yet: that is [`Gates::enforce`].
    ///
    /// # Errors
    /// [`InvalidRevocation`].
    pub fn revocation(&self, request: RevokeRequest) -> Result<Revocation, InvalidRevocation> {
        request.judge(self.now_unix_s(), self.ports.revocations.kept_for())
    }

    /// Whether a channel has this topic, by the catalog now in force.
    #[must_use]
    pub fn declares(&self, topic: &Topic) -> bool {
        self.serving().catalog.resolve(topic.as_str()).is_some()
    }

    /// Whether one more revocation can be taken (`limits.revocations`, and what waits to be kept).
    #[must_use]
    pub fn has_room_for_revocations(&self) -> bool {
        self.ports.revocations.has_room()
    }

    /// Whether the revocations of before are known, so that credentials can be judged.
    #[must_use]
    pub fn knows_revocations(&self) -> bool {
        self.ports.revocations.is_loaded()
    }

    /// Puts a revocation of this node's own in force and hands it to where it is kept. Never waits. `from` is where it
    /// came from, one of a closed list.
    pub fn enforce(&self, revocation: Revocation, from: &'static str) -> Enforced {
        let revocation = Arc::new(revocation);
        // Before others are told: what they hear comes back to this node, and would be first to act.
        let touched = self.act_on(&revocation, from).unwrap_or_default();
        let told = self.tell_nodes(&revocation);
        let kept = self.ports.revocations.keep(&revocation, told);
        Enforced { touched, kept }
    }

    /// Hands a revocation to the other nodes; `None` when there are none that hear of it so.
    pub(super) fn tell_nodes(&self, revocation: &Revocation) -> Option<Sending> {
        let word = serde_json::to_vec(&WordRef::Revoke(revocation)).ok()?;
        self.ports.broker.tell(word)
    }

    /// Tells the other nodes that events of a source are gone; `None` when there are none that hear of it so.
    pub(in crate::flow) fn tell_nodes_missed(&self, source: &str) -> Option<Sending> {
        let word = serde_json::to_vec(&WordRef::Missed(source)).ok()?;
        self.ports.broker.tell(word)
    }

    /// Puts in force what is kept already.
    pub(super) fn learn_of(&self, revocations: Vec<Revocation>, from: &'static str) {
        for revocation in revocations {
            self.act_on(&Arc::new(revocation), from);
        }
    }

    /// `None` when it is in force already, or matters no more.
    fn act_on(&self, revocation: &Arc<Revocation>, from: &'static str) -> Option<Touched> {
        // First the set: a connection that comes in meanwhile is refused by it, or seen by what follows.
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

    /// From now on credentials are judged.
    pub(super) fn revocations_loaded(&self, found: usize, was_late: bool) {
        self.ports.revocations.loaded();
        telemetry::revocations_loaded(found, was_late);
    }
}

impl HearsNodes for Gates {
    fn hear(&self, message: &[u8]) {
        match serde_json::from_slice(message) {
            Ok(Word::Revoke(revocation)) => {
                let revocation = Arc::new(revocation);
                if self.act_on(&revocation, "broker").is_some() {
                    // Every node keeps it, whether they share a store or not: twice is once.
                    drop(self.ports.revocations.keep(&revocation, None));
                }
            }
            Ok(Word::Missed(source)) => self.tell_gap_here(&source),
            Err(error) => tracing::warn!(%error, "another node said what this version does not understand"),
        }
    }
}
