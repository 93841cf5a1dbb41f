//! Socket.IO on socketioxide: the engine's settings, gate 1 at the handshake, incoming events, the outgoing link.

use std::sync::{Arc, Weak};
use std::time::Duration;

use axum::extract::ConnectInfo;
use axum::http::{HeaderName, header};
use serde::ser::{Serialize, SerializeTuple, Serializer};
use serde_json::value::RawValue;
use socketioxide::adapter::LocalAdapter;
use socketioxide::extract::{AckSender, SocketRef, TryData};
use socketioxide::handler::{ConnectHandler, FromConnectParts, FromMessageParts, MessageHandler, Value};
use socketioxide::socket::{DisconnectReason, Socket};
use socketioxide::{SendError, SocketError, SocketIo, TransportType};

use super::Peer;
use super::Realtime;
use super::answer::AckSlot;
use super::connections::{Barred, Connection};
use super::cors;
use super::door;
use super::endings::revoked;
use super::lanes::Lanes;
use super::link::{Link, LinkError};
use super::origin_address::Addresses;
use super::wires::{SessionId, Wires};
use tidegate_core::config::Auth;
use tidegate_core::flow::{Gates, Handshake, Session};
use tidegate_core::protocol::{Code, ConnectionId, Refusal};
use tidegate_core::telemetry;

/// Which page made the browser send this. <https://www.w3.org/TR/fetch-metadata/#sec-fetch-site-header>
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const PING_INTERVAL: Duration = Duration::from_secs(25);
const PING_TIMEOUT: Duration = Duration::from_secs(20);
/// A session that is silent for this long has ended.
pub(super) const SESSION_TIMEOUT: Duration = PING_INTERVAL.saturating_add(PING_TIMEOUT);
/// How long a refused client that may come back waits for the end of its transport. For the stock client an opened
/// transport is a success, after which it waits at most a second, however often that happens. A longer wait would delay
/// clients that could be accepted by now.
const RETRY_HELD_BACK: Duration = Duration::from_secs(2);
const WS_READ_BUFFER_BYTES: usize = 4 * 1024;

/// The Socket.IO server.
pub(super) struct Transport {
    io: SocketIo,
}

impl Transport {
    /// The server, and the routes that it answers.
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
            move |socket: Raw, auth: TryData<serde_json::Value>| async move { entrance.admit(&socket.0, auth).await }
        };
        // The root namespace only: other namespaces would be created before any gate is asked.
        io.ns("/", (move |socket: SocketRef| async move { entrance.opened(&socket) }).with(admit));
        let routes = axum::Router::new()
            .route_service("/socket.io/", service)
            .layer(axum::middleware::from_fn_with_state(
                (Arc::clone(realtime), Arc::clone(gates), addresses),
                door::door,
            ))
            .layer(cors::layer(gates, auth.cors_headers.as_deref()));
        (Self { io }, routes)
    }

    /// Closes every transport once everything queued for it is written. Waits for ever on a peer that does not read.
    pub(super) async fn close(&self) {
        self.io.close().await;
    }
}

/// Receives new connections.
#[derive(Clone)]
struct Entrance {
    realtime: Arc<Realtime>,
    gates: Arc<Gates>,
    addresses: Arc<Addresses>,
}

/// Only the code: the transport sends it as `err.message`.
struct Refused(Code);

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.as_str())
    }
}

