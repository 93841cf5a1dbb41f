//! Socket.IO on socketioxide: the engine's settings, incoming events, and the link to each client. The only file that
//! names socketioxide.

use std::sync::{Arc, Weak};
use std::time::Duration;

use serde::ser::{Serialize, SerializeTuple, Serializer};
use socketioxide::adapter::LocalAdapter;
use socketioxide::extract::{AckSender, SocketRef, TryData};
use socketioxide::handler::{ConnectHandler, FromConnectParts, FromMessageParts, MessageHandler, Value};
use socketioxide::socket::{DisconnectReason, Socket};
use socketioxide::{SendError, SocketError, SocketIo, TransportType};

use super::Realtime;
use super::admission;
use super::connections::Connection;
use super::cors;
use super::frame::{AckId, Frame};
use super::handshake::{Carrier, Entrance, NewClient};
use super::kill_switch::KillSwitches;
use super::link::{EngineId, Link, WriteError};
use super::origin_address::Addresses;
use tidegate_core::config::Auth;
use tidegate_core::flow::Gates;
use tidegate_core::protocol::{Code, Refusal};

const PING_INTERVAL: Duration = Duration::from_secs(25);
const PING_TIMEOUT: Duration = Duration::from_secs(20);
/// A session that is silent for this long has ended.
pub(super) const SESSION_TIMEOUT: Duration = PING_INTERVAL.saturating_add(PING_TIMEOUT);
const WS_READ_BUFFER_BYTES: usize = 4 * 1024;

/// The Socket.IO server.
pub(super) struct Transport {
    io: SocketIo,
}

impl Transport {
    /// The server, and the routes it answers.
    pub(super) fn new(realtime: &Arc<Realtime>, gates: &Arc<Gates>, auth: &Auth) -> (Self, axum::Router) {
        let limits = &realtime.limits;
        let (service, io) = SocketIo::builder()
            .max_buffer_size(limits.outbound_queue_max)
            .max_payload(limits.frame_bytes_max as u64)
            .ws_max_message_size(limits.frame_bytes_max)
            .ws_max_frame_size(limits.frame_bytes_max)
            .ws_read_buffer_size(WS_READ_BUFFER_BYTES)
            .ping_interval(PING_INTERVAL)
            .ping_timeout(PING_TIMEOUT)
            .connect_timeout(limits.handshake_timeout)
            .upgrade_timeout(limits.handshake_timeout)
            .build_svc();
        let addresses = Arc::new(Addresses::new(auth));
        let entrance =
            Entrance { realtime: Arc::clone(realtime), gates: Arc::clone(gates), addresses: Arc::clone(&addresses) };
        let admit = {
            let entrance = entrance.clone();
            move |socket: Raw, auth: TryData<serde_json::Value>| async move {
                admit(&entrance, &socket.0, auth.0.ok()).await.map_err(Refused)
            }
        };
        let opened = move |socket: SocketRef| async move {
            if let Some(connection) = socket.extensions.get::<Arc<Connection>>() {
                entrance.opened(connection, carrier(&socket));
            }
        };
        // The root namespace only: others would be made before any gate has been asked.
        io.ns("/", opened.with(admit));
        let routes = axum::Router::new()
            .route_service("/socket.io/", service)
            .layer(axum::middleware::from_fn_with_state(
                (Arc::clone(realtime), Arc::clone(gates), addresses),
                admission::admit,
            ))
            .layer(cors::layer(gates, auth.cors_headers.as_deref()));
        (Self { io }, routes)
    }

    /// Closes every transport once what is queued for it is written. Waits for ever on a peer that does not read.
    pub(super) async fn close(&self) {
        self.io.close().await;
    }
}

/// Takes a new client through gate 1. The handlers are registered here and not later: otherwise the client's first
/// events may come before there is a handler.
async fn admit(entrance: &Entrance, socket: &Arc<Socket>, auth: Option<serde_json::Value>) -> Result<(), Code> {
    let engine = EngineId::new(socket.id.to_string());
    let kill_switches = Arc::clone(&entrance.realtime.kill_switches);
    let link = SocketIoLink { socket: Arc::downgrade(socket), engine: engine.clone(), kill_switches };
    let client = NewClient { engine, carrier: carrier(socket), request: socket.req_parts(), auth };
    let connection = entrance.admit(client, link).await?;
    socket.extensions.insert(Arc::clone(&connection));
    socket.on_fallback(Inbound { entrance: entrance.clone(), connection: Arc::clone(&connection) });
    let (realtime, gates) = (Arc::clone(&entrance.realtime), Arc::clone(&entrance.gates));
    // This closure takes nothing that can fail, and cannot fail: otherwise the transport would keep the socket for
    // ever.
    socket.on_disconnect(move |reason: DisconnectReason| async move {
        match reason {
            DisconnectReason::ClientNSDisconnect => realtime.hang_up(&gates, &connection, reason_label(reason)),
            _ => realtime.forget(&gates, &connection, reason_label(reason)),
        }
    });
    Ok(())
}

