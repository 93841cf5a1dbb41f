//! Whether a source can be read: told when it changes, and the wait until the next try.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use tidegate_core::flow::ports::BusSources;
use tidegate_core::telemetry;

/// The wait after the first failure; it doubles.
const WAIT_MIN: Duration = Duration::from_millis(50);
/// The longest wait: what comes back is read within this time.
const WAIT_MAX: Duration = Duration::from_secs(2);

/// The sources that were not read once yet, by their names in the metrics.
#[derive(Debug, Clone, Default)]
pub struct Unread(Arc<Mutex<BTreeSet<Arc<str>>>>);

impl BusSources for Unread {
    fn unread(&self) -> Vec<String> {
        self.0.lock().iter().map(ToString::to_string).collect()
    }
}

/// The state of one source.
pub(super) struct Health {
    label: Arc<str>,
    unread: Unread,
    told: Option<String>,
    wait: Duration,
}

impl Health {
    pub(super) fn new(label: Arc<str>, unread: &Unread) -> Self {
        unread.0.lock().insert(label.clone());
        Self { label, unread: unread.clone(), told: None, wait: WAIT_MIN }
    }

    /// It can be read, by this process or by another one.
    pub(super) fn reached(&self) {
        self.unread.0.lock().remove(&self.label);
    }

    /// It is read, `from` says where from.
    pub(super) fn back(&mut self, from: &str) {
        self.reached();
        telemetry::bus_back(&self.label, from);
        self.told = None;
    }

    /// Another node reads it, and this one would when that one is gone.
    pub(super) fn stands_by(&mut self) {
        self.reached();
        telemetry::bus_stands_by(&self.label);
        self.told = None;
        self.works();
    }

    /// It does its work: the next failure is a first one.
    pub(super) const fn works(&mut self) {
        self.wait = WAIT_MIN;
    }

    /// It cannot be read; waits until it should be tried again. The same reason is told once.
    pub(super) async fn away(&mut self, why: &str, draining: &CancellationToken) {
        if self.told.as_deref() != Some(why) {
            telemetry::bus_away(&self.label, why);
            self.told = Some(why.to_owned());
        }
        // Nodes that lost the same server at once do not come back at once.
        let wait = self.wait.mul_f64(0.5 + f64::from(random_byte()) / 256.0);
        self.wait = (self.wait * 2).min(WAIT_MAX);
        draining.run_until_cancelled(tokio::time::sleep(wait)).await;
    }
}

fn random_byte() -> u8 {
    let mut byte = [0];
    // Without randomness they do come back at once.
    let _ = getrandom::fill(&mut byte);
    byte[0]
}
