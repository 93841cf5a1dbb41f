//! Validates credentials again while their sessions last: every `auth.recheck`, and before an end is announced.
//!
//! Some connections at a time, because the store has other work, too.

use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::Instant;

use super::Realtime;
use super::connections::Connection;
use super::eviction::revoked;
use tidegate_core::flow::{Gates, Looked};
use tidegate_core::protocol::{Code, SessionEvent};

/// Connections whose credentials are validated at the same time.
const REVALIDATIONS_MAX: usize = 16;
/// How long an end waits for the validation before it, in seconds. Then it takes place as it is known.
pub(super) const PATIENCE_S: u64 = 3;

impl Realtime {
    /// Validates the credentials whose moment has come.
    pub(super) async fn revalidate_due(&self, gates: &Arc<Gates>) {
        let mut running = FuturesUnordered::new();
        loop {
            tokio::select! {
                connection = self.expiry.revalidations.due(Instant::now), if running.len() < REVALIDATIONS_MAX => {
                    running.push(async move { self.revalidate(gates, &connection).await });
                }
                Some(()) = running.next() => {}
            }
        }
    }

    async fn revalidate(&self, gates: &Arc<Gates>, connection: &Arc<Connection>) {
        if connection.session.is_closed() {
            return;
        }
        let looked = gates.look_again(&connection.session).await;
        if connection.session.is_closed() {
            return;
        }
        match looked {
            Looked::Over(Code::TokenExpired) => self.evict(gates, connection, &SessionEvent::Expired, "expired"),
            Looked::Over(code) => self.evict(gates, connection, &revoked(code), "revoked"),
            Looked::Renewed => {
                self.register(gates, connection);
                gates.recheck(&self.member(connection));
                self.reauthorize(gates, connection).await;
            }
            // An end that waited for this takes place now.
            Looked::Same => {
                self.on_ending(gates, connection);
                self.schedule_revalidation(gates, connection);
            }
        }
    }

    /// Sets the moment at which the credential is validated again, unless an earlier one is set.
    pub(super) fn schedule_revalidation(&self, gates: &Gates, connection: &Arc<Connection>) {
        if let Some(time) = gates.next_look(&connection.session)
            && !connection.session.is_closed()
        {
            self.expiry.revalidations.set_no_later(connection, Instant::now() + time);
        }
    }
}
