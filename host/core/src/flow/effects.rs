//! The effects that the gates decide on, as data, and the only place that passes them to the ports.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde::Serialize;

use super::ports::Removal;
use super::publication::{Published, Unpublished};
use super::revoke::Revocation;
use super::{Gates, LetterShare, Publication};
use crate::channels::{BridgeRule, RuleId};
use crate::protocol::{BusEvent, Code, Refusal, Topic};

/// An effect that a gate decided on.
#[derive(Debug, Clone)]
pub enum Effect {
    /// Deliver a publication to its room.
    Deliver(Publication),
    /// Take retained values away; with the rule that caused it, if any.
    Remove(Removal, Option<Arc<BridgeRule>>),
    /// Put an event on the bus.
    Publish(BusEvent),
    /// Keep a bus event that could not cross as a dead letter.
    DeadLetter(DeadLetter),
    /// Put a revocation in force; with the rule that caused it, if any.
    Revoke(Box<Revocation>, Option<Arc<BridgeRule>>),
}

impl Effect {
    /// The topic of a publication or a removal.
    #[must_use]
    pub const fn topic(&self) -> Option<&Topic> {
        match self {
            Self::Deliver(publication) => Some(&publication.topic),
            Self::Remove(removal, _) => Some(&removal.topic),
            Self::Publish(_) | Self::DeadLetter(_) | Self::Revoke(..) => None,
        }
    }
}

/// How far publications go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// To the subscribers on every node.
    EveryNode,
    /// To the subscribers on this node only, because every other node makes the same publication itself.
    ThisNode,
}

/// Effects that were passed to the ports. Other nodes may not have all of them yet.
#[must_use]
pub struct PendingPublish(Vec<(Option<Arc<BridgeRule>>, Pending)>);

/// Resolves when an effect reached everybody, or did not.
type Pending = BoxFuture<'static, Result<(), Unpublished>>;

/// An effect that did not reach everybody, with the rule that made it.
pub(super) struct Untaken {
    pub(super) rule: Option<Arc<BridgeRule>>,
    pub(super) how_far: Unpublished,
}

impl PendingPublish {
    /// Whether there is nothing to wait for; always so with one node.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.0.is_empty()
    }

    /// Waits for the broker's answers. Returns what it refused.
    pub(super) async fn untaken(self) -> Vec<Untaken> {
        let mut untaken = Vec::new();
        for (rule, pending) in self.0 {
            if let Err(how_far) = pending.await {
                untaken.push(Untaken { rule, how_far });
            }
        }
        untaken
    }
}

/// A bus event that matched a rule but could not become a publication.
#[derive(Debug, Clone, Serialize)]
pub struct DeadLetter {
    /// The unique id, which a retry names.
    pub id: String,
    /// The rule.
    pub rule: RuleId,
    /// Why it did not cross.
    pub reason: String,
    /// When, in seconds since the Unix epoch.
    pub at_unix_s: u64,
    /// The event.
    pub event: BusEvent,
    /// The share of the team that it counts in, if it does.
    #[serde(skip)]
    pub share: Option<LetterShare>,
}

impl Gates {
    /// Passes effects to the ports, and waits until the other nodes have their part.
    ///
    /// # Errors
    /// `unavailable` if the bus is full: then nothing happened. `unavailable` if the broker refused a publication: then
    /// all other effects happened, and the message says how far the publication came.
    pub async fn perform(&self, effects: Vec<Effect>) -> Result<(), Refusal> {
        let untaken = self.begin(effects, Audience::EveryNode)?.untaken().await;
        untaken.first().map_or(Ok(()), |untaken| Err(untaken.how_far.into()))
    }

    /// Passes effects to the ports. The bus takes all of its events, or everything is refused before any effect. When
    /// this returns, every publication has its place in the order of its topic; one on a channel without history has
    /// reached this node's subscribers.
    ///
    /// # Errors
    /// `unavailable` if the bus is full; then nothing happened.
    pub fn begin(&self, effects: Vec<Effect>, audience: Audience) -> Result<PendingPublish, Refusal> {
        let mut events = Vec::new();
        let mut rest = Vec::with_capacity(effects.len());
        for effect in effects {
            match effect {
                Effect::Publish(event) => events.push(event),
                other => rest.push(other),
            }
        }
        if !events.is_empty() {
            self.put_on_bus(events)?;
        }
        let mut pending = Vec::new();
        for effect in rest {
            match effect {
                Effect::Deliver(publication) => {
                    if let Published::Pending(published) = self.publish(&publication, audience) {
                        pending.push((publication.rule, published.map(|published| published.map(drop)).boxed()));
                    }
                }
                Effect::Remove(removal, rule) => {
                    // Who asks for it again, on one node, wants it again.
                    let once = removal.once.clone().filter(|_| audience == Audience::ThisNode);
                    let removed = self.remove(&Removal { once, ..removal });
                    let removed = removed.map(|removed| removed.map(drop).map_err(|_| Unpublished::Nowhere));
                    pending.push((rule, removed.boxed()));
                }
                Effect::DeadLetter(letter) => self.keep_dead_letter(letter),
                Effect::Revoke(revocation, rule) => {
                    let kept = self.enforce(*revocation, "bridge").kept();
                    pending.push((rule, kept.map(|kept| kept.map_err(|_away| Unpublished::HereOnly)).boxed()));
                }
                Effect::Publish(_) => {}
            }
        }
        Ok(PendingPublish(pending))
    }

    pub(super) fn put_on_bus(&self, events: Vec<BusEvent>) -> Result<(), Refusal> {
        self.refuse_while_draining()?;
        self.ports.bus.publish(events).map_err(|_| Refusal::new(Code::Unavailable))
    }
}