/// Only the code: the transport sends it as `err.message`.
struct Refused(Code);

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.as_str())
    }
}

fn carrier(socket: &Socket) -> Carrier {
    match socket.transport_type() {
        TransportType::Websocket => Carrier::Websocket,
        TransportType::Polling => Carrier::Polling,
    }
}

const fn reason_label(reason: DisconnectReason) -> &'static str {
    match reason {
        DisconnectReason::TransportClose => "transport_close",
        DisconnectReason::MultipleHttpPollingError => "multiple_polls",
        DisconnectReason::PacketParsingError => "parse_error",
        DisconnectReason::TransportError => "transport_error",
        DisconnectReason::HeartbeatTimeout => "ping_timeout",
        DisconnectReason::ClientNSDisconnect => "client_disconnect",
        DisconnectReason::ServerNSDisconnect => "server_disconnect",
        DisconnectReason::ClosingServer => "server_close",
    }
}

/// The socket itself, to which a link needs a weak reference.
struct Raw(Arc<Socket>);

impl FromConnectParts<LocalAdapter> for Raw {
    type Error = std::convert::Infallible;

    fn from_connect_parts(socket: &Arc<Socket>, _auth: &Option<Value>) -> Result<Self, Self::Error> {
        Ok(Self(Arc::clone(socket)))
    }
}

/// Every event of one connection. The task that reads the transport calls it in order, so it never waits.
struct Inbound {
    entrance: Entrance,
    connection: Arc<Connection>,
}

impl MessageHandler<LocalAdapter, ()> for Inbound {
    fn call(&self, _socket: Arc<Socket>, value: Value, ack_id: Option<i64>) {
        let packet = match &value {
            Value::Str(text, None) => Ok(text.as_str()),
            Value::Str(_, Some(_)) | Value::Bytes(_) => {
                Err(Refusal::because(Code::InvalidPayload, "binary payloads are not supported: a payload must be JSON"))
            }
        };
        self.entrance.realtime.receive(&self.entrance.gates, &self.connection, packet, ack_id.map(AckId));
    }
}

/// One client on Socket.IO. socketioxide writes the packet of each client by itself, so clients share the texts of a
/// frame and each packet is a copy of them.
struct SocketIoLink {
    /// Weak, because the socket's handlers own the connection that owns this link.
    socket: Weak<Socket>,
    engine: EngineId,
    kill_switches: Arc<KillSwitches>,
}

impl Link for SocketIoLink {
    fn write(&self, frame: &Frame) -> Result<(), WriteError> {
        let socket = self.socket.upgrade().ok_or(WriteError::Closed)?;
        match frame {
            Frame::Event(event) => socket.emit(&event.name, &Spread(&event.args)),
            Frame::Ack(AckId(id), answer) => ack_sender(&socket, *id).send(&Spread(&[answer])),
            Frame::Disconnect => return socket.disconnect().map_err(|_full| WriteError::NotReady),
        }
        .map_err(|error| write_error(&error))
    }

    fn kill(&self) {
        // A polling session has no TCP connection of its own; its next request is answered that it has ended.
        self.kill_switches.cut(&self.engine);
    }
}

/// The library makes one only from the parts of the event that it answers, of which it uses no more than these two.
fn ack_sender(socket: &Arc<Socket>, id: i64) -> AckSender {
    let Ok(sender) = AckSender::from_message_parts(socket, &mut Value::Str("".into(), None), &Some(id));
    sender
}

fn write_error(error: &SendError) -> WriteError {
    match error {
        SendError::Socket(SocketError::InternalChannelFull) => WriteError::NotReady,
        SendError::Socket(SocketError::Closed) => WriteError::Closed,
        SendError::Serialize(error) => {
            tracing::error!(%error, "a frame cannot be serialised");
            WriteError::Closed
        }
    }
}

/// Several arguments, serialised like a tuple for the transport.
struct Spread<'a, T>(&'a [T]);

impl<T: Serialize> Serialize for Spread<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut tuple = serializer.serialize_tuple(self.0.len())?;
        for arg in self.0 {
            tuple.serialize_element(arg)?;
        }
        tuple.end()
    }
}
