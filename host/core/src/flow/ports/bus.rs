//! The bus as a port: the queue that events go into, and whether its sources could be read.

use crate::protocol::BusEvent;

/// The queue of bus events that the bridge reads.
pub trait Bus: Send + Sync + 'static {
    /// Queues all events or none.
    ///
    /// # Errors
    /// [`BusFull`] if there is no room for all of them.
    fn publish(&self, events: Vec<BusEvent>) -> Result<(), BusFull>;
}

/// The bus's queue has no room (`limits.bus_queue`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the bus queue is full")]
pub struct BusFull;

/// Whether the sources of bus events could be read.
pub trait BusSources: Send + Sync + 'static {
    /// The sources that this process has not read since its start, by the names that metrics use:
    /// `postgres:tidegate_outbox`. While there is one, the server is not ready. A source that goes away later leaves
    /// the server ready.
    fn unread(&self) -> Vec<String>;
}
