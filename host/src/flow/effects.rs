//! What the gates want to happen, as data, and the one place that hands it to the ports.

use serde::Serialize;

use super::Gates;
use crate::channels::{Resolved, RuleId};
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
}

impl Publication {
    pub(super) fn new(resolved: &Resolved, payload: Payload) -> Self {
        Self {
            topic: resolved.topic.clone(),
            channel: resolved.channel.template.as_str().to_owned(),
            payload,
            except: None,
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
    /// Hands effects to the ports: the bus takes all of its events or the whole is refused before anything happens.
    ///
    /// # Errors
    /// `unavailable` when the bus is full; nothing was done then.
    pub fn perform(&self, effects: Vec<Effect>) -> Result<(), Refusal> {
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
        for effect in rest {
            match effect {
                Effect::Deliver(publication) => self.ports.rooms.deliver(&publication),
                Effect::Bury(letter) => self.ports.dead_letters.bury(letter),
                Effect::Publish(_) => {}
            }
        }
        Ok(())
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
