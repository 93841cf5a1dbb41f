//! The handshake: what a client brings goes through gate 1, and a connection comes out of it or a refusal. This file
//! knows nothing of the transport.

use std::net::IpAddr;
use std::sync::Arc;

use axum::http::{HeaderMap, HeaderName, header};
use serde_json::Value;

use super::Realtime;
use super::comeback::Wish;
use super::connections::{Arrival, Connection};
use super::handler::Entrance;
use super::inbound_queue::InboundQueue;
use super::link::Link;
use super::visitor::new_id;
use tidegate_core::flow::{Gates, Handshake, OwnEvent, Session};
use tidegate_core::protocol::{Code, ConnectionId, Refusal};
use tidegate_core::telemetry::{self, Gate};

/// Which page had a browser send this. <https://www.w3.org/TR/fetch-metadata/#sec-fetch-site-header>
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// A client that wants to connect.
pub(super) struct NewClient {
    pub(super) handshake: Handshake,
    /// Its address, if known.
    pub(super) address: Option<IpAddr>,
    /// A page of a foreign origin has used its session.
    pub(super) is_touched: bool,
    /// What it says about recovery.
    pub(super) wish: Wish,
}

impl Entrance {
    /// Gate 1.
    ///
    /// # Errors
    /// The refusal that the client gets, if its transport still lives.
    pub(super) async fn admit(&self, client: NewClient, link: impl Link + Clone) -> Result<Arc<Connection>, Refusal> {
        let NewClient { handshake, address, is_touched, wish } = client;
        let id = self.realtime.wanted(&wish).unwrap_or_else(new_id);
        let judged = if is_touched { Err(Code::Forbidden.into()) } else { self.gates.connect(&id, &handshake).await };
        let admission =
            judged.inspect_err(|refusal| self.realtime.note_refusal(&self.gates, &id, &handshake, address, refusal))?;
        let user = admission.user.clone();
        let arrival = Arrival::new(address, handshake.origin.as_deref(), self.gates.now_unix_ms());
        let connection = |id: Option<ConnectionId>, recovering| {
            let limits = &self.realtime.limits;
            let inbound = InboundQueue::new(limits.inbound_queue_max, self.realtime.drain.tasks.clone());
            let session = Session::admitted(id.unwrap_or_else(new_id), admission.clone());
            let connection = Connection::new(session, inbound, limits.outbound_bytes_max, link.clone());
            Arc::new(connection.from(arrival.clone()).with(recovering))
        };
        self.realtime.begin(&self.gates, wish, user.as_deref(), connection).await
    }
}

impl Realtime {
    /// Gate 1 refused a handshake: a credential that is not valid counts against its address.
    pub(super) fn note_refusal(
        &self,
        gates: &Gates,
        id: &ConnectionId,
        handshake: &Handshake,
        address: Option<IpAddr>,
        refusal: &Refusal,
    ) {
        if refusal.code == Code::Unauthenticated && handshake.has_credential() {
            self.failed_logins.note(address);
        }
        let (origin, host) = (handshake.origin.as_deref(), handshake.host.as_deref());
        telemetry::auth_failed(Some(id.as_str()), refusal.code.as_str(), origin, host);
        gates.saw(OwnEvent::GateRefused {
            gate: Gate::Connect,
            code: refusal.code,
            channel: telemetry::NO_CHANNEL,
            user: None,
            connection: Some(id.as_str()),
            origin,
        });
    }
}

/// What a request says of the page that sent it.
pub(super) fn page(headers: &HeaderMap) -> Handshake {
    Handshake { origin: text(headers, &header::ORIGIN), fetch_site: text(headers, &FETCH_SITE), ..Handshake::default() }
}

/// A header that is not text is one that nobody recognises, and not a missing one.
fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

/// What a request brings for gate 1, with Socket.IO's `auth`: `None` if it cannot be read, null if there is none.
pub(super) fn handshake(headers: &HeaderMap, auth: Option<Value>) -> Handshake {
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
        authorization: text(headers, &header::AUTHORIZATION),
        cookie: text(headers, &header::COOKIE),
        ..page(headers)
    }
}
