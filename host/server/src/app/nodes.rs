//! The broker of the configuration, and its connections.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::AppError;
use tidegate_backends::broker::{
    MemoryBroker, MemoryIdempotencyKeys, NatsBroker, NatsBrokerSettings, NatsConnections, NatsIdempotencyKeys,
    NatsSharedMembers, NoSharedMembers, RedisBroker, RedisBrokerSettings, RedisConnections, RedisIdempotencyKeys,
    RedisSharedMembers,
};
use tidegate_core::config::{self, Config, Name};
use tidegate_core::flow::broker::{Broker, HearsNodes};
use tidegate_core::flow::ports::{History, IdempotencyKeys, Retained, SharedMembers};
use tidegate_core::flow::{MemoryHistory, MemoryRetained};

/// The connection to the other nodes.
pub(super) struct Nodes {
    /// The port.
    pub(super) broker: Arc<dyn Broker>,
    /// The idempotency keys of all nodes.
    pub(super) idempotency_keys: Arc<dyn IdempotencyKeys>,
    /// The members that all nodes have together.
    pub(super) shared_members: Arc<dyn SharedMembers>,
    /// The histories of topics.
    pub(super) history: Arc<dyn History>,
    /// The last values and versions of topics.
    pub(super) retained: Arc<dyn Retained>,
    connections: Option<Connections>,
}

/// What connects to the other nodes.
enum Connections {
    Redis(Box<RedisConnections>),
    Nats(Box<NatsConnections>),
}

impl Nodes {
    /// Does not connect yet.
    pub(super) fn new(config: &Config, name: &Name) -> Result<Self, AppError> {
        match &config.broker {
            config::Broker::Memory => {
                let history = Arc::new(MemoryHistory::new(config.limits.history_bytes_max));
                let retained = Arc::new(MemoryRetained::new(config.limits.retained_bytes_max, history.clone()));
                let idempotency_keys = Arc::new(MemoryIdempotencyKeys::new(&config.limits));
                let (broker, shared_members) = (Arc::new(MemoryBroker), Arc::new(NoSharedMembers));
                Ok(Self { broker, idempotency_keys, shared_members, history, retained, connections: None })
            }
            config::Broker::Redis(url) => {
                let prefix = config.broker_prefix.as_str();
                let settings = RedisBrokerSettings::new(url.clone(), prefix, &config.limits);
                let settings = RedisBrokerSettings { node: name.to_string(), ..settings };
                let keys = RedisIdempotencyKeys::new(&settings, &config.limits);
                let idempotency_keys = Arc::new(keys.map_err(|error| AppError::Broker(error.to_string()))?);
                let members = RedisSharedMembers::new(&settings);
                let shared_members = Arc::new(members.map_err(|error| AppError::Broker(error.to_string()))?);
                let (broker, connections) =
                    RedisBroker::new(settings).map_err(|error| AppError::Broker(error.to_string()))?;
                let (history, retained) = (broker.clone(), broker.clone());
                let connections = Some(Connections::Redis(Box::new(connections)));
                Ok(Self { broker, idempotency_keys, shared_members, history, retained, connections })
            }
            config::Broker::Nats(url) => {
                let settings = NatsBrokerSettings::new(url.clone(), config.broker_prefix.as_str(), &config.limits);
                let settings = NatsBrokerSettings { node: name.to_string(), ..settings };
                let idempotency_keys = Arc::new(NatsIdempotencyKeys::new(&settings, &config.limits));
                let shared_members = Arc::new(NatsSharedMembers::new(&settings));
                let (broker, connections) = NatsBroker::new(settings);
                let (history, retained) = (broker.clone(), broker.clone());
                let connections = Some(Connections::Nats(Box::new(connections)));
                Ok(Self { broker, idempotency_keys, shared_members, history, retained, connections })
            }
        }
    }

    /// Connects and stays connected until `shutdown`. The server starts without it, but is not ready.
    pub(super) fn connect(&mut self, node: Arc<dyn HearsNodes>, shutdown: CancellationToken) {
        match self.connections.take() {
            Some(Connections::Redis(connections)) => drop(tokio::spawn(connections.run(node, shutdown))),
            Some(Connections::Nats(connections)) => drop(tokio::spawn(connections.run(node, shutdown))),
            None => {}
        }
    }
}
