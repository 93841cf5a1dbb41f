//! Which of the server's own events become bus events: those that a rule takes, and no more than ten a second that are
//! counted together.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;

use super::OwnEvent;
use crate::flow::ports::Clock;
use crate::protocol::{BusEvent, OwnType, OwnTypes};
use crate::telemetry::{self, Sampler};

/// Types, and two gates that are counted apart.
const FLOODS: usize = OwnType::ALL.len() + 2;

/// Lets through what is wanted, as bus events of this node.
pub struct Sieve {
    /// The name of this node.
    node: Arc<str>,
    clock: Arc<dyn Clock>,
    /// The types that a rule takes. Without a rule this is all that an event costs.
    wanted: AtomicU32,
    samplers: [Sampler; FLOODS],
}

impl Sieve {
    /// Lets nothing through yet.
    #[must_use]
    pub fn new(node: &str, clock: Arc<dyn Clock>) -> Self {
        let samplers = [const { Sampler::ten_a_second() }; FLOODS];
        Self { node: node.into(), clock, wanted: AtomicU32::new(OwnTypes::default().bits()), samplers }
    }

    /// From now on lets these types through.
    pub fn want(&self, types: OwnTypes) {
        self.wanted.store(types.bits(), Ordering::Relaxed);
    }

    /// The bus event, if it is wanted and not one too many. The next one of its kind says how many were (`suppressed`).
    pub fn sift(&self, event: OwnEvent<'_>) -> Option<BusEvent> {
        let own = event.own_type();
        if !OwnTypes::of_bits(self.wanted.load(Ordering::Relaxed)).has(own) {
            return None;
        }
        let Some(suppressed) = self.samplers[event.flood()].admit_now() else {
            telemetry::own_event(own.as_str(), "suppressed");
            return None;
        };
        let mut data = event.data();
        data.insert("node".to_owned(), (*self.node).into());
        if suppressed > 0 {
            data.insert("suppressed".to_owned(), suppressed.into());
        }
        let (id, source) = (uuid::Uuid::now_v7().to_string(), format!("/tidegate/nodes/{}", self.node));
        let event = BusEvent::new(id, source, own.as_str().to_owned(), Value::Object(data));
        Some(event.at(self.clock.now_unix_ms()))
    }
}
