//! The broker of the configuration, and its connections.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::AppError;
use tidegate_backends::broker::{MemoryBroker, RedisBroker, RedisBrokerSettings, RedisLinks};
use tidegate_core::config::{self, Config};
use tidegate_core::flow::broker::{Broker, HearsNodes};

/// The connection to the other nodes.
pub(super) struct Nodes {
    /// The port.
    pub(super) broker: Arc<dyn Broker>,
    links: Option<RedisLinks>,
}

impl Nodes {
    /// Does not connect yet.
    pub(super) fn new(config: &Config) -> Result<Self, AppError> {
        match &config.broker {
            config::Broker::Memory => Ok(Self { broker: Arc::new(MemoryBroker), links: None }),
            config::Broker::Redis(url) => {
                let prefix = config.broker_prefix.as_str();
                let settings = RedisBrokerSettings::new(url.clone(), prefix, &config.limits);
                let (broker, links) =
                    RedisBroker::new(settings).map_err(|error| AppError::Broker(error.to_string()))?;
                Ok(Self { broker, links: Some(links) })
            }
        }
    }

    /// Connects and stays connected until `shutdown`. The server starts without it, but is not ready.
    pub(super) fn link(&mut self, node: Arc<dyn HearsNodes>, shutdown: CancellationToken) {
        if let Some(links) = self.links.take() {
            tokio::spawn(links.run(node, shutdown));
        }
    }
}
