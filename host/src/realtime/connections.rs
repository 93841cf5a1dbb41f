//! The open connections: each with its session, its link and its lanes.

use std::sync::Arc;

use dashmap::DashMap;
use parking_lot::{Mutex, MutexGuard};
use serde_json::value::{RawValue, to_raw_value};
use tokio_util::sync::CancellationToken;

use super::announcer::Announced;
use super::lanes::Lanes;
use super::link::{Link, LinkError};
use crate::flow::Session;
use crate::protocol::{ConnectionId, SessionEvent};

/// One client, from the answer of gate 1 to the end of its transport.
pub(super) struct Connection {
    /// Its standing with the gates.
    pub(super) session: Session,
    /// Its events under way.
    pub(super) lanes: Arc<Lanes>,
    link: Box<dyn Link>,
    /// Held while rooms are brought in line with what the session holds, so that the last to look decides.
    membership: Mutex<()>,
    /// How far plugins were told of it.
    announced: Mutex<Announced>,
    cut: CancellationToken,
    heard: CancellationToken,
}

impl Connection {
    /// A connection that gate 1 let in.
    pub(super) fn new(session: Session, lanes: Lanes, link: impl Link) -> Self {
        Self {
            session,
            lanes: Arc::new(lanes),
            link: Box::new(link),
            membership: Mutex::default(),
            announced: Mutex::default(),
            cut: CancellationToken::new(),
            heard: CancellationToken::new(),
        }
    }

    /// Its id.
    pub(super) const fn id(&self) -> &ConnectionId {
        self.session.connection()
    }

    /// Queues an event.
    ///
    /// # Errors
    /// As [`Link::emit`].
    pub(super) fn emit(&self, event: &str, args: &[&RawValue]) -> Result<(), LinkError> {
        self.link.emit(event, args)
    }

    /// Queues what concerns the session, as event `tidegate`.
    ///
    /// # Errors
    /// As [`Link::emit`].
    pub(super) fn tell(&self, event: &SessionEvent) -> Result<(), LinkError> {
        // A session event is strings in a map: it always serialises.
        let text = to_raw_value(event).unwrap_or_default();
        self.link.emit("tidegate", &[&text])
    }

    /// While the guard lives nobody else brings this connection's rooms in line.
    pub(super) fn membership(&self) -> MutexGuard<'_, ()> {
        self.membership.lock()
    }

    /// How far plugins were told of it; held for a look, never across a call.
    pub(super) fn announced(&self) -> MutexGuard<'_, Announced> {
        self.announced.lock()
    }

    /// Drops the transport, so that a stock client reconnects.
    pub(super) fn cut(&self) {
        self.cut.cancel();
        self.link.kill();
    }

    /// Resolves once [`Connection::cut`] was called.
    pub(super) async fn was_cut(&self) {
        self.cut.cancelled().await;
    }

    /// A client that polls took what was queued for it while the server drains.
    pub(super) fn took_last_word(&self) {
        self.heard.cancel();
    }

    /// Resolves once [`Connection::took_last_word`] was called, or the connection is over.
    pub(super) async fn heard_last_word(&self) {
        tokio::select! {
            () = self.heard.cancelled() => {}
            () = self.cut.cancelled() => {}
        }
    }
}

/// Every open connection by its id.
#[derive(Default)]
pub(super) struct Connections {
    by_id: DashMap<ConnectionId, Arc<Connection>>,
}

impl Connections {
    /// Adds one.
    pub(super) fn insert(&self, connection: Arc<Connection>) {
        self.by_id.insert(connection.id().clone(), connection);
    }

    /// Forgets one; false when it is not there.
    pub(super) fn remove(&self, id: &ConnectionId) -> bool {
        self.by_id.remove(id).is_some()
    }

    /// Finds one.
    pub(super) fn get(&self, id: &ConnectionId) -> Option<Arc<Connection>> {
        self.by_id.get(id).map(|found| Arc::clone(&found))
    }

    /// Those open now; no lock is held while the caller walks them.
    pub(super) fn all(&self) -> Vec<Arc<Connection>> {
        self.by_id.iter().map(|found| Arc::clone(&found)).collect()
    }

    /// How many are open.
    pub(super) fn count(&self) -> usize {
        self.by_id.len()
    }
}
