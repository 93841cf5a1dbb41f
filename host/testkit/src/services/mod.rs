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

mod broker;
mod cable;
mod nats;
mod postgres;
mod process;
mod redis;

pub use broker::{BrokerKind, BrokerServer};
pub use cable::Cable;
pub use nats::{NatsCluster, NatsServer};
pub use postgres::PostgresServer;
pub use redis::RedisServer;
