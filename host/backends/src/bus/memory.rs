//! The in-process bus: one bounded queue, which the bridge empties in order.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use tidegate_core::flow::ports::{Bus, BusFull};
use tidegate_core::flow::{Audience, Gates};
use tidegate_core::protocol::BusEvent;
use tidegate_core::telemetry;

/// Events whose publications other nodes have not confirmed. At this number the bus waits.
const CROSSING_MAX: usize = 1024;

/// The end that accepts events: `POST /v1/events` and the `publish` effects of handlers.
#[derive(Debug, Clone)]
pub struct MemoryBus {
    events: mpsc::Sender<BusEvent>,
}

/// The end that the bridge reads.
#[derive(Debug)]
pub struct Queue {
    events: mpsc::Receiver<BusEvent>,
}

impl MemoryBus {
    /// Both ends of a bus that holds at most `queue_max` events (`limits.bus_queue`, at least 1).
    #[must_use]
    pub fn new(queue_max: usize) -> (Self, Queue) {
        let (sender, receiver) = mpsc::channel(queue_max.clamp(1, tokio::sync::Semaphore::MAX_PERMITS));
        (Self { events: sender }, Queue { events: receiver })
    }
}

impl Bus for MemoryBus {
    fn publish(&self, events: Vec<BusEvent>) -> Result<(), BusFull> {
        let Ok(places) = self.events.try_reserve_many(events.len()) else {
            telemetry::bus_refused(events.len());
            return Err(BusFull);
        };
        for (place, event) in places.zip(events) {
            place.send(event);
        }
        telemetry::bus_queue(self.events.max_capacity() - self.events.capacity());
        Ok(())
    }
}

impl Queue {
    /// Takes events across the bridge, one after another, until `shutdown`; then accepts no more, finishes the accepted
    /// ones, and returns. It continues while other nodes have not confirmed earlier events yet.
    pub async fn run(mut self, gates: Arc<Gates>, shutdown: CancellationToken) {
        let mut crossing = FuturesUnordered::new();
        loop {
            tokio::select! {
                event = self.events.recv(), if crossing.len() < CROSSING_MAX => match event {
                    Some(event) => {
                        telemetry::bus_queue(self.events.len());
                        crossing.extend(cross(&gates, event).await);
                    }
                    None => break,
                },
                Some(()) = crossing.next() => {}
                () = shutdown.cancelled(), if !self.events.is_closed() => self.events.close(),
            }
        }
        while crossing.next().await.is_some() {}
    }
}

/// Takes an event across the bridge; the returned future ends when other nodes have its publications. A panic is a bug
/// of the server; it is counted and costs only this event, not the bus.
async fn cross(gates: &Gates, event: BusEvent) -> Option<impl Future<Output = ()>> {
    match AssertUnwindSafe(gates.carry(&event, Audience::EveryNode)).catch_unwind().await {
        Ok(Ok(pending)) if pending.is_over() => {}
        Ok(Ok(pending)) => return Some(async move { gates.dead_letter_untaken(&event, pending).await }),
        Ok(Err(refusal)) => {
            tracing::error!(
                kind = event.kind,
                id = event.id,
                code = refusal.code.as_str(),
                "a bus event did not cross the bridge"
            );
        }
        Err(_) => tracing::error!(kind = event.kind, id = event.id, "a bus event panicked while crossing the bridge"),
    }
    None
}
