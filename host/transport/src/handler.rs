//! What an application gives to the transport, and what it gets.

use std::collections::VecDeque;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http::request::Parts;
use http_body_util::Full;
use serde_json::Value;

use crate::outbound::{Offset, Outbox, Sent, Waiting};
use crate::packet::Packet;

/// An HTTP answer.
pub type Answer = Response<Full<Bytes>>;

/// The application. The transport calls it; nothing here may block.
pub trait Handler: Send + Sync + Sized + 'static {
    /// What the application knows of a session from its first request.
    type Opening: Send + Sync + 'static;
    /// What the application knows of a client in a namespace.
    type Client: Send + Sync + 'static;

    /// A request wants to begin a session.
    ///
    /// # Errors
    /// The answer that the request gets instead.
    fn open(&self, request: &Parts) -> Result<Self::Opening, Box<Answer>>;

    /// A later request names the session: a poll, a POST or an upgrade.
    ///
    /// # Errors
    /// The answer that the request gets instead.
    fn resume(&self, opening: &Self::Opening, request: &Parts) -> Result<(), Box<Answer>>;

    /// A request names a session that does not exist: it has ended, or it is of another server.
    fn unknown_session(&self) -> Option<Answer> {
        None
    }

    /// Whether a namespace exists.
    fn knows(&self, namespace: &str) -> bool;

    /// A client wants to connect to a namespace that exists. The session goes on meanwhile, and it may end. A client
    /// that is returned gets [`Handler::connected`] and later [`Handler::closed`], in any case and in this order.
    fn connect(
        &self,
        connect: Connect<'_, Self::Opening>,
    ) -> impl Future<Output = Result<Connected<Self::Client>, Refusal>> + Send;

    /// The answer to the client is on its way: from now on the client may be written to.
    fn connected(&self, client: &Arc<Self::Client>);

    /// The client sent an event. Events of a session come one after another: the transport reads no further until this
    /// is done.
    ///
    /// # Errors
    /// The text is not an event: the session ends.
    fn event(&self, client: &Arc<Self::Client>, event: Event) -> impl Future<Output = Result<(), Malformed>> + Send;

    /// The client answered an event of the server. The text of the answer is the array of its arguments.
    fn answered(&self, client: &Arc<Self::Client>, answer: Event) {
        let _ = (client, answer);
    }

    /// The client is not connected any more.
    fn closed(&self, client: &Arc<Self::Client>, reason: CloseReason);

    /// A client with recovery has processed these events, in this order.
    fn processed(&self, client: &Arc<Self::Client>, events: &[Offset]) {
        let _ = (client, events);
    }

    /// A client answered a ping: this is how far it is behind.
    fn lag(&self, client: &Arc<Self::Client>, lag: Duration) {
        let _ = (client, lag);
    }
}

/// A client that wants to connect.
pub struct Connect<'a, O> {
    /// The session's first request, as the application knows it.
    pub opening: &'a O,
    /// The namespace.
    pub namespace: &'a str,
    /// What the client brings; `None` if it brings nothing.
    pub auth: Option<Result<Value, serde_json::Error>>,
    /// The way to the client.
    pub socket: Socket,
}

/// The application accepts a client.
pub struct Connected<C> {
    /// What the application knows of it.
    pub client: Arc<C>,
    /// Its id in the namespace; it may be that of a session before.
    pub id: String,
    /// What a stock client brings the next time, to recover; `None` if it cannot.
    pub pid: Option<String>,
}

/// The application refuses a client.
#[derive(Debug)]
pub enum Refusal {
    /// The client learns why. A stock client stays away until its application connects it again.
    Answer {
        /// `err.message`.
        message: String,
        /// `err.data`.
        data: Option<Value>,
    },
    /// The session ends without an answer. A stock client comes back by itself. A poll that waits gets this answer.
    Close(Option<Box<Answer>>),
}

/// An event of a client, or its answer to one of the server.
#[derive(Debug)]
pub struct Event {
    /// The JSON text of the array: the event's name, then its arguments. With attachments it has placeholders.
    pub array: EventText,
    /// Binary attachments.
    pub attachments: VecDeque<Bytes>,
    /// The number for the answer, if the client wants one; in an answer the number of the question.
    pub id: Option<i64>,
}

/// The text of an event, shared with the message that brought it.
#[derive(Debug, Clone)]
pub struct EventText(pub(crate) engineioxide_core::Str);

impl std::ops::Deref for EventText {
    type Target = str;

    fn deref(&self) -> &str {
        self.0.as_str()
    }
}

/// The text is not a JSON array that begins with the name of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

