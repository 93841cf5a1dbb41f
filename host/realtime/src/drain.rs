//! The end of the server: clients learn of it, running events are answered, transports close.

use std::sync::Arc;

use tidegate_transport::CloseReason;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Realtime;
use super::frame::Frame;
use tidegate_core::flow::Gates;
use tidegate_core::protocol::SessionEvent;
use tidegate_core::telemetry;

/// What a drain waits for.
#[derive(Default)]
pub(super) struct Drain {
    /// All tasks that answer events.
    pub(super) tasks: TaskTracker,
    begun: CancellationToken,
}

impl Drain {
    /// Resolves when the server begins to drain.
    pub(super) async fn begins(&self) {
        self.begun.cancelled().await;
    }
}

impl Realtime {
    /// Tells every client that the server is about to stop, waits for running events to be answered, and closes the
    /// transports, so that stock clients reconnect. New sessions are refused from the beginning. Keep serving HTTP
    /// until it is done, because polling clients need it to learn of it. At the end the closed connections are
    /// announced to plugins. Ends within `limits.drain_timeout`; returns how many connections had to be cut.
    pub async fn drain(&self, gates: &Arc<Gates>) -> usize {
        let began = Instant::now();
        let part = self.limits.drain_timeout / 4;
        gates.drain();
        self.drain.begun.cancel();
        telemetry::draining(self.connections.count());
        let frame = Frame::session_event(&SessionEvent::Draining);
        for connection in self.connections.all() {
            self.send(&connection, &frame);
        }
        self.drain.tasks.close();
        // Events that still run after that get no answer; the client asks again elsewhere.
        let _ = timeout_at(began + part, self.drain.tasks.wait()).await;
        for connection in self.connections.all() {
            connection.finish();
        }
        // Between two polls a client cannot be reached, and a peer that does not read would delay this for ever.
        let _ = timeout_at(began + part * 3, self.connections.all_gone()).await;
        let mut cut = 0;
        for connection in self.connections.all() {
            cut += 1;
            connection.cut(CloseReason::ServerClose);
            self.forget(gates, &connection, "server_close");
        }
        // Those that never became connections: a client that was refused for now, and polls.
        if let Some(transport) = self.transport.get() {
            transport.cut_all();
        }
        // What was not announced by then is not announced: a slow plugin does not delay the end.
        let _ = timeout_at(began + part * 4, self.connection_events.all_announced()).await;
        cut
    }
}
