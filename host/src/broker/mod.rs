//! Publications across nodes.

mod memory;

pub use memory::MemoryBroker;
