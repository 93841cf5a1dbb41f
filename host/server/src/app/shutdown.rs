//! The end of a server, in phases. Each phase has a name, a place in the order, and a token that ends the work of it.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::dashboard::Live;
use tidegate_backends::bus::Consumers;
use tidegate_core::flow::Gates;
use tidegate_core::telemetry;
use tidegate_realtime::Realtime;

/// The phases, in the order in which a server passes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// The server admits no new session and reloads nothing. The bus and its sources finish the events that they
    /// accepted: the publications still reach the rooms.
    Draining,
    /// Clients learn that the server stops, and their sessions end. The listener still serves: a client that polls needs
    /// another request to learn of it.
    Disconnecting,
    /// The listener answers the requests under way and ends.
    Closing,
    /// Nothing revokes any more: the revocations that wait go to the store.
    Storing,
    /// The connections to the other nodes end, and the collector gets what is left.
    Leaving,
}

impl Phase {
    /// Every phase, in order.
    const ALL: [Self; 5] = [Self::Draining, Self::Disconnecting, Self::Closing, Self::Storing, Self::Leaving];
}

/// Says which phase a server is in. Whoever holds the token of a phase works until that phase begins.
#[derive(Debug, Default)]
pub(super) struct Shutdown {
    tokens: [CancellationToken; Phase::ALL.len()],
}

impl Shutdown {
    /// The token that is cancelled when this phase begins.
    pub(super) fn at(&self, phase: Phase) -> CancellationToken {
        self.tokens[phase as usize].clone()
    }

    /// Begins a phase, and before it each earlier one that has not begun.
    pub(super) fn begin(&self, phase: Phase) {
        for (phase, token) in Phase::ALL.iter().zip(&self.tokens).take(phase as usize + 1) {
            if !token.is_cancelled() {
                tracing::debug!(?phase, "the shutdown goes on");
                token.cancel();
            }
        }
    }
}

impl Drop for Shutdown {
    /// A server that is gone has passed every phase, even if it never served.
    fn drop(&mut self) {
        self.begin(Phase::Leaving);
    }
}

/// The parts of a server that serves, as far as its end waits for them.
pub(super) struct Running {
    pub(super) gates: Arc<Gates>,
    pub(super) realtime: Arc<Realtime>,
    /// The pages of operators, if there is a dashboard.
    pub(super) live: Option<Arc<Live>>,
    /// Bridges the events of the bus.
    pub(super) bridge: JoinHandle<()>,
    /// Bridges what happens to the server itself.
    pub(super) watched: JoinHandle<()>,
    /// Read events from outside.
    pub(super) consumers: Consumers,
    /// Accepts connections, and answers requests.
    pub(super) listener: JoinHandle<()>,
    /// Keeps the providers of gate 1 up to date.
    pub(super) upkeep: JoinSet<()>,
    /// Stores revocations, where a store keeps them.
    pub(super) keeper: Option<JoinHandle<()>>,
    /// How long draining, disconnecting and closing may take together.
    pub(super) drain_timeout: Duration,
}

impl Running {
    /// Passes the phases. The exporter sends what happened in them, too.
    pub(super) async fn stop(self, shutdown: Shutdown, exporter: Option<JoinHandle<()>>) {
        let Self { gates, realtime, live, bridge, watched, consumers, listener, upkeep, keeper, drain_timeout } = self;
        gates.drain();
        shutdown.begin(Phase::Draining);
        let orderly = async {
            let _ = bridge.await;
            // A source whose server does not answer takes no time from the clients; unacknowledged events are read again.
            let _ = tokio::time::timeout(drain_timeout / 2, consumers.ended()).await;
            shutdown.begin(Phase::Disconnecting);
            let pages = async {
                if let Some(live) = live {
                    live.drain().await;
                }
            };
            let (cut, ()) = tokio::join!(realtime.drain(&gates), pages);
            shutdown.begin(Phase::Closing);
            let _ = watched.await;
            let _ = listener.await;
            upkeep.join_all().await;
            cut
        };
        let cut = tokio::time::timeout(drain_timeout, orderly).await;
        shutdown.begin(Phase::Storing);
        if let Some(keeper) = keeper {
            let _ = keeper.await;
        }
        let cut = cut.unwrap_or_else(|_| realtime.connections_count());
        shutdown.begin(Phase::Leaving);
        if let Some(exporter) = exporter {
            let _ = exporter.await;
        }
        // The last line of the log.
        telemetry::stopped(cut);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The phases that have begun.
    fn begun(shutdown: &Shutdown) -> Vec<Phase> {
        Phase::ALL.into_iter().filter(|phase| shutdown.at(*phase).is_cancelled()).collect()
    }

    #[test]
    fn a_phase_begins_after_every_earlier_one_and_before_every_later_one() {
        let shutdown = Shutdown::default();
        assert_eq!(begun(&shutdown), []);
        shutdown.begin(Phase::Draining);
        assert_eq!(begun(&shutdown), [Phase::Draining]);
        shutdown.begin(Phase::Closing);
        assert_eq!(begun(&shutdown), [Phase::Draining, Phase::Disconnecting, Phase::Closing]);
        shutdown.begin(Phase::Draining);
        assert_eq!(begun(&shutdown), [Phase::Draining, Phase::Disconnecting, Phase::Closing], "no phase is undone");
    }

    #[test]
    fn whatever_waits_for_a_server_that_did_not_start_ends() {
        let shutdown = Shutdown::default();
        let last = shutdown.at(Phase::Leaving);
        drop(shutdown);
        assert!(last.is_cancelled());
    }
}
