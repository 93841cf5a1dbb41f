//! The effects that the gates decide on, as data, and the only place that passes them to the ports.

use std::sync::Arc;

use futures_util::{FutureExt, TryFutureExt};
use serde::Serialize;

use super::Gates;
use super::broker::{BrokerAway, Sending};
use super::revoke::Revocation;
use crate::channels::{BridgeRule, Resolved, RuleId};
use crate::protocol::{BusEvent, Code, ConnectionId, Payload, Refusal, Topic};
use crate::telemetry;

/// The label of events that come over HTTP, next to the configured sources.
const HTTP: &str = "http";

/// An effect that a gate decided on.
#[derive(Debug, Clone)]
pub enum Effect {
    /// Deliver a publication to its room.
    Deliver(Publication),
    /// Put an event on the bus.
    Publish(BusEvent),
    /// Keep a bus event that could not cross as a dead letter.
    Bury(DeadLetter),
    /// Put a revocation in force; with the rule that caused it, if any.
    Revoke(Box<Revocation>, Option<Arc<BridgeRule>>),
}

/// A payload that cleared gate 4, on its way to a room.
#[derive(Debug, Clone)]
pub struct Publication {
    /// The topic.
    pub topic: Topic,
    /// The channel's template, for metrics.
    pub channel: String,
    /// The payload; it matches the channel's schema.
    pub payload: Payload,
    /// A connection to leave out: the sender, in an emit to the others.
    pub except: Option<ConnectionId>,
    /// The bridge rule that made it, if any.
    pub rule: Option<Arc<BridgeRule>>,
}

/// How far publications go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// To the subscribers on every node.
    EveryNode,
    /// To the subscribers on this node only, because every other node makes the same publication itself.
    ThisNode,
}

/// Effects that were passed to the ports. Other nodes may not have all of them yet.
#[must_use]
pub struct Begun(Vec<(Option<Arc<BridgeRule>>, Sending)>);

impl Begun {
    /// Whether there is nothing to wait for; always so with one node.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.0.is_empty()
    }

    /// Waits for the broker's answers. Returns, for each publication that the broker refused, the rule that made it.
    pub async fn untaken(self) -> Vec<Option<Arc<BridgeRule>>> {
        let mut untaken = Vec::new();
        for (rule, sending) in self.0 {
            if sending.await.is_err() {
                untaken.push(rule);
            }
        }
        untaken
    }
}

/// The answer to a publish that the broker refused.
fn here_only() -> Refusal {
    Refusal::because(Code::Unavailable, "delivered on this node only: the other nodes cannot be reached now")
}

impl Publication {
    pub(super) fn new(resolved: &Resolved, payload: Payload) -> Self {
        Self {
            topic: resolved.topic.clone(),
            channel: resolved.channel.template.as_str().to_owned(),
            payload,
            except: None,
            rule: None,
        }
    }

    pub(super) fn sent_by(self, sender: &ConnectionId, others_only: bool) -> Self {
        Self { except: others_only.then(|| sender.clone()), ..self }
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
}

impl Gates {
    /// Passes effects to the ports, and waits until the other nodes have their part.
    ///
    /// # Errors
    /// `unavailable` if the bus is full: then nothing happened. `unavailable` if the broker refused a publication: then
    /// all effects happened on this node, and the message says so.
    pub async fn perform(&self, effects: Vec<Effect>) -> Result<(), Refusal> {
        let untaken = self.begin(effects, Reach::EveryNode)?.untaken().await;
        if untaken.is_empty() { Ok(()) } else { Err(here_only()) }
    }

    /// Passes effects to the ports. The bus takes all of its events, or everything is refused before any effect. When
    /// this returns, every publication has reached this node's subscribers and has its place in the order of
    /// publications to other nodes.
    ///
    /// # Errors
    /// `unavailable` if the bus is full; then nothing happened.
    pub fn begin(&self, effects: Vec<Effect>, reach: Reach) -> Result<Begun, Refusal> {
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
        let mut sendings = Vec::new();
        for effect in rest {
            match effect {
                Effect::Deliver(publication) => {
                    self.ports.rooms.deliver(&publication);
                    if reach == Reach::EveryNode
                        && let Some(sending) = self.ports.broker.publish(&publication)
                    {
                        sendings.push((publication.rule, sending));
                    }
                }
                Effect::Bury(letter) => self.ports.dead_letters.bury(letter),
                Effect::Revoke(revocation, rule) => {
                    let kept = self.enforce(*revocation, "bridge").kept();
                    sendings.push((rule, kept.map_err(|_away| BrokerAway).boxed()));
                }
                Effect::Publish(_) => {}
            }
        }
        Ok(Begun(sendings))
    }

    /// Puts the events with a bridge rule on the bus, all or none. The others cannot cross: they are counted and use no
    /// room on the bus. The same goes for duplicates.
    ///
    /// # Errors
    /// `unavailable` if the bus has no room for all events, `draining` if the server is about to stop.
    pub fn publish_events(&self, mut events: Vec<BusEvent>) -> Result<(), Refusal> {
        let offered = events.len();
        let serving = self.serving();
        events.retain(|event| serving.catalog.bridge().lists(&event.kind));
        telemetry::bus_unlisted(offered - events.len());
        telemetry::bus_events(HTTP, "unlisted", offered - events.len());
        let listed = events.len();
        let taken = self.taken.take_all(events, |fresh| {
            let taken = fresh.len();
            self.put_on_bus(fresh).map(|()| taken)
        })?;
        telemetry::bus_events(HTTP, "taken", taken);
        telemetry::bus_events(HTTP, "duplicate", listed - taken);
        Ok(())
    }

    fn put_on_bus(&self, events: Vec<BusEvent>) -> Result<(), Refusal> {
        self.refuse_while_draining()?;
        self.ports.bus.publish(events).map_err(|_| Refusal::new(Code::Unavailable))
    }
}
