//! The server's own events on their way to the bridge: a bounded queue of their own, so that they take no room from the
//! events of applications.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use tidegate_core::flow::ports::{Clock, Watch};
use tidegate_core::flow::{Audience, Gates, OwnEvent, Sieve};
use tidegate_core::protocol::{BusEvent, OwnTypes};
use tidegate_core::telemetry;

/// The end that takes note.
pub struct OwnEvents {
    sieve: Sieve,
    queue: mpsc::Sender<BusEvent>,
}

/// The end that the bridge reads.
pub struct OwnQueue {
    events: mpsc::Receiver<BusEvent>,
}

impl OwnEvents {
    /// Both ends, for a node of this name. At most `events_max` events wait (`limits.own_events`, at least 1); one more is
    /// dropped and counted.
    #[must_use]
    pub fn new(node: &str, clock: Arc<dyn Clock>, events_max: usize) -> (Self, OwnQueue) {
        let (queue, events) = mpsc::channel(events_max.clamp(1, tokio::sync::Semaphore::MAX_PERMITS));
        (Self { sieve: Sieve::new(node, clock), queue }, OwnQueue { events })
    }
}

impl Watch for OwnEvents {
    fn want(&self, types: OwnTypes) {
        self.sieve.want(types);
    }

    fn saw(&self, event: OwnEvent<'_>) {
        let Some(event) = self.sieve.sift(event) else { return };
        // Without a rule, and in a flood, nothing came this far.
        let own = event.kind.clone();
        let outcome = self.queue.try_send(event).map_or("dropped", |()| "queued");
        telemetry::own_event(&own, outcome);
    }
}

impl OwnQueue {
    /// Takes the events across the bridge, one after another, until `shutdown`; then those that wait.
    pub async fn run(mut self, gates: Arc<Gates>, shutdown: CancellationToken) {
        loop {
            let event = tokio::select! {
                event = self.events.recv() => event,
                () = shutdown.cancelled(), if !self.events.is_closed() => {
                    self.events.close();
                    continue;
                }
            };
            let Some(event) = event else { return };
            // A bug of the server costs this event only. The panic itself was counted.
            let _ = AssertUnwindSafe(cross(&gates, &event)).catch_unwind().await;
        }
    }
}

/// Publishes what the rules make of an event, here and on the other nodes.
async fn cross(gates: &Gates, event: &BusEvent) {
    match gates.carry(event, Audience::EveryNode).await {
        Ok(pending) => gates.dead_letter_untaken(event, pending).await,
        Err(refusal) => {
            tracing::debug!(kind = event.kind, code = refusal.code.as_str(), "an event of the server did not cross");
        }
    }
}
