//! The handshake: what a client brings goes through gate 1, and a connection comes out of it or a refusal. This file
//! knows nothing of the transport.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::ConnectInfo;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, header};
use serde_json::Value;

use super::connections::{Barred, Connection};
use super::eviction::revoked;
use super::inbound_queue::InboundQueue;
use super::link::{EngineId, Link};
use super::origin_address::Addresses;
use super::socketio::SESSION_TIMEOUT;
use super::{Peer, Realtime};
use tidegate_core::flow::{Gates, Handshake, Session};
use tidegate_core::protocol::{Code, ConnectionId, Refusal};
use tidegate_core::telemetry;

/// Which page had a browser send this. <https://www.w3.org/TR/fetch-metadata/#sec-fetch-site-header>
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// How long a refused client that may come back waits for the end of its transport. For the stock client an opened
/// transport is a success, after which it waits at most a second, however often that happens. A longer wait would delay
/// clients that could be accepted by now.
const RETRY_HELD_BACK: Duration = Duration::from_secs(2);

/// Receives new clients from the transport.
#[derive(Clone)]
pub(super) struct Entrance {
    pub(super) realtime: Arc<Realtime>,
    pub(super) gates: Arc<Gates>,
    pub(super) addresses: Arc<Addresses>,
}

/// A client that wants to connect.
pub(super) struct NewClient<'a> {
    pub(super) engine: EngineId,
    /// What carries the session now.
    pub(super) carrier: Carrier,
    /// The request that began the session.
    pub(super) request: &'a Parts,
    /// Socket.IO's `auth`; `None` if it cannot be read.
    pub(super) auth: Option<Value>,
}

/// What carries a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Carrier {
    Polling,
    Websocket,
}

impl Carrier {
    const fn label(self) -> &'static str {
        match self {
            Self::Polling => "polling",
            Self::Websocket => "websocket",
        }
    }
}

impl Entrance {
    /// Gate 1.
    ///
    /// # Errors
    /// The code that the client gets, if its transport still lives.
    pub(super) async fn admit(&self, client: NewClient<'_>, link: impl Link) -> Result<Arc<Connection>, Code> {
        let NewClient { engine, carrier, request, auth } = client;
        let id = ConnectionId::new(uuid::Uuid::new_v4().simple().to_string());
        let peer: Option<&ConnectInfo<Peer>> = request.extensions.get();
        if carrier == Carrier::Websocket
            && let Some(ConnectInfo(peer)) = peer
        {
            self.realtime.kill_switches.bind(&engine, peer.switch());
        }
        let peer = peer.map(|ConnectInfo(peer)| peer.address().ip());
        let address = peer.and_then(|peer| self.addresses.of(peer, &request.headers));
        let host = self.addresses.host(peer, &request.headers);
        let handshake = Handshake { host, ..handshake(&request.headers, auth) };
        let judged = if self.realtime.foreign_pages.has_touched(&engine) {
            Err(Code::Forbidden.into())
        } else {
            self.gates.connect(&id, &handshake).await
        };
        let admission = match judged {
            Ok(admission) => admission,
            Err(Refusal { code, .. }) => {
                if code == Code::Unauthenticated && handshake.has_credential() {
                    self.realtime.failed_logins.note(address);
                }
                telemetry::auth_failed(Some(id.as_str()), code.as_str(), handshake.origin.as_deref());
                self.turn_away(&engine, code).await;
                return Err(code);
            }
        };
        let inbound = InboundQueue::new(self.realtime.limits.inbound_queue_max, self.realtime.drain.tasks.clone());
        Ok(Arc::new(Connection::new(engine, Session::admitted(id, admission), inbound, link).at(address)))
    }

    /// Makes the client come back later if that may help: the stock client does so after a closed transport, never
    /// after a `connect_error`.
    async fn turn_away(&self, engine: &EngineId, code: Code) {
        telemetry::connection_refused(code.as_str());
        if code.retry() {
            if code != Code::Draining {
                tokio::time::sleep(RETRY_HELD_BACK).await;
            }
            if self.realtime.kill_switches.carries(engine) {
                self.realtime.kill_switches.cut(engine);
            } else {
                self.realtime.connections.bar(engine.clone(), Barred::Refused(code), SESSION_TIMEOUT);
            }
        }
    }

    /// The client knows that it is connected. This runs concurrently with the end of the connection, in any order; the
    /// session says which came first.
    pub(super) fn opened(&self, connection: Arc<Connection>, carrier: Carrier) {
        self.realtime.connections.insert(Arc::clone(&connection));
        telemetry::connection_opened();
        let user = connection.session.user();
        let user = user.as_ref().map(|user| user.id.as_str());
        telemetry::connected(connection.id().as_str(), user, carrier.label());
        self.realtime.connection_events.opened(&self.gates, &connection);
        if connection.session.is_closed() {
            return self.realtime.forget(&self.gates, &connection, "transport_close");
        }
        // While gate 1 was asked.
        if self.realtime.foreign_pages.has_touched(&connection.engine) {
            return self.realtime.evict(&self.gates, &connection, &revoked(Code::Forbidden), "revoked");
        }
        self.realtime.register(&self.gates, &connection);
    }
}

fn handshake(headers: &HeaderMap, auth: Option<Value>) -> Handshake {
    // A header that is not text is a credential that no provider recognises, and not a missing one.
    let header = |name| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let token = match auth {
        Some(Value::Null) => None,
        Some(Value::Object(mut auth)) => match auth.remove("token") {
            None | Some(Value::Null) => None,
            Some(Value::String(token)) => Some(token),
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
