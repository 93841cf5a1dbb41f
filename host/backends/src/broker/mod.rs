//! The broker between nodes: nothing for one node, Redis or NATS for several, a folder each. What they do alike is here:
//! which topics a node listens to, how far it delivered what has positions, what it owes the others, and when a link works.

mod byte_budget;
mod catch_up;
mod delivery;
mod follower;
mod held_key;
mod interest;
mod lease;
mod links;
mod member_text;
mod memory;
mod memory_idempotency;
mod memory_members;
mod message;
mod nats;
mod pending_gaps;
mod redis;
mod settings;

use std::time::Duration;

pub use memory::MemoryBroker;
pub use memory_idempotency::MemoryIdempotencyKeys;
pub use memory_members::NoSharedMembers;
pub use nats::{NatsBroker, NatsBrokerSettings, NatsConnections, NatsIdempotencyKeys, NatsSharedMembers};
pub use redis::{RedisBroker, RedisBrokerSettings, RedisConnections, RedisIdempotencyKeys, RedisSharedMembers};

/// How long to wait before a failed connection is tried again: the first time, and at most.
const RETRY_MIN: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(1);
/// How often an idle connection is checked: is the broker there, and does it accept what connections carry.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);

/// Why a connection is abandoned.
type Lost = String;

/// How long to wait after so many failures in a row.
fn pause(failures: u32) -> Duration {
    RETRY_MIN.saturating_mul(1 << failures.min(10)).min(RETRY_MAX)
}

/// The message when no answer came.
fn no_answer(within: Duration) -> Lost {
    format!("no answer within {within:?} (limits.broker_timeout)")
}
