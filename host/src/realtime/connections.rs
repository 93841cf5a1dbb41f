//! The open connections: each with its session, its link and its lanes.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use parking_lot::{Mutex, MutexGuard};
use serde_json::value::{RawValue, to_raw_value};
use tokio_util::sync::CancellationToken;

use super::announcer::Announced;
use super::lanes::Lanes;
use super::link::{Link, LinkError};
use super::wires::SessionId;
use crate::flow::Session;
use crate::protocol::{ConnectionId, SessionEvent};

/// One client, from the answer of gate 1 to the end of its transport.
pub(super) struct Connection {
    /// The transport's name for it.
    pub(super) transport: SessionId,
    /// Its standing with the gates.
    pub(super) session: Session,
    /// Where it comes from, where that is known.
    pub(super) address: Option<IpAddr>,
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
    pub(super) fn new(transport: SessionId, session: Session, lanes: Lanes, link: impl Link) -> Self {
        Self {
            transport,
            session,
            address: None,
            lanes: Arc::new(lanes),
            link: Box::new(link),
            membership: Mutex::default(),
            announced: Mutex::default(),
            cut: CancellationToken::new(),
            heard: CancellationToken::new(),
        }
    }

    /// The same, from this address.
    pub(super) fn at(self, address: Option<IpAddr>) -> Self {
        Self { address, ..self }
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

/// Every open connection by its transport's session, and the sessions that ended before their transport did.
#[derive(Default)]
pub(super) struct Connections {
    open: DashMap<SessionId, Arc<Connection>>,
    barred: DashMap<SessionId, ()>,
}

impl Connections {
    /// Adds one.
    pub(super) fn insert(&self, connection: Arc<Connection>) {
        self.open.insert(connection.transport.clone(), connection);
    }

    /// Forgets one; false when it is not there.
    pub(super) fn remove(&self, session: &SessionId) -> bool {
        self.open.remove(session).is_some()
    }

    /// Finds one.
    pub(super) fn get(&self, session: &SessionId) -> Option<Arc<Connection>> {
        self.open.get(session).map(|found| Arc::clone(&found))
    }

    /// Those open now; no lock is held while the caller walks them.
    pub(super) fn all(&self) -> Vec<Arc<Connection>> {
        self.open.iter().map(|found| Arc::clone(&found)).collect()
    }

    /// How many are open.
    pub(super) fn count(&self) -> usize {
        self.open.len()
    }

    /// Answers no more polls of a session for this long, by when the transport has forgotten it.
    pub(super) fn bar(self: &Arc<Self>, session: SessionId, time: Duration) {
        let connections = Arc::clone(self);
        connections.barred.insert(session.clone(), ());
        tokio::spawn(async move {
            tokio::time::sleep(time).await;
            connections.barred.remove(&session);
        });
    }

    /// Whether a session is barred.
    pub(super) fn is_barred(&self, session: &SessionId) -> bool {
        self.barred.contains_key(session)
    }
}
