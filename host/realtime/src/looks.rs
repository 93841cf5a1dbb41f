//! Checks credentials again while their sessions last: every `auth.recheck`, and before an end is announced.
//!
//! Some connections at a time, because the store has other work, too.

use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::Instant;

use super::Realtime;
use super::connections::Connection;
use super::endings::revoked;
use tidegate_core::flow::{Gates, Looked};
use tidegate_core::protocol::{Code, SessionEvent};

/// Connections whose credentials are checked at the same time.
const LOOKS_MAX: usize = 16;
/// How long an end waits for the check before it, in seconds. Then it takes place as far as it is known.
pub(super) const PATIENCE_S: u64 = 3;

impl Realtime {
    /// Checks the credentials whose moment has come.
    pub(super) async fn look_again(&self, gates: &Arc<Gates>) {
        let mut under_way = FuturesUnordered::new();
        loop {
            tokio::select! {
                connection = self.looks.due(Instant::now), if under_way.len() < LOOKS_MAX => {
                    under_way.push(async move { self.look(gates, &connection).await });
                }
                Some(()) = under_way.next() => {}
            }
        }
    }

    async fn look(&self, gates: &Arc<Gates>, connection: &Arc<Connection>) {
        if connection.session.is_closed() {
            return;
        }
        let looked = gates.look_again(&connection.session).await;
        if connection.session.is_closed() {
            return;
        }
        match looked {
            Looked::Over(Code::TokenExpired) => self.dismiss(gates, connection, &SessionEvent::Expired, "expired"),
            Looked::Over(code) => self.dismiss(gates, connection, &revoked(code), "revoked"),
            Looked::Renewed => {
                self.know(gates, connection);
                gates.recheck(&self.member(connection));
                self.reauthorize(gates, connection).await;
            }
            // An end that waited for this takes place now.
            Looked::Same => {
                self.on_ending(gates, connection);
                self.await_look(gates, connection);
            }
        }
    }

    /// Sets the moment at which the credential is checked again, unless an earlier one is set.
    pub(super) fn await_look(&self, gates: &Gates, connection: &Arc<Connection>) {
        if let Some(time) = gates.next_look(&connection.session)
            && !connection.session.is_closed()
        {
            self.looks.set_no_later(connection, Instant::now() + time);
        }
    }
}
