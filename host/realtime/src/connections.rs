//! The open connections, each with its session, its inbound queue and its link.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use parking_lot::{Mutex, MutexGuard};
use tidegate_transport::{CloseReason, Offset, Place, SendError, Sent};

use super::comeback::Recovering;
use super::connection_events::Announced;
use super::frame::{Delivery, Frame};
use super::inbound_queue::InboundQueue;
use super::link::Link;
use super::refusals::{Refusals, Refused};
use tokio::sync::{Notify, Semaphore, SemaphorePermit};
use tokio::time::timeout;

use tidegate_core::flow::{Held, Publication, Session, Turn, Verdict};
use tidegate_core::protocol::{ConnectionId, Topic};

/// What a waiting frame counts beside its payload.
const HELD_FRAME_BYTES: usize = 100;
/// Longest origin that a connection keeps; those that `auth.origins` lists are shorter.
const ORIGIN_CHARS_MAX: usize = 256;
/// How many subscribes of a connection are answered at a time: each may bring `limits.ack_bytes`.
const SUBSCRIBES_MAX: usize = 4;
/// How long a subscribe waits until the client has taken the answers before it.
const SUBSCRIBE_PATIENCE: Duration = Duration::from_secs(10);

/// One client, from the answer of gate 1 to the end of its transport.
pub(super) struct Connection {
    /// Its state at the gates.
    pub(super) session: Session,
    /// Where it came from, and when.
    pub(super) arrival: Arrival,
    /// Its events that run or wait.
    pub(super) inbound: Arc<InboundQueue>,
    link: Box<dyn Link>,
    /// Its part in recovery, if its client wants to recover.
    pub(super) recovering: Option<Box<Recovering>>,
    /// The publications that wait while it subscribes.
    pub(super) held: Held<Frame>,
    /// The turns of its subscribes.
    subscribing: Semaphore,
    /// Held while rooms are updated to match what the session holds, so that the last look decides.
    membership: Mutex<()>,
    /// The state of announcing it to plugins.
    announced: Mutex<Announced>,
    /// The keys by which it can be found.
    indexed: Mutex<Vec<Subject>>,
    /// The last refusals of its events.
    refusals: Mutex<Refusals>,
    /// How long its client took to answer the last ping, in microseconds.
    lag_us: AtomicU64,
    /// Another user's credential came: the client is evicted after the answer.
    is_evicted_next: AtomicBool,
}

impl Connection {
    /// A connection that gate 1 accepted. So many bytes of publications may wait for it while it subscribes.
    pub(super) fn new(session: Session, inbound: InboundQueue, held_bytes_max: usize, link: impl Link) -> Self {
        Self {
            session,
            arrival: Arrival::default(),
            inbound: Arc::new(inbound),
            link: Box::new(link),
            recovering: None,
            held: Held::new(held_bytes_max),
            subscribing: Semaphore::new(SUBSCRIBES_MAX),
            membership: Mutex::default(),
            announced: Mutex::default(),
            indexed: Mutex::default(),
            refusals: Mutex::default(),
            lag_us: AtomicU64::new(0),
            is_evicted_next: AtomicBool::new(false),
        }
    }

    /// A connection without a user, for the unit tests.
    #[cfg(test)]
    pub(super) fn over(link: impl Link, id: &str) -> Arc<Self> {
        let inbound = InboundQueue::new(8, tokio_util::task::TaskTracker::new());
        Arc::new(Self::new(Session::new(ConnectionId::new(id), None), inbound, 1 << 20, link))
    }

    /// The same, with where it came from.
    pub(super) fn from(self, arrival: Arrival) -> Self {
        Self { arrival, ..self }
    }

    /// The same with a part in recovery.
    pub(super) fn with(self, recovering: Option<Recovering>) -> Self {
        Self { recovering: recovering.map(Box::new), ..self }
    }

    /// Its id.
    pub(super) const fn id(&self) -> &ConnectionId {
        self.session.connection()
    }

    /// Sends a frame. Frames arrive in the order of these calls.
    ///
    /// # Errors
    /// [`SendError`]: the client did not receive it, and has to be made to reconnect.
    pub(super) fn send(&self, frame: &Frame) -> Result<(), SendError> {
        match (&self.recovering, frame) {
            (Some(recovering), Frame::SessionEvent(told)) => {
                recovering.trail.tells(told.packet().offset(), &told.event);
            }
            (_, Frame::Publication(delivery)) => self.note_epoch(&delivery.publication),
            (None, Frame::SessionEvent(_)) | (_, Frame::Ack(_) | Frame::Disconnect) => {}
        }
        self.link.write(frame)
    }

