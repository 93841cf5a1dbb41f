//! Real servers for tests, never mocks of them: each on a free port of 127.0.0.1, in a temporary directory, killed on drop.
//!
//! The verbs wait until they have happened, and they block: in an async test use a multi-threaded runtime where
//! something must go on meanwhile.
//!
//! ```ignore
//! let mut redis = RedisServer::persistent();
//! // … something is connected to redis.url() …
//! redis.kill();
//! redis.restart();
//! ```

mod nats;
mod postgres;
mod process;
mod redis;

pub use nats::NatsServer;
pub use postgres::PostgresServer;
pub use redis::RedisServer;
