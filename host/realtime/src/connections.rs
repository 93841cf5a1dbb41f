//! The open connections, each with its session, its link and its lanes.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use parking_lot::{Mutex, MutexGuard};
use serde_json::value::{RawValue, to_raw_value};
use tokio_util::sync::CancellationToken;

use super::announcer::Announced;
use super::lanes::Lanes;
use super::link::{Link, LinkError};
use super::wires::SessionId;
use tidegate_core::flow::Session;
use tidegate_core::protocol::{Code, ConnectionId, SessionEvent};

/// One client, from the answer of gate 1 to the end of its transport.
pub(super) struct Connection {
    /// Its id in the transport.
    pub(super) transport: SessionId,
    /// Its state at the gates.
    pub(super) session: Session,
    /// Its address, if known.
    pub(super) address: Option<IpAddr>,
    /// Its running events.
    pub(super) lanes: Arc<Lanes>,
    link: Box<dyn Link>,
    /// Held while rooms are updated to match what the session holds, so that the last look decides.
    membership: Mutex<()>,
    /// The state of announcing it to plugins.
    announced: Mutex<Announced>,
    /// The keys by which it can be found.
    indexed: Mutex<Vec<Subject>>,
    /// Another user's credential came: the client is disconnected after the answer.
    is_to_go: AtomicBool,
    cut: CancellationToken,
    heard: CancellationToken,
}

impl Connection {
    /// A connection that gate 1 accepted.
    pub(super) fn new(transport: SessionId, session: Session, lanes: Lanes, link: impl Link) -> Self {
        Self {
            transport,
            session,
            address: None,
            lanes: Arc::new(lanes),
            link: Box::new(link),
            membership: Mutex::default(),
            announced: Mutex::default(),
            indexed: Mutex::default(),
            is_to_go: AtomicBool::new(false),
            cut: CancellationToken::new(),
            heard: CancellationToken::new(),
        }
    }

    /// The same with this address.
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

    /// Queues the message that it is disconnected for good; everything queued before arrives before it.
    ///
    /// # Errors
    /// As [`Link::disconnect`].
    pub(super) fn disconnect(&self) -> Result<(), LinkError> {
        self.link.disconnect()
    }

    /// Disconnect it after its last request was answered.
    pub(super) fn is_to_go(&self) {
        self.is_to_go.store(true, Ordering::Release);
    }

    /// Whether [`Connection::is_to_go`] was called; `true` only once.
    pub(super) fn goes(&self) -> bool {
        self.is_to_go.swap(false, Ordering::AcqRel)
    }

    /// While the guard lives, nobody else updates this connection's rooms.
    pub(super) fn membership(&self) -> MutexGuard<'_, ()> {
        self.membership.lock()
    }

    /// The state of announcing it; hold it for a look only, never across a call.
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

    /// Notes that a polling client took what was queued for it while the server drains.
    pub(super) fn took_last_word(&self) {
        self.heard.cancel();
    }

    /// Resolves when [`Connection::took_last_word`] was called, or the connection has ended.
    pub(super) async fn heard_last_word(&self) {
        tokio::select! {
            () = self.heard.cancelled() => {}
            () = self.cut.cancelled() => {}
        }
    }
}

/// The part of a session that a revocation can name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Subject {
    /// The user's id.
    User(String),
    /// The credential's own id.
    Token(String),
}

/// Every open connection by its transport's session, and the sessions that ended before their transport did.
#[derive(Default)]
pub(super) struct Connections {
    open: DashMap<SessionId, Arc<Connection>>,
    /// Those with a user, by what a revocation can name.
    by_subject: DashMap<Subject, HashMap<ConnectionId, Arc<Connection>>>,
    barred: DashMap<SessionId, Barred>,
}

/// Why polls of a session are not answered any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Barred {
    /// It has ended: the client left, or was disconnected.
    Ended,
    /// Gate 1 refused it, but may accept it later.
    Refused(Code),
}

impl Connections {
    /// Adds a connection.
    pub(super) fn insert(&self, connection: Arc<Connection>) {
        self.open.insert(connection.transport.clone(), connection);
    }

    /// Removes a connection; `false` if it is not there. Another one of the same transport stays.
    pub(super) fn remove(&self, connection: &Arc<Connection>) -> bool {
        let was_open = self.open.remove_if(&connection.transport, |_, open| Arc::ptr_eq(open, connection)).is_some();
        // Afterwards: whoever indexes it meanwhile sees that it is gone, or was earlier than this.
        self.unindex(connection, &mut connection.indexed.lock());
        was_open
    }

    /// Makes an open connection findable by its present user and credential, and no longer by earlier ones.
    pub(super) fn index(&self, connection: &Arc<Connection>) {
        let mut indexed = connection.indexed.lock();
        self.unindex(connection, &mut indexed);
        let is_open = self.open.get(&connection.transport).is_some_and(|open| Arc::ptr_eq(&open, connection));
        let Some(user) = connection.session.user().filter(|_| is_open) else { return };
        let subjects = [Some(Subject::User(user.id.clone())), user.token_id.clone().map(Subject::Token)];
        for subject in subjects.into_iter().flatten() {
            let mut found = self.by_subject.entry(subject.clone()).or_default();
            found.insert(connection.id().clone(), Arc::clone(connection));
            indexed.push(subject);
        }
    }

    fn unindex(&self, connection: &Connection, indexed: &mut Vec<Subject>) {
        for subject in indexed.drain(..) {
            let Entry::Occupied(mut found) = self.by_subject.entry(subject) else { continue };
            found.get_mut().remove(connection.id());
            if found.get().is_empty() {
                found.remove();
            }
        }
    }

    /// The connections of a user, of every tenant.
    pub(super) fn of_user(&self, user: &str) -> Vec<Arc<Connection>> {
        self.of(&Subject::User(user.to_owned()))
    }

    /// The connections whose credential has this id.
    pub(super) fn of_token(&self, token: &str) -> Vec<Arc<Connection>> {
        self.of(&Subject::Token(token.to_owned()))
    }

    fn of(&self, subject: &Subject) -> Vec<Arc<Connection>> {
        self.by_subject.get(subject).map(|found| found.values().cloned().collect()).unwrap_or_default()
    }

    /// Finds a connection.
    pub(super) fn get(&self, session: &SessionId) -> Option<Arc<Connection>> {
        self.open.get(session).map(|found| Arc::clone(&found))
    }

    /// The open connections; no lock is held while the caller walks them.
    pub(super) fn all(&self) -> Vec<Arc<Connection>> {
        self.open.iter().map(|found| Arc::clone(&found)).collect()
    }

    /// How many are open.
    pub(super) fn count(&self) -> usize {
        self.open.len()
    }

    /// Answers no more polls of a session for this time, after which the transport has forgotten it.
    pub(super) fn bar(self: &Arc<Self>, session: SessionId, why: Barred, time: Duration) {
        let connections = Arc::clone(self);
        connections.barred.insert(session.clone(), why);
        tokio::spawn(async move {
            tokio::time::sleep(time).await;
            connections.barred.remove(&session);
        });
    }

    /// Why a session is barred, if it is.
    pub(super) fn barred(&self, session: &SessionId) -> Option<Barred> {
        self.barred.get(session).map(|why| *why)
    }
}
