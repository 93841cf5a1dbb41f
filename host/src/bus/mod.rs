//! Sources of bus events, and where those go that cannot cross the bridge.

mod dead_letters;
mod memory;

pub use dead_letters::MemoryDeadLetters;
pub use memory::{MemoryBus, Queue};
