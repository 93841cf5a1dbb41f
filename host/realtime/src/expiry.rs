//! What ends by time: credentials, and what authorizers granted. Clients learn of the end of a credential ahead of it.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tidegate_transport::Transport;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::connections::Connection;
use super::eviction::revoked;
use super::frame::Frame;
use super::timer_queue::{TimerQueue, UnixMs};
use super::{REAUTHORIZATIONS_MAX, Realtime, revalidation};
use tidegate_core::flow::{Ending, Gates};
use tidegate_core::protocol::{Code, SessionEvent};
use tidegate_core::telemetry;

/// How often the bytes that wait are measured.
const MEASURE_INTERVAL: Duration = Duration::from_secs(1);

/// The timers of all connections.
#[derive(Default)]
pub(super) struct Expiry {
    /// When credentials end, or their ends are announced, by the wall clock.
    pub(super) credentials: TimerQueue<UnixMs>,
    /// When subscriptions are re-authorized, in the time of [`Gates::elapsed`].
    pub(super) rechecks: TimerQueue<Instant>,
    /// When credentials are validated again.
    pub(super) revalidations: TimerQueue<Instant>,
}

impl Expiry {
    /// Nothing ends for this connection any more, because it has ended itself.
    pub(super) fn forget(&self, connection: &Arc<Connection>) {
        self.credentials.set(connection, None);
        self.rechecks.set(connection, None);
        self.revalidations.set(connection, None);
    }
}

impl Realtime {
    /// Ends sessions and subscriptions when their time comes, until `shutdown`. Run it once.
    pub async fn keep_time(self: Arc<Self>, gates: Arc<Gates>, shutdown: CancellationToken) {
        let all = async {
            tokio::join!(
                self.end_credentials(&gates),
                self.reauthorize_due(&gates),
                self.revalidate_due(&gates),
                self.measure()
            )
        };
        shutdown.run_until_cancelled(all).await;
    }

    /// Measures what waits for clients, and gives up the sessions that wait for clients in vain.
    async fn measure(&self) {
        loop {
            if let Some(sessions) = self.sessions() {
                sessions.sweep();
            }
            let of_sessions = self.transport.get().map_or(0, Transport::waiting_bytes);
            telemetry::outbound_bytes(of_sessions + self.streams.waiting_bytes());
            tokio::time::sleep(MEASURE_INTERVAL).await;
        }
    }

    async fn end_credentials(&self, gates: &Arc<Gates>) {
        loop {
            let connection = self.expiry.credentials.due(|| UnixMs(gates.now_unix_ms())).await;
            self.on_ending(gates, &connection);
        }
    }

    /// Re-authorizes subscriptions whose moment has come, of some connections at a time, because authorizers have other
    /// work, too.
    async fn reauthorize_due(&self, gates: &Gates) {
        let mut running = FuturesUnordered::new();
        loop {
            tokio::select! {
                connection = self.expiry.rechecks.due(|| gates.elapsed().now()), if running.len() < REAUTHORIZATIONS_MAX => {
                    running.push(async move {
                        self.reauthorize(gates, &connection).await;
                    });
                }
                Some(()) = running.next() => {}
            }
        }
    }

    /// Does what is due at the end of a credential, and sets the next moment.
    pub(super) fn on_ending(&self, gates: &Arc<Gates>, connection: &Arc<Connection>) {
        if connection.session.is_closed() {
            return;
        }
        match gates.next_ending(&connection.session) {
            // The application may have moved the end since: look there first.
            Some((Duration::ZERO, ending)) if gates.looks_before(&connection.session, ending) => {
                let patience_s = match ending {
                    Ending::Tell { expires_in_s, .. } => revalidation::PATIENCE_S.min(expires_in_s),
                    Ending::Over => revalidation::PATIENCE_S,
                };
                self.expiry.revalidations.set(connection, Some(Instant::now()));
                let at_the_latest = UnixMs(gates.now_unix_ms().saturating_add(patience_s * 1000));
                return self.expiry.credentials.set(connection, Some(at_the_latest));
            }
            Some((Duration::ZERO, Ending::Tell { expires_at, expires_in_s })) => {
                connection.session.was_told();
                let event = SessionEvent::Expiring { expires_at, expires_in_s };
                self.send(connection, &Frame::session_event(&event));
            }
            Some((Duration::ZERO, Ending::Over)) => {
                return self.evict(gates, connection, &SessionEvent::Expired, "expired");
            }
            Some(_) | None => {}
        }
        self.schedule_ending(gates, connection);
    }

    /// Sets the next moment for the end of the credential. Whoever changes the user calls it.
    fn schedule_ending(&self, gates: &Gates, connection: &Arc<Connection>) {
        let next = gates.next_ending(&connection.session).filter(|_| !connection.session.is_closed());
        let moment = |time: Duration| {
            let wait_ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
            UnixMs(gates.now_unix_ms().saturating_add(wait_ms))
        };
        self.expiry.credentials.set(connection, next.map(|(time, _)| moment(time)));
    }

    /// Sets the moment at which the first subscription is re-authorized.
    pub(super) fn schedule_recheck(&self, gates: &Gates, connection: &Arc<Connection>) {
        if let Some(at) = gates.next_recheck(&connection.session)
            && !connection.session.is_closed()
        {
            self.expiry.rechecks.set_no_later(connection, at);
        }
    }

    /// Registers a connection that opened, or has another credential: from now on it can be found by the credential,
    /// and it ends if the credential was revoked before.
    pub(super) fn register(&self, gates: &Arc<Gates>, connection: &Arc<Connection>) {
        self.connections.index(connection);
        if gates.still_good(&connection.session) == Err(Code::TokenRevoked) {
            return self.evict(gates, connection, &revoked(Code::TokenRevoked), "revoked");
        }
        self.schedule_ending(gates, connection);
        self.schedule_revalidation(gates, connection);
    }
}
