//! The server of a broker, whichever it is: what one of them promises a node, the other does, too.

use super::{NatsServer, RedisServer};

/// Which broker a test runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BrokerKind {
    /// Redis.
    Redis,
    /// NATS with JetStream.
    Nats,
}

/// Runs tests, functions of a [`BrokerKind`], on each broker: `on_redis::name` and `on_nats::name`.
#[macro_export]
macro_rules! on_each_broker {
    ($($test:ident),* $(,)?) => {
        mod on_redis {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$test($crate::BrokerKind::Redis).await;
            })*
        }
        mod on_nats {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$test($crate::BrokerKind::Nats).await;
            })*
        }
    };
}

/// The server of one test.
pub enum BrokerServer {
    /// A Redis.
    Redis(RedisServer),
    /// A NATS.
    Nats(NatsServer),
}

impl BrokerServer {
    /// Starts one that forgets everything when it ends.
    pub fn start(kind: BrokerKind) -> Self {
        match kind {
            BrokerKind::Redis => Self::Redis(RedisServer::start()),
            BrokerKind::Nats => Self::Nats(NatsServer::start()),
        }
    }

    /// Starts one that keeps every write that it answered, killed or not.
    pub fn persistent(kind: BrokerKind) -> Self {
        match kind {
            BrokerKind::Redis => Self::Redis(RedisServer::persistent()),
            BrokerKind::Nats => Self::Nats(NatsServer::persistent()),
        }
    }

    /// Its URL, with the password.
    pub fn url(&self) -> String {
        match self {
            Self::Redis(redis) => redis.url(),
            Self::Nats(nats) => nats.url(),
        }
    }

    /// Its port, which it keeps.
    pub fn port(&self) -> u16 {
        match self {
            Self::Redis(redis) => redis.port(),
            Self::Nats(nats) => nats.port(),
        }
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        match self {
            Self::Redis(redis) => redis.kill(),
            Self::Nats(nats) => nats.kill(),
        }
    }

    /// Ends it in order, unless it was killed, and starts it again on the same port.
    pub fn restart(&mut self) {
        match self {
            Self::Redis(redis) => redis.restart(),
            Self::Nats(nats) => nats.restart(),
        }
    }

    /// It answers nothing, and its connections stay.
    pub fn freeze(&self) {
        match self {
            Self::Redis(redis) => redis.freeze(),
            Self::Nats(nats) => nats.freeze(),
        }
    }

    /// It goes on.
    pub fn thaw(&self) {
        match self {
            Self::Redis(redis) => redis.thaw(),
            Self::Nats(nats) => nats.thaw(),
        }
    }
}
