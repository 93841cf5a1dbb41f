//! Engine.IO 4 and Socket.IO 5 for stock clients. It knows sessions, packets and bytes; what they mean is for the
//! [`Handler`] of an application.
//!
//! The life of a session, in order:
//!
//! 1. `service` answers the HTTP requests: the first one opens a session, later ones name it. A client that polls sends
//!    packets by POST and gets them by GET (`polling`); a websocket is made from a GET (`upgrade`, `websocket`), at once
//!    or later in place of the polling.
//! 2. A `session` knows the namespaces of its client, and takes every packet of it. One task keeps its time; once a
//!    websocket carries it, this is the task that reads (`carry`).
//! 3. All that a client receives is a [`Packet`], encoded once for everybody, and goes through its one queue
//!    (`outbound`): whoever sends writes to an idle websocket itself.
//!
//! The protocols: <https://socket.io/docs/v4/engine-io-protocol/>, <https://socket.io/docs/v4/socket-io-protocol/>.

mod carry;
mod handler;
mod namespaces;
mod outbound;
mod packet;
mod polling;
mod service;
mod session;
mod settings;
mod upgrade;
mod websocket;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dashmap::DashMap;
use socketioxide_core::parser::ParseConfig;

pub use handler::{
    Answer, Carrier, CloseReason, Connect, Connected, Event, EventText, Handler, Malformed, Refusal, SendError, Socket,
};
pub use outbound::{Backlog, Offset, Overflow, Pushed, Sent, Waiting, Weight, Wire};
pub use packet::{Packet, Place, ROOT, Slot};
pub use service::Upgrading;
pub use settings::Settings;

use session::Session;

/// A Socket.IO server without a listener: it answers HTTP requests. Cheap to clone.
pub struct Transport<H: Handler>(Arc<Shared<H>>);

impl<H: Handler> Clone for Transport<H> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// What all sessions share.
struct Shared<H: Handler> {
    handler: H,
    settings: Arc<Settings>,
    parse_config: ParseConfig,
    sessions: DashMap<Arc<str>, Arc<Session<H>>>,
    /// Bytes that wait in all queues.
    waiting: Arc<AtomicUsize>,
}

impl<H: Handler> Transport<H> {
    /// A transport for this application.
    #[must_use]
    pub fn new(handler: H, settings: Settings) -> Self {
        let parse_config = ParseConfig {
            max_incoming_binary_buf_size: settings.payload_bytes_max,
            max_incoming_binaries: settings.attachments_max,
            ..ParseConfig::default()
        };
        let (sessions, waiting) = (DashMap::new(), Arc::default());
        Self(Arc::new(Shared { handler, settings: Arc::new(settings), parse_config, sessions, waiting }))
    }

    /// The application.
    #[must_use]
    pub fn handler(&self) -> &H {
        &self.0.handler
    }

    /// How many sessions are open.
    #[must_use]
    pub fn sessions_count(&self) -> usize {
        self.0.sessions.len()
    }

    /// How many bytes wait for all clients together.
    #[must_use]
    pub fn waiting_bytes(&self) -> usize {
        self.0.waiting.load(Ordering::Relaxed)
    }

    /// Ends every session at once, because the server stops. Clients come back.
    pub fn cut_all(&self) {
        for session in &self.0.sessions {
            session.outbox.over(CloseReason::ServerDrain);
        }
    }
}
