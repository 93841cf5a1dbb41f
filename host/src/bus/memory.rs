//! The in-process bus: one bounded queue, emptied in order by the bridge.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::flow::Gates;
use crate::flow::ports::{Bus, BusFull};
use crate::protocol::BusEvent;
use crate::telemetry;

/// The end that takes events: `POST /v1/events` and the `publish` effects of handlers.
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
    /// Takes events across the bridge, one after the other, until `shutdown`; then takes no more, ends with those it
    /// accepted, and returns.
    pub async fn run(mut self, gates: Arc<Gates>, shutdown: CancellationToken) {
        loop {
            tokio::select! {
                event = self.events.recv() => match event {
                    Some(event) => self.cross(&gates, &event).await,
                    None => return,
                },
                () = shutdown.cancelled() => break,
            }
        }
        self.events.close();
        while let Some(event) = self.events.recv().await {
            self.cross(&gates, &event).await;
        }
    }

    /// A panic is a bug of the server; it costs the one event that met it, counted, and not the bus.
    async fn cross(&self, gates: &Gates, event: &BusEvent) {
        telemetry::bus_queue(self.events.len());
        let crossing = async { gates.perform(gates.bridge(event).await) };
        match AssertUnwindSafe(crossing).catch_unwind().await {
            Ok(Ok(())) => {}
            Ok(Err(refusal)) => {
                tracing::error!(
                    kind = event.kind,
                    id = event.id,
                    code = refusal.code.as_str(),
                    "an event did not cross"
                );
            }
            Err(_) => tracing::error!(kind = event.kind, id = event.id, "crossing the bridge panicked"),
        }
    }
}
