//! The broker of the configuration, and its connections.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::AppError;
use tidegate_backends::broker::{MemoryBroker, RedisBroker, RedisBrokerSettings, RedisConnections};
use tidegate_core::config::{self, Config};
use tidegate_core::flow::broker::{Broker, HearsNodes};

/// The connection to the other nodes.
pub(super) struct Nodes {
    /// The port.
    pub(super) broker: Arc<dyn Broker>,
    connections: Option<RedisConnections>,
}

impl Nodes {
    /// Does not connect yet.
    pub(super) fn new(config: &Config) -> Result<Self, AppError> {
        match &config.broker {
            config::Broker::Memory => Ok(Self { broker: Arc::new(MemoryBroker), connections: None }),
            config::Broker::Redis(url) => {
                let prefix = config.broker_prefix.as_str();
                let settings = RedisBrokerSettings::new(url.clone(), prefix, &config.limits);
                let (broker, connections) =
                    RedisBroker::new(settings).map_err(|error| AppError::Broker(error.to_string()))?;
                Ok(Self { broker, connections: Some(connections) })
            }
        }
    }

    /// Connects and stays connected until `shutdown`. The server starts without it, but is not ready.
    pub(super) fn connect(&mut self, node: Arc<dyn HearsNodes>, shutdown: CancellationToken) {
        if let Some(connections) = self.connections.take() {
            tokio::spawn(connections.run(node, shutdown));
        }
    }
}
