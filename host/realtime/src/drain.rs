//! The end of the server: clients learn of it, running events are answered, transports close.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::time::{Instant, timeout_at};
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
    is_announced: AtomicBool,
}

impl Drain {
    /// Whether the server drains and every client was sent the message.
    pub(super) fn is_announced(&self) -> bool {
        self.is_announced.load(Ordering::Acquire)
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
        telemetry::draining(self.connections.count());
        let frame = Frame::session_event(&SessionEvent::Draining);
        for connection in self.connections.all() {
            self.send(&connection, &frame);
        }
        self.drain.is_announced.store(true, Ordering::Release);
        self.drain.tasks.close();
        // Events that still run after that get no answer; the client asks again elsewhere.
        let _ = timeout_at(began + part, self.drain.tasks.wait()).await;
        let _ = timeout_at(began + part * 2, self.polls_taken()).await;
        let Some(transport) = self.transport.get() else { return 0 };
        // Closing waits until every peer has read what is queued, so a peer that does not read would delay it for ever.
        let closed = timeout_at(began + part * 3, transport.close()).await;
        let mut cut = 0;
        for connection in self.connections.all() {
            cut += usize::from(closed.is_err() && !connection.session.is_closed());
            self.end(&connection);
            connection.cut();
            self.connection_events.closed(gates, &connection);
        }
        // What was not announced by then is not announced: a slow plugin does not delay the end.
        let _ = timeout_at(began + part * 4, self.connection_events.all_announced()).await;
        cut
    }

    /// Waits until polling clients have fetched what is queued: between two polls they cannot be reached, and closing
    /// drops what waits.
    async fn polls_taken(&self) {
        for connection in self.connections.all() {
            if !self.kill_switches.carries(&connection.engine) {
                connection.drain_heard().await;
            }
        }
    }
}