impl Entrance {
    /// Gate 1. The handlers are registered here and not later: otherwise the client's first events may come before
    /// there is a handler.
    async fn admit(&self, socket: &Arc<Socket>, auth: TryData<serde_json::Value>) -> Result<(), Refused> {
        let transport = SessionId::new(socket.id.to_string());
        let id = ConnectionId::new(uuid::Uuid::new_v4().simple().to_string());
        if socket.transport_type() == TransportType::Websocket
            && let Some(ConnectInfo(peer)) = socket.req_parts().extensions.get::<ConnectInfo<Peer>>()
        {
            self.realtime.wires.bind(&transport, peer.switch());
        }
        let parts = socket.req_parts();
        let peer = parts.extensions.get().map(|ConnectInfo(peer): &ConnectInfo<Peer>| peer.address().ip());
        let address = peer.and_then(|peer| self.addresses.of(peer, &parts.headers));
        let handshake = Handshake { host: self.addresses.host(peer, &parts.headers), ..handshake(socket, auth.0.ok()) };
        let judged = if self.realtime.foreign.has_touched(&transport) {
            Err(Code::Forbidden.into())
        } else {
            self.gates.connect(&id, &handshake).await
        };
        let admission = match judged {
            Ok(admission) => admission,
            Err(Refusal { code, .. }) => {
                if code == Code::Unauthenticated && handshake.has_credential() {
                    self.realtime.failures.note(address);
                }
                telemetry::auth_failed(Some(id.as_str()), code.as_str(), handshake.origin.as_deref());
                return Err(self.refuse(&transport, code).await);
            }
        };
        let wires = Arc::clone(&self.realtime.wires);
        let link = SocketIoLink { socket: Arc::downgrade(socket), session: transport.clone(), wires };
        let lanes = Lanes::new(self.realtime.limits.inbound_queue_max, self.realtime.tasks.clone());
        let connection = Connection::new(transport, Session::admitted(id, admission), lanes, link);
        let connection = Arc::new(connection.at(address));
        socket.extensions.insert(Arc::clone(&connection));
        let inbound = Inbound { entrance: self.clone(), connection: Arc::clone(&connection) };
        socket.on_fallback(inbound);
        let (realtime, gates) = (Arc::clone(&self.realtime), Arc::clone(&self.gates));
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

    /// Makes the client come back later if that may help: the stock client does so after a closed transport, never
    /// after a `connect_error`.
    async fn refuse(&self, transport: &SessionId, code: Code) -> Refused {
        telemetry::connection_refused(code.as_str());
        if code.retry() {
            if code != Code::Draining {
                tokio::time::sleep(RETRY_HELD_BACK).await;
            }
            if self.realtime.wires.carries(transport) {
                self.realtime.wires.cut(transport);
            } else {
                self.realtime.connections.bar(transport.clone(), Barred::Refused(code), SESSION_TIMEOUT);
            }
        }
        Refused(code)
    }

    /// The client knows that it is connected. This runs concurrently with the disconnect handler, in any order; the
    /// session says which came first.
    fn opened(&self, socket: &SocketRef) {
        let Some(connection) = socket.extensions.get::<Arc<Connection>>() else { return };
        self.realtime.connections.insert(Arc::clone(&connection));
        telemetry::connection_opened();
        let user = connection.session.user();
        let user = user.as_ref().map(|user| user.id.as_str());
        let transport = match socket.transport_type() {
            TransportType::Websocket => "websocket",
            TransportType::Polling => "polling",
        };
        telemetry::connected(connection.id().as_str(), user, transport);
        self.realtime.announcer.came(&self.gates, &connection);
        if connection.session.is_closed() {
            return self.realtime.forget(&self.gates, &connection, "transport_close");
        }
        // While gate 1 was asked.
        if self.realtime.foreign.has_touched(&connection.transport) {
            return self.realtime.dismiss(&self.gates, &connection, &revoked(Code::Forbidden), "revoked");
        }
        self.realtime.know(&self.gates, &connection);
    }
}

fn handshake(socket: &Socket, auth: Option<serde_json::Value>) -> Handshake {
    let headers = &socket.req_parts().headers;
    // A header that is not text is a credential that no provider recognises, and not a missing one.
    let header = |name| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let token = match auth {
        Some(serde_json::Value::Null) => None,
        Some(serde_json::Value::Object(mut auth)) => match auth.remove("token") {
            None | Some(serde_json::Value::Null) => None,
            Some(serde_json::Value::String(token)) => Some(token),
            Some(other) => Some(other.to_string()),
        },
        // An `auth` that cannot be read, or is not an object, is a bad credential and not a missing one.
        Some(_) | None => Some("?".to_owned()),
    };
    Handshake {
        token,
        authorization: header(header::AUTHORIZATION),
        cookie: header(header::COOKIE),
        origin: header(header::ORIGIN),
        fetch_site: header(FETCH_SITE),
        ..Handshake::default()
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
    fn call(&self, socket: Arc<Socket>, mut value: Value, ack_id: Option<i64>) {
        let ack = ack_id.map(|_| {
            let Ok(sender) = AckSender::<LocalAdapter>::from_message_parts(&socket, &mut value, &ack_id);
            Box::new(move |ack: &_| sender.send(ack).map_err(|error| link_error(&error))) as AckSlot
        });
        let packet = match &value {
            Value::Str(text, None) => Ok(text.as_str()),
            Value::Str(_, Some(_)) | Value::Bytes(_) => {
                Err(Refusal::because(Code::InvalidPayload, "binary payloads are not supported: a payload must be JSON"))
            }
        };
        self.entrance.realtime.take(&self.entrance.gates, &self.connection, packet, ack);
    }
}

/// One client on Socket.IO.
struct SocketIoLink {
    /// Weak, because the socket's handlers own the connection that owns this link.
    socket: Weak<Socket>,
    session: SessionId,
    wires: Arc<Wires>,
}

impl Link for SocketIoLink {
    fn emit(&self, event: &str, args: &[&RawValue]) -> Result<(), LinkError> {
        let socket = self.socket.upgrade().ok_or(LinkError::Closed)?;
        socket.emit(event, &Spread(args)).map_err(|error| link_error(&error))
    }

    fn disconnect(&self) -> Result<(), LinkError> {
        let socket = self.socket.upgrade().ok_or(LinkError::Closed)?;
        socket.disconnect().map_err(|_full| LinkError::Full)
    }

    fn kill(&self) {
        // A polling session has no wire of its own; the door ends it.
        self.wires.cut(&self.session);
    }
}

fn link_error(error: &SendError) -> LinkError {
    match error {
        SendError::Socket(SocketError::InternalChannelFull) => LinkError::Full,
        SendError::Socket(SocketError::Closed) => LinkError::Closed,
        SendError::Serialize(error) => {
            tracing::error!(%error, "an answer cannot be serialised");
            LinkError::Closed
        }
    }
}

/// Several arguments, serialised like a tuple for the transport.
struct Spread<'a>(&'a [&'a RawValue]);

impl Serialize for Spread<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut tuple = serializer.serialize_tuple(self.0.len())?;
        for arg in self.0 {
            tuple.serialize_element(arg)?;
        }
        tuple.end()
    }
}
