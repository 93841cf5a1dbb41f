//! The broker between nodes: nothing for one node, Redis for several.

mod memory;
mod memory_idempotency;
mod memory_members;
mod redis;

pub use memory::MemoryBroker;
pub use memory_idempotency::MemoryIdempotencyKeys;
pub use memory_members::NoSharedMembers;
pub use redis::{RedisBroker, RedisBrokerSettings, RedisConnections, RedisIdempotencyKeys, RedisSharedMembers};