    /// Notes the epoch of a publication, which may be another one than that of the subscription: a history begins with its
    /// first publication.
    fn note_epoch(&self, publication: &Publication) {
        if let (Some(recovering), Some(position)) = (&self.recovering, publication.position_shown()) {
            recovering.trail.follows(&publication.topic, position);
        }
    }

    /// Sends publications of one topic in their order, unless the client has left their room. One that must wait for the
    /// ack of a subscribe waits, and one that came with that ack is not sent again.
    ///
    /// # Errors
    /// As [`Connection::send`]. A client for which too much waits is a slow consumer.
    pub(super) fn deliver(&self, batch: &[Arc<Delivery>], has_left: &AtomicBool) -> Result<Sent, SendError> {
        let is_plain = !self.held.is_holding() && batch.iter().all(|one| one.publication.position.is_none());
        if is_plain {
            return self.link.deliver(batch, has_left);
        }
        // The common case: nothing of the topic waits, so that one write takes all of them.
        if let Some(first) = batch.first()
            && let topic = &first.publication.topic
            && let Some(_until_sent) = self.held.let_through(topic)
        {
            // As for each of them below.
            if batch.iter().any(|one| one.publication.position.is_some()) && !self.session.holds(topic) {
                return Ok(Sent::default());
            }
            batch.iter().for_each(|one| self.note_epoch(&one.publication));
            return self.link.deliver(batch, has_left);
        }
        let mut sent = Sent { taken: batch.len(), replaced: 0 };
        for one in batch {
            sent.replaced += self.deliver_one(one, has_left)?.replaced;
        }
        Ok(sent)
    }

    fn deliver_one(&self, delivery: &Arc<Delivery>, has_left: &AtomicBool) -> Result<Sent, SendError> {
        let Publication { topic, position, payload, .. } = &delivery.publication;
        let frame = || Frame::Publication(Arc::clone(delivery));
        let bytes = payload.as_str().len() + HELD_FRAME_BYTES;
        let turn = match &delivery.place {
            Place::InOrder => Turn::InOrder,
            Place::Newest(slot) => Turn::Newest(&slot.key),
            Place::Ends(slot) => Turn::Ends(&slot.key),
        };
        match self.held.judge(topic, position.as_ref(), turn, bytes, frame) {
            // The client left while this was on its way. Asked under the lock of the verdict, which whoever left waits for:
            // so that nothing comes after the ack of an unsubscribe, and nothing twice when the client comes back.
            Verdict::Send(_) if position.is_some() && !self.session.holds(topic) => Ok(Sent::default()),
            Verdict::Send(_until_sent) => {
                self.note_epoch(&delivery.publication);
                self.link.deliver(std::slice::from_ref(delivery), has_left)
            }
            Verdict::Done => Ok(Sent::default()),
            Verdict::Replaces => Ok(Sent { taken: 1, replaced: 1 }),
            Verdict::Full => Err(SendError::SlowConsumer),
        }
    }

    /// Sends a message about the publications of a topic, in the order of these.
    ///
    /// # Errors
    /// As [`Connection::deliver`].
    pub(super) fn tell_of(&self, topic: &Topic, frame: &Frame) -> Result<(), SendError> {
        match self.held.judge(topic, None, Turn::InOrder, HELD_FRAME_BYTES, || frame.clone()) {
            Verdict::Send(_until_sent) => self.send(frame),
            Verdict::Done | Verdict::Replaces => Ok(()),
            Verdict::Full => Err(SendError::SlowConsumer),
        }
    }

    /// Drops what waits of a room that the client has left.
    pub(super) fn forget(&self, room: u64) {
        self.link.forget(room);
    }

