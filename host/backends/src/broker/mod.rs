//! Publications across nodes.

mod memory;
mod redis;

pub use memory::MemoryBroker;
pub use redis::{RedisBroker, RedisBrokerSettings, RedisConnections};
