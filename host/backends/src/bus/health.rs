//! Whether a source can be read: reports changes, and waits until the next attempt.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use tidegate_core::flow::ports::BusSources;
use tidegate_core::telemetry;

/// The wait after the first failure; it doubles each time.
const WAIT_MIN: Duration = Duration::from_millis(50);
/// The longest wait: a source that comes back is read within this time.
const WAIT_MAX: Duration = Duration::from_secs(2);

/// The sources that were not read yet, by their names in the metrics.
#[derive(Debug, Clone, Default)]
pub struct Unread(Arc<Mutex<BTreeSet<Arc<str>>>>);

impl BusSources for Unread {
    fn unread(&self) -> Vec<String> {
        self.0.lock().iter().map(ToString::to_string).collect()
    }
}

/// Another process reads a source under this node's name.
#[derive(Debug, thiserror::Error)]
#[error(
    "another process reads as node `{node}`: give each node its own `node`, or wait until the other process has ended"
)]
pub(super) struct Contested {
    /// The name.
    pub(super) node: String,
}

/// Why a reader's session ended.
pub(super) trait SessionError: std::error::Error {
    /// Whether another process reads the source under this node's name.
    fn is_contested(&self) -> bool;
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

    /// The source can be read, by this process or another one.
    fn reached(&self) {
        self.unread.0.lock().remove(&self.label);
    }

    /// This process reads the source; `from` says from which position.
    pub(super) fn back(&mut self, from: &str) {
        self.reached();
        telemetry::bus_back(&self.label, from);
        self.told = None;
    }

    /// Another node reads the source, and this one would if that one ended.
    pub(super) fn stands_by(&mut self) {
        self.reached();
        telemetry::bus_stands_by(&self.label);
        self.told = None;
        self.works();
    }

    /// The source works: the next failure counts as the first one.
    pub(super) const fn works(&mut self) {
        self.wait = WAIT_MIN;
    }

    /// A session of the reader ended with an error. If another process reads the source, the source counts as reached.
    pub(super) async fn failed(&mut self, error: &impl SessionError, draining: &CancellationToken) {
        if error.is_contested() {
            self.reached();
        }
        self.away(&error.to_string(), draining).await;
    }

    /// The source cannot be read; waits until the next attempt. The same reason is reported once.
    async fn away(&mut self, why: &str, draining: &CancellationToken) {
        if self.told.as_deref() != Some(why) {
            telemetry::bus_away(&self.label, why);
            self.told = Some(why.to_owned());
        }
        // Nodes that lost the same server at the same time do not all come back at the same time.
        let wait = self.wait.mul_f64(0.5 + f64::from(random_byte()) / 256.0);
        self.wait = (self.wait * 2).min(WAIT_MAX);
        draining.run_until_cancelled(tokio::time::sleep(wait)).await;
    }
}

fn random_byte() -> u8 {
    let mut byte = [0];
    // Without randomness they do come back at the same time.
    let _ = getrandom::fill(&mut byte);
    byte[0]
}
