//! What the gates want to happen, as data, and the one place that hands it to the ports.

use std::sync::Arc;

use futures_util::{FutureExt, TryFutureExt};
use serde::Serialize;

use super::Gates;
use super::broker::{BrokerAway, Sending};
use super::revoke::Revocation;
use crate::channels::{BridgeRule, Resolved, RuleId};
use crate::protocol::{BusEvent, Code, ConnectionId, Payload, Refusal, Topic};
use crate::telemetry;

/// The label of what comes over HTTP, beside the configured sources.
const HTTP: &str = "http";

/// Something a gate decided should happen.
#[derive(Debug, Clone)]
pub enum Effect {
    /// Deliver a publication to its room.
    Deliver(Publication),
    /// Put an event on the bus.
    Publish(BusEvent),
    /// Keep a bus event that could not cross.
    Bury(DeadLetter),
    /// Put a revocation in force; with the rule that led to it.
    Revoke(Box<Revocation>, Option<Arc<BridgeRule>>),
}

/// A payload that cleared gate 4, on its way to a room.
#[derive(Debug, Clone)]
pub struct Publication {
    /// The topic.
    pub topic: Topic,
    /// The channel's template, for metrics.
    pub channel: String,
    /// The payload; it met the channel's schema.
    pub payload: Payload,
    /// A connection to leave out: the sender of an emit to the others.
    pub except: Option<ConnectionId>,
    /// The rule that took it across the bridge, if one did.
    pub rule: Option<Arc<BridgeRule>>,
}

/// How far publications go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// To the subscribers on every node.
    EveryNode,
    /// To the subscribers on this node: every other has what led to them, too.
    ThisNode,
}

/// Effects that were handed to the ports; other nodes may not have all of them yet.
#[must_use]
pub struct Begun(Vec<(Option<Arc<BridgeRule>>, Sending)>);

impl Begun {
    /// Whether nothing is waited for: with one node, always.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.0.is_empty()
    }

    /// Waits for the answers of the broker. Returns, for each publication that it did not take, the rule that led to it.
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

/// What a publish is answered that the broker did not take.
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

/// A bus event that a rule matched and that could not become a publication.
#[derive(Debug, Clone, Serialize)]
pub struct DeadLetter {
    /// Unique; what a retry names.
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
    /// Hands effects to the ports, and waits until the other nodes have what is for them.
    ///
    /// # Errors
    /// `unavailable` when the bus is full: nothing was done then. `unavailable` when the broker did not take a
    /// publication: all was done on this node then, and the sentence says so.
    pub async fn perform(&self, effects: Vec<Effect>) -> Result<(), Refusal> {
        let untaken = self.begin(effects, Reach::EveryNode)?.untaken().await;
        if untaken.is_empty() { Ok(()) } else { Err(here_only()) }
    }

    /// Hands effects to the ports: the bus takes all of its events or the whole is refused before anything happens.
    /// Every publication has reached this node's subscribers when this returns, and has its place in the order of
    /// those that go to other nodes.
    ///
    /// # Errors
    /// `unavailable` when the bus is full; nothing was done then.
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

    /// Puts the events that a bridge rule lists on the bus, all or none. The others can cross nowhere: they are
    /// counted and take no place that a listed one could need. So are those that were taken before.
    ///
    /// # Errors
    /// `unavailable` when the bus has no room for all of them, `draining` when the server is about to stop.
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
