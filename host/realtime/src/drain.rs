//! The end of the server: clients learn of it, running events are answered, transports close.

use std::sync::Arc;
use std::time::Duration;

use tidegate_transport::CloseReason;
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Realtime;
use super::frame::Frame;
use tidegate_core::flow::{Gates, OwnEvent};
use tidegate_core::protocol::SessionEvent;
use tidegate_core::telemetry;

/// So many clients may be closed together.
const TOGETHER_MIN: usize = 50;
/// Clients are asked to be back over such a time, so that those that heed it do not come back at the same moment.
const RETRY_SPREAD: Duration = Duration::from_secs(1);
/// Clients are closed no more often than this.
const CLOSE_INTERVAL_MIN: Duration = Duration::from_millis(100);

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
    ///
    /// A stock client reconnects at once. So the server spreads the closes over the first four fifths of that time:
    /// otherwise all clients would storm the other nodes together.
    pub async fn drain(&self, gates: &Arc<Gates>) -> usize {
        let (began, time) = (Instant::now(), self.limits.drain_timeout);
        gates.drain();
        self.drain.begun.cancel();
        let connections = self.connections.all();
        telemetry::draining(connections.len());
        gates.saw(OwnEvent::NodeDraining { connections: connections.len() });
        let schedule = Schedule::new(connections.len(), time * 4 / 5);
        for (at, connection) in connections.iter().enumerate() {
            let retry_in_s = (schedule.delay(at) + jitter(RETRY_SPREAD)).as_millis() as f64 / 1000.0;
            self.send(connection, &Frame::session_event(&SessionEvent::Draining { retry_in_s }));
        }
        gates.end_thinning();
        self.drain.tasks.close();
        // Events that still run after that get no answer; the client asks again elsewhere.
        let _ = timeout_at(began + time / 4, self.drain.tasks.wait()).await;
        // What was published has its place before the end.
        let _ = timeout_at(began + time / 4, self.rooms.all_caught_up()).await;
        for (at, connection) in connections.iter().enumerate() {
            sleep_until(began + schedule.delay(at)).await;
            connection.finish(CloseReason::ServerDrain);
        }
        // Between two polls a client cannot be reached, and a peer that does not read would delay this for ever.
        let _ = timeout_at(began + time * 9 / 10, self.connections.all_gone()).await;
        let mut cut = 0;
        for connection in self.connections.all() {
            cut += 1;
            connection.cut(CloseReason::ServerDrain);
            self.forget(gates, &connection, "server_drain");
        }
        // Those that never became connections: a client that was refused for now, and polls.
        if let Some(transport) = self.transport.get() {
            transport.cut_all();
        }
        // What was not announced by then is not announced: a slow plugin does not delay the end.
        let _ = timeout_at(began + time, self.connection_events.all_announced()).await;
        cut
    }
}

/// When each of the clients is closed: in batches, evenly over a time. A few clients are one batch, at once.
struct Schedule {
    batch_size: usize,
    interval: Duration,
}

impl Schedule {
    fn new(clients: usize, time: Duration) -> Self {
        let most = usize::try_from(time.as_millis() / CLOSE_INTERVAL_MIN.as_millis()).unwrap_or(usize::MAX);
        let batches = clients.div_ceil(TOGETHER_MIN).clamp(1, most.max(1));
        let interval = time / u32::try_from(batches).unwrap_or(u32::MAX);
        Self { batch_size: clients.div_ceil(batches).max(1), interval }
    }

    /// How long after the beginning the client at this place is closed.
    fn delay(&self, at: usize) -> Duration {
        self.interval * u32::try_from(at / self.batch_size).unwrap_or(u32::MAX)
    }
}

/// A random time below this span.
pub(super) fn jitter(span: Duration) -> Duration {
    let random = uuid::Uuid::new_v4().as_u128() % span.as_millis().max(1);
    Duration::from_millis(u64::try_from(random).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many clients are closed when.
    fn closes(clients: usize, seconds: u64) -> Vec<(Duration, usize)> {
        let schedule = Schedule::new(clients, Duration::from_secs(seconds));
        let mut closes: Vec<(Duration, usize)> = Vec::new();
        for at in 0..clients {
            match closes.last_mut() {
                Some((delay, count)) if *delay == schedule.delay(at) => *count += 1,
                _ => closes.push((schedule.delay(at), 1)),
            }
        }
        closes
    }

    #[test]
    fn many_clients_are_closed_evenly_over_the_time_and_a_few_at_once() {
        assert_eq!(closes(50, 8), [(Duration::ZERO, 50)]);
        for clients in [51, 500, 5000, 100_000] {
            let closes = closes(clients, 8);
            let mean_per_s = clients as f64 / 8.0;
            assert!(closes.iter().all(|(delay, _)| *delay < Duration::from_secs(8)));
            for second in 0..8 {
                let range = Duration::from_secs(second)..Duration::from_secs(second + 1);
                let closed: usize =
                    closes.iter().filter(|(delay, _)| range.contains(delay)).map(|(_, count)| count).sum();
                assert!(
                    clients < 500 || (closed as f64) <= 2.0 * mean_per_s,
                    "{closed} of {clients} in second {second}"
                );
            }
        }
    }
}