/// Why a packet was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The client reads slower than it is sent to: no more bytes wait for it.
    #[error("the client is a slow consumer")]
    SlowConsumer,
    /// The session is over.
    #[error("the session is over")]
    Closed,
}

/// Why a client is not connected any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseReason {
    /// The connection is gone.
    TransportClose,
    /// The client did not answer a ping in time.
    PingTimeout,
    /// The client did not keep to the protocol.
    ParseError,
    /// Two polls of the session ran at the same time, or two POSTs.
    MultiplePolls,
    /// The client connected to no namespace in time.
    ConnectTimeout,
    /// The client reads slower than it is sent to.
    SlowConsumer,
    /// The client left the namespace.
    ClientDisconnect,
    /// The server disconnected the client from the namespace.
    ServerDisconnect,
    /// The server closed the session.
    ServerClose,
    /// The server stops. Over polling no packet says so, because clients of some makes would stay away.
    ServerDrain,
}

/// The way to one client in one namespace. Cheap to clone.
#[derive(Clone)]
pub struct Socket {
    outbox: Arc<Outbox>,
    session: Arc<str>,
    namespace: Arc<str>,
    /// Weak, because the session owns the client that owns this.
    leaves: Weak<dyn Leave>,
}

/// A session that takes its client out of a namespace.
pub(crate) trait Leave: Send + Sync {
    /// The client is in the namespace no more.
    fn leave(&self, namespace: &str);
}

/// What carries a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carrier {
    /// The client polls over HTTP.
    Polling,
    /// A websocket.
    Websocket,
}

impl Socket {
    pub(crate) const fn new(
        outbox: Arc<Outbox>,
        session: Arc<str>,
        namespace: Arc<str>,
        leaves: Weak<dyn Leave>,
    ) -> Self {
        Self { outbox, session, namespace, leaves }
    }

    /// The id of the session. Whoever knows it can poll in the client's place.
    #[must_use]
    pub const fn session(&self) -> &Arc<str> {
        &self.session
    }

    /// The namespace.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Sends a packet. Packets arrive in the order of these calls. Never waits.
    ///
    /// # Errors
    /// [`SendError`]; then nothing of the packet is sent.
    pub fn send(&self, packet: &Packet) -> Result<(), SendError> {
        self.outbox.send(packet)
    }

    /// Sends several packets in their order, or none of them if `left` is set. It is looked at under the lock that puts
    /// packets into their order, so whatever is sent after `left` was set comes after the last of these packets.
    ///
    /// # Errors
    /// [`SendError`]; then some of the packets may be sent.
    pub fn send_each(&self, packets: &[&Packet], left: &AtomicBool) -> Result<Sent, SendError> {
        self.outbox.send_each(packets, Some(left))
    }

    /// Waits until fewer than so many bytes wait for the client of packets that are [counted
    /// apart](Packet::counted_apart), or the session is over.
    pub async fn has_room_apart(&self, bytes_max: usize) {
        self.outbox.room_apart(bytes_max).await;
    }

    /// Drops the packets of a group of slots that wait.
    pub fn forget(&self, group: u64) {
        self.outbox.forget(group);
    }

    /// From now on events end with the offset that a client with recovery keeps. Call it before the client is connected.
    pub fn keeps_offsets(&self) {
        self.outbox.recovers();
    }

    /// The events that a client with recovery may or may not have processed, in the order in which they were written. What
    /// it has processed for certain, [`Handler::processed`] was told.
    #[must_use]
    pub fn unanswered(&self) -> Vec<Offset> {
        self.outbox.unanswered()
    }

    /// Disconnects the client from the namespace, behind what was sent before. A stock client stays away. Calls
    /// [`Handler::closed`].
    ///
    /// # Errors
    /// [`SendError`].
    pub fn disconnect(&self) -> Result<(), SendError> {
        self.outbox.send(&Packet::disconnected(&self.namespace))?;
        if let Some(session) = self.leaves.upgrade() {
            session.leave(&self.namespace);
        }
        Ok(())
    }

    /// Ends the session as soon as the client has what was sent before. A stock client comes back.
    pub fn finish(&self, reason: CloseReason) {
        self.outbox.finish(reason);
    }

    /// Ends the session at once, even if the client reads nothing. A stock client comes back.
    pub fn cut(&self, reason: CloseReason) {
        self.outbox.over(reason);
    }

    /// How much waits for the client.
    #[must_use]
    pub fn waiting(&self) -> Waiting {
        self.outbox.backlog()
    }

    /// What carries the session now.
    #[must_use]
    pub fn carrier(&self) -> Carrier {
        if self.outbox.is_websocket() { Carrier::Websocket } else { Carrier::Polling }
    }
}