    /// Waits for the turn of a subscribe, while the client has not taken the answers to those before it, of so many bytes.
    /// The turn lasts until it is dropped; `None` if it does not come in time.
    pub(super) async fn turn_to_subscribe(&self, ack_bytes_max: usize) -> Option<SemaphorePermit<'_>> {
        let turn = async {
            let turn = self.subscribing.acquire().await.ok();
            self.link.has_room_apart(ack_bytes_max).await;
            turn
        };
        timeout(SUBSCRIBE_PATIENCE, turn).await.ok().flatten()
    }

    /// Notes that the client is evicted after the answer to the event that is being handled.
    pub(super) fn evict_after_answer(&self) {
        self.is_evicted_next.store(true, Ordering::Release);
    }

    /// Whether [`Connection::evict_after_answer`] was called; `true` only once.
    pub(super) fn takes_eviction(&self) -> bool {
        self.is_evicted_next.swap(false, Ordering::AcqRel)
    }

    /// While the guard lives, nobody else updates this connection's rooms.
    pub(super) fn membership(&self) -> MutexGuard<'_, ()> {
        self.membership.lock()
    }

    /// The state of announcing it; hold it for a look only, never across a call.
    pub(super) fn announced(&self) -> MutexGuard<'_, Announced> {
        self.announced.lock()
    }

    /// Closes the transport once the client has what was sent, so that a stock client reconnects.
    pub(super) fn finish(&self, reason: CloseReason) {
        self.link.finish(reason);
    }

    /// Drops the transport, so that a stock client reconnects.
    pub(super) fn cut(&self, reason: CloseReason) {
        self.link.cut(reason);
    }

    /// The events that the client may or may not have processed.
    pub(super) fn unanswered(&self) -> Vec<Offset> {
        self.link.unanswered()
    }

    /// Remembers a refusal, for operators.
    pub(super) fn note_refusal(&self, refused: Refused) {
        self.refusals.lock().note(refused);
    }

    /// The last refusals, the newest first.
    pub(super) fn last_refusals(&self) -> Vec<Refused> {
        self.refusals.lock().newest_first()
    }

    /// The client took this long to answer.
    pub(super) fn note_lag(&self, lag: Duration) {
        self.lag_us.store(u64::try_from(lag.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// How far the client is behind: what its last answer took, or how long it owes one, whichever is longer.
    pub(super) fn lag(&self) -> Duration {
        let answered = Duration::from_micros(self.lag_us.load(Ordering::Relaxed));
        let owed = self.link.waiting().unanswered_since.map_or(Duration::ZERO, |since| since.elapsed());
        answered.max(owed)
    }

    /// The bytes that wait for the client.
    pub(super) fn waiting_bytes(&self) -> usize {
        self.link.waiting().bytes
    }

    /// The name in the log of what carries the client's session now.
    pub(super) fn carrier(&self) -> &'static str {
        self.link.carrier()
    }
}

/// Where a connection came from, and when.
#[derive(Debug, Clone, Default)]
pub(super) struct Arrival {
    /// Its address, if known.
    pub(super) address: Option<IpAddr>,
    /// The origin of the page, if a page opened it.
    pub(super) origin: Option<Box<str>>,
    /// In milliseconds since the Unix epoch.
    pub(super) at_ms: u64,
}

impl Arrival {
    /// A connection that comes now.
    pub(super) fn new(address: Option<IpAddr>, origin: Option<&str>, at_ms: u64) -> Self {
        let origin = origin.map(|origin| origin.chars().take(ORIGIN_CHARS_MAX).collect::<String>().into());
        Self { address, origin, at_ms }
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

/// Every open connection.
#[derive(Default)]
pub(super) struct Connections {
    open: DashMap<ConnectionId, Arc<Connection>>,
    /// Those with a user, by what a revocation can name.
    by_subject: DashMap<Subject, HashMap<ConnectionId, Arc<Connection>>>,
    /// Notified when the last connection is gone.
    gone: Notify,
}

impl Connections {
    /// Adds a connection.
    pub(super) fn insert(&self, connection: Arc<Connection>) {
        self.open.insert(connection.id().clone(), connection);
    }

    /// Removes a connection; `false` if it is not there.
    pub(super) fn remove(&self, connection: &Arc<Connection>) -> bool {
        let was_open = self.open.remove_if(connection.id(), |_, open| Arc::ptr_eq(open, connection)).is_some();
        // Afterwards: whoever indexes it meanwhile sees that it is gone, or was earlier than this.
        self.unindex(connection, &mut connection.indexed.lock());
        if self.open.is_empty() {
            self.gone.notify_waiters();
        }
        was_open
    }

    /// Makes an open connection findable by its present user and credential, and no longer by earlier ones.
    pub(super) fn index(&self, connection: &Arc<Connection>) {
        let mut indexed = connection.indexed.lock();
        self.unindex(connection, &mut indexed);
        let is_open = self.open.get(connection.id()).is_some_and(|open| Arc::ptr_eq(&open, connection));
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

    /// The open connections; no lock is held while the caller walks them.
    pub(super) fn all(&self) -> Vec<Arc<Connection>> {
        self.open.iter().map(|found| Arc::clone(&found)).collect()
    }

    /// Resolves when no connection is open.
    pub(super) async fn all_gone(&self) {
        loop {
            let gone = self.gone.notified();
            if self.open.is_empty() {
                return;
            }
            gone.await;
        }
    }

    /// Shows every open connection to `see`, a part of them at a time. It must be quick: others wait meanwhile.
    pub(super) fn see(&self, mut see: impl FnMut(&Arc<Connection>)) {
        self.open.iter().for_each(|found| see(&found));
    }

    /// An open connection.
    pub(super) fn get(&self, id: &str) -> Option<Arc<Connection>> {
        self.open.get(&ConnectionId::new(id)).map(|found| Arc::clone(&found))
    }

    /// How many are open.
    pub(super) fn count(&self) -> usize {
        self.open.len()
    }
}
