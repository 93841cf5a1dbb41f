//! The consumers of the sources that the configuration names. Each runs on its own.

use std::sync::Arc;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::health::Unread;
use super::{nats, outbox, streams};
use tidegate_core::config::{BusSource, Config, Name};
use tidegate_core::flow::Gates;

/// Where a consumer runs.
#[derive(Clone, Copy)]
pub(super) struct Site<'a> {
    /// The name of this node.
    pub(super) node: &'a Name,
    /// The bridge.
    pub(super) gates: &'a Arc<Gates>,
    /// The sources that no consumer has read yet.
    pub(super) unread: &'a Unread,
    /// A consumer reads until this is cancelled.
    pub(super) draining: &'a CancellationToken,
}

/// All running consumers.
#[derive(Default)]
pub struct Consumers(JoinSet<()>);

impl Consumers {
    /// Starts them. Each reads until `draining`, finishes what it has read, and acknowledges it. It is in `unread`
    /// until it was read for the first time.
    #[must_use]
    pub fn start(config: &Config, gates: &Arc<Gates>, unread: &Unread, draining: &CancellationToken) -> Self {
        let node = node_name(config);
        let site = Site { node: &node, gates, unread, draining };
        let mut running = JoinSet::new();
        for source in &config.bus {
            match source {
                BusSource::Redis(redis) => streams::start(redis, &site, &mut running),
                BusSource::Nats(nats) => nats::start(nats, &site, &mut running),
                BusSource::Postgres(postgres) => outbox::start(postgres, &site, &mut running),
            }
        }
        Self(running)
    }

    /// Waits until all have ended.
    pub async fn ended(mut self) {
        while self.0.join_next().await.is_some() {}
    }
}

/// The name of this node: the configured one, else the machine's.
#[must_use]
pub fn node_name(config: &Config) -> Name {
    config.node.clone().unwrap_or_else(machine)
}

/// The name of the machine, or of the container.
fn machine() -> Name {
    let named =
        std::fs::read_to_string("/proc/sys/kernel/hostname").or_else(|_| std::fs::read_to_string("/etc/hostname"));
    let named = named.ok().or_else(|| std::env::var("HOSTNAME").ok()).unwrap_or_default();
    match named.trim() {
        "" => Name::made_of("node"),
        named => Name::made_of(named),
    }
}
