//! Sessions that the server ends for good: their credential has expired or was revoked, or another user's credential
//! came. And subscriptions that end because of a revocation or the end of an authorizer's grant.
//!
//! Such an end is final: the client is informed, then disconnected by Socket.IO, and a stock client stays away.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::connections::{Barred, Connection};
use super::deadlines::UnixMs;
use super::link::LinkError;
use super::{REAUTHORIZATIONS_MAX, Realtime, looks, socketio};
use tidegate_core::flow::ports::{Clients, Touched};
use tidegate_core::flow::revoke::Revocation;
use tidegate_core::flow::{Ending, Gates};
use tidegate_core::protocol::{Code, SessionEvent};

/// How long a dismissed client may take to receive the message before its transport is cut.
const PARTING: Duration = Duration::from_secs(5);

impl Realtime {
    /// Ends sessions and subscriptions when their time comes, until `shutdown`. Run it once.
    pub async fn keep_time(self: Arc<Self>, gates: Arc<Gates>, shutdown: CancellationToken) {
        let credentials = async {
            loop {
                let connection = self.endings.due(|| UnixMs(gates.now_unix_ms())).await;
                self.on_ending(&gates, &connection);
            }
        };
        let partings = async {
            loop {
                let connection = self.partings.due(Instant::now).await;
                self.connections.bar(connection.transport.clone(), Barred::Ended, socketio::SESSION_TIMEOUT);
                connection.cut();
            }
        };
        let all = async { tokio::join!(credentials, partings, self.ask_again(&gates), self.look_again(&gates)) };
        shutdown.run_until_cancelled(all).await;
    }

    /// Re-authorizes subscriptions whose moment has come, of some connections at a time, because authorizers have other
    /// work, too.
    async fn ask_again(&self, gates: &Gates) {
        let mut asked = FuturesUnordered::new();
        loop {
            tokio::select! {
                connection = self.rechecks.due(|| gates.elapsed().now()), if asked.len() < REAUTHORIZATIONS_MAX => {
                    asked.push(async move {
                        self.reauthorize(gates, &connection).await;
                    });
                }
                Some(()) = asked.next() => {}
            }
        }
    }

    pub(super) fn on_ending(&self, gates: &Arc<Gates>, connection: &Arc<Connection>) {
        if connection.session.is_closed() {
            return;
        }
        match gates.next_ending(&connection.session) {
            // It may have moved since.
            Some((Duration::ZERO, ending)) if gates.looks_before(&connection.session, ending) => {
                let patience_s = match ending {
                    Ending::Tell { expires_in_s, .. } => looks::PATIENCE_S.min(expires_in_s),
                    Ending::Over => looks::PATIENCE_S,
                };
                self.looks.set(connection, Some(Instant::now()));
                let at_the_latest = UnixMs(gates.now_unix_ms().saturating_add(patience_s * 1000));
                return self.endings.set(connection, Some(at_the_latest));
            }
            Some((Duration::ZERO, Ending::Tell { expires_at, expires_in_s })) => {
                connection.session.was_told();
                self.tell(connection, &SessionEvent::Expiring { expires_at, expires_in_s });
            }
            Some((Duration::ZERO, Ending::Over)) => {
                return self.dismiss(gates, connection, &SessionEvent::Expired, "expired");
            }
            Some(_) | None => {}
        }
        self.await_ending(gates, connection);
    }

    /// Sets the next moment for the end of the credential. Whoever changes the user calls it.
    pub(super) fn await_ending(&self, gates: &Gates, connection: &Arc<Connection>) {
        let next = gates.next_ending(&connection.session).filter(|_| !connection.session.is_closed());
        let moment = |time: Duration| {
            let wait_ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
            UnixMs(gates.now_unix_ms().saturating_add(wait_ms))
        };
        self.endings.set(connection, next.map(|(time, _)| moment(time)));
    }

    /// Sets the moment at which the first subscription is re-authorized.
    pub(super) fn await_recheck(&self, gates: &Gates, connection: &Arc<Connection>) {
        if let Some(at) = gates.next_recheck(&connection.session)
            && !connection.session.is_closed()
        {
            self.rechecks.set_no_later(connection, at);
        }
    }

    /// Registers a connection that opened, or has another credential: from now on it can be found by the credential,
    /// and it ends if the credential was revoked before.
    pub(super) fn know(&self, gates: &Arc<Gates>, connection: &Arc<Connection>) {
        self.connections.index(connection);
        if gates.still_good(&connection.session) == Err(Code::TokenRevoked) {
            return self.dismiss(gates, connection, &revoked(Code::TokenRevoked), "revoked");
        }
        self.await_ending(gates, connection);
        self.await_look(gates, connection);
    }

    /// Ends a session for good: it receives nothing more except the reason, and is disconnected.
    pub(super) fn dismiss(
        &self,
        gates: &Arc<Gates>,
        connection: &Arc<Connection>,
        event: &SessionEvent,
        reason: &'static str,
    ) {
        self.end(connection);
        let told = connection.tell(event).and_then(|()| connection.disconnect());
        self.forget(gates, connection, reason);
        match told {
            // Its transport has no more use: without a connection it would count in no limit.
            Ok(()) => self.partings.set(connection, Some(Instant::now() + PARTING)),
            // It comes back, and learns it from gate 1.
            Err(LinkError::Full | LinkError::Closed) => connection.cut(),
        }
    }
}

impl Clients for Realtime {
    fn revoke(&self, revocation: &Arc<Revocation>) -> Touched {
        let mut touched = Touched::default();
        let Some(gates) = self.gates() else { return touched };
        let Revocation { user, token, topic, .. } = &**revocation;
        let meant = match (user, token, topic) {
            (Some(user), _, _) => self.connections.of_user(user),
            (None, Some(token), _) => self.connections.of_token(token),
            (None, None, Some(topic)) => self.rooms.members(topic),
            (None, None, None) => Vec::new(),
        };
        for connection in meant {
            let is_covered = revocation.covers(connection.session.user().as_deref());
            match topic {
                None if is_covered => {
                    self.dismiss(&gates, &connection, &revoked(Code::TokenRevoked), "revoked");
                    touched.sessions += 1;
                    continue;
                }
                Some(topic) if is_covered && gates.withdraw(&self.member(&connection), topic) => {
                    touched.subscriptions += 1;
                }
                None | Some(_) => {}
            }
            if user.is_some() {
                self.rechecks.set_no_later(&connection, gates.elapsed().now());
                touched.rechecked += 1;
            }
        }
        touched
    }
}

/// The end of a revoked session.
pub(super) const fn revoked(reason: Code) -> SessionEvent {
    SessionEvent::SessionRevoked { reason }
}
