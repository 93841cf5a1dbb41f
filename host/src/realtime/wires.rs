//! Which TCP connection carries which websocket, so that exactly that one can be cut.
//!
//! A client usually begins with polling and upgrades: what the transport library knows of a session's request stays
//! that of the first poll, on another TCP connection. The upgrade's own request names the session, so it is noted there.

use std::sync::Arc;

use dashmap::DashMap;

use super::listener::Switch;
use crate::protocol::ConnectionId;

/// The websockets' switches by session. An entry lives as long as its TCP connection.
#[derive(Default)]
pub(super) struct Wires {
    by_session: DashMap<ConnectionId, Arc<Switch>>,
}

impl Wires {
    /// Notes that a TCP connection carries a session. The first to say so stands until it ends.
    pub(super) fn bind(self: &Arc<Self>, session: &ConnectionId, switch: &Arc<Switch>) {
        let mut is_first = false;
        self.by_session.entry(session.clone()).or_insert_with(|| {
            is_first = true;
            Arc::clone(switch)
        });
        if is_first {
            let (wires, session) = (Arc::downgrade(self), session.clone());
            switch.on_close(move || {
                if let Some(wires) = wires.upgrade() {
                    wires.by_session.remove(&session);
                }
            });
        }
    }

    /// Cuts the TCP connection that carries a session, if a websocket does.
    pub(super) fn cut(&self, session: &ConnectionId) {
        let switch = self.by_session.get(session).map(|found| Arc::clone(&found));
        if let Some(switch) = switch {
            switch.cut();
        }
    }
}
