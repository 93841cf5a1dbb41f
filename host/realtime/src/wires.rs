//! Which TCP connection carries which websocket, so that exactly this connection can be cut.
//!
//! A client usually begins with polling and then upgrades: the transport library's request of a session stays that of
//! the first poll, on another TCP connection. The upgrade's own request names the session, so the connection is noted
//! there.

use std::sync::Arc;

use dashmap::DashMap;

use super::cuttable_stream::Switch;

/// The transport's own id of a session. Whoever knows it can poll in the session's place, so it never leaves this
/// folder: logs and plugins see the connection's id.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct SessionId(Arc<str>);

impl SessionId {
    /// Takes the id in the transport's form.
    pub(super) fn new(id: impl Into<Arc<str>>) -> Self {
        Self(id.into())
    }
}

/// The websockets' switches by session. An entry lives as long as its TCP connection.
#[derive(Default)]
pub(super) struct Wires {
    by_session: DashMap<SessionId, Arc<Switch>>,
}

impl Wires {
    /// Notes that a TCP connection carries a session. The first one stays until it ends.
    pub(super) fn bind(self: &Arc<Self>, session: &SessionId, switch: &Arc<Switch>) {
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

    /// Whether a websocket carries a session; otherwise it polls.
    pub(super) fn carries(&self, session: &SessionId) -> bool {
        self.by_session.contains_key(session)
    }

    /// Cuts the TCP connection that carries a session, if it is a websocket.
    pub(super) fn cut(&self, session: &SessionId) {
        let switch = self.by_session.get(session).map(|found| Arc::clone(&found));
        if let Some(switch) = switch {
            switch.cut();
        }
    }
}
