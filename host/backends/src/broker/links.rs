//! Whether the links of a node to its broker work, and who is told.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;

use tidegate_core::flow::broker::HearsNodes;
use tidegate_core::telemetry;

/// The two links.
#[derive(Debug, Clone, Copy)]
pub(super) enum Link {
    /// Publications come in.
    In,
    /// Publications go out.
    Out,
}

/// Their health.
pub(super) struct Links {
    into: Health,
    out: Health,
    /// The address of the broker, without its password.
    place: String,
    hearer: OnceLock<Arc<dyn HearsNodes>>,
}

/// Whether a link works.
#[derive(Default)]
struct Health {
    is_up: AtomicBool,
    /// Why not, as it was reported last.
    away_for: Mutex<Option<String>>,
}

impl Links {
    /// Neither works yet.
    pub(super) fn new(place: String) -> Self {
        Self { into: Health::default(), out: Health::default(), place, hearer: OnceLock::new() }
    }

    /// Who hears of the links, once and for all.
    pub(super) fn tell(&self, hearer: Arc<dyn HearsNodes>) {
        let _ = self.hearer.set(hearer);
    }

    fn health(&self, link: Link) -> &Health {
        match link {
            Link::In => &self.into,
            Link::Out => &self.out,
        }
    }

    /// Whether it works.
    pub(super) fn is_up(&self, link: Link) -> bool {
        self.health(link).is_up.load(Ordering::Acquire)
    }

    /// Whether one of them does not.
    pub(super) fn is_away(&self) -> bool {
        !(self.is_up(Link::In) && self.is_up(Link::Out))
    }

    /// Records that a link works, with the number of topics whose subscribers received a gap, or why it does not work;
    /// and reports it, once for each reason.
    pub(super) fn note(&self, link: Link, outcome: Result<usize, &str>) {
        let health = self.health(link);
        let was = std::mem::replace(&mut *health.away_for.lock(), outcome.err().map(str::to_owned));
        health.is_up.store(outcome.is_ok(), Ordering::Release);
        telemetry::broker_up(!self.is_away());
        let name = match link {
            Link::In => "in",
            Link::Out => "out",
        };
        match outcome {
            Ok(gaps) => telemetry::broker_back(&self.place, name, gaps),
            Err(why) if was.as_deref() != Some(why) => telemetry::broker_away(&self.place, name, why),
            Err(_) => return,
        }
        if let Some(hearer) = self.hearer.get() {
            hearer.hear_link(name, outcome);
        }
    }
}
