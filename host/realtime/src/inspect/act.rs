//! What an operator does to one client of this node.

use std::sync::Arc;

use crate::Realtime;
use crate::eviction::revoked;
use tidegate_core::flow::Gates;
use tidegate_core::protocol::{Code, Topic};

impl Realtime {
    /// Disconnects a client for good: a stock client stays away, and has no session to come back to. Returns its user;
    /// `None` if there is no such client.
    pub fn disconnect(&self, gates: &Arc<Gates>, connection: &str) -> Option<Option<String>> {
        let found = self.connections.get(connection)?;
        let user = found.session.user().map(|user| user.id.clone());
        self.evict(gates, &found, &revoked(Code::Forbidden), "operator");
        Some(user)
    }

    /// Takes a topic from a client, and tells it. Returns whether it held the topic; `None` if there is no such client.
    pub fn withdraw(&self, gates: &Gates, connection: &str, topic: &Topic) -> Option<bool> {
        let found = self.connections.get(connection)?;
        Some(gates.withdraw(&self.member(&found), topic))
    }
}
