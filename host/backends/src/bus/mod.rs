//! Sources of bus events, and dead letters for events that cannot cross the bridge.

mod consumers;
mod crossing;
mod dead_letters;
mod health;
mod memory;
mod nats;
mod outbox;
mod own_events;
mod streams;

pub use consumers::{Consumers, node_name};
pub use dead_letters::MemoryDeadLetters;
pub use health::Unread;
pub use memory::{MemoryBus, Queue};
pub use outbox::{OutboxRoles, outbox_sql};
pub use own_events::{OwnEvents, OwnQueue};
