//! What every broker between nodes is told.

use std::time::Duration;

use tidegate_core::config::Limits;

/// The settings of a broker; `Url` says where it is.
#[derive(Debug, Clone)]
pub struct BrokerSettings<Url> {
    /// Where it is.
    pub url: Url,
    /// The name of this node, for people.
    pub node: String,
    /// The prefix of all that it names there.
    pub prefix: String,
    /// How many commands may wait for it, and how many bytes.
    pub queue_max: usize,
    /// See `queue_max`.
    pub queue_bytes_max: usize,
    /// How long it may take to answer, or to accept a connection.
    pub timeout: Duration,
    /// How long to listen to a topic after its last subscriber left.
    pub linger: Duration,
    /// How long to remember publications that every node makes, so that the history has them once.
    pub once_for: Duration,
}

impl<Url> BrokerSettings<Url> {
    /// The settings of a configuration.
    #[must_use]
    pub fn new(url: Url, prefix: &str, limits: &Limits) -> Self {
        Self {
            url,
            node: String::from("node"),
            prefix: prefix.to_owned(),
            queue_max: limits.broker_queue_max,
            queue_bytes_max: limits.broker_queue_bytes_max,
            timeout: limits.broker_timeout,
            linger: limits.broker_linger,
            once_for: limits.duplicates_window,
        }
    }
}
