//! The admission of new sessions, before a client says who it is, and the answers to requests that get none from the
//! transport.

use std::net::IpAddr;

use axum::body::Bytes;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode};
use tidegate_transport::Answer;

use super::Realtime;
use super::handshake;
use super::origin_address::Addresses;
use tidegate_core::flow::{Gates, Handshake, OwnEvent};
use tidegate_core::protocol::{Code, Refusal};
use tidegate_core::telemetry::{self, Gate};

/// The page that sent a request, as far as its headers tell.
pub(super) fn page(addresses: &Addresses, peer: Option<IpAddr>, headers: &HeaderMap) -> Handshake {
    Handshake { host: addresses.host(peer, headers), ..handshake::page(headers) }
}

/// The answer to a connection beyond `limits.tcp_connections`.
pub(super) fn full() -> Answer {
    come_back(&Refusal::because(Code::Unavailable, "the limit of connections is reached, try again later"))
}

/// A refusal after which the stock client tries again by itself: a 503 and not a Socket.IO refusal, because the client
/// never tries again after a `connect_error`.
pub(super) fn come_back(refusal: &Refusal) -> Answer {
    let mut answer = answer(StatusCode::SERVICE_UNAVAILABLE, serde_json::json!({ "error": refusal }).to_string());
    answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    answer
}

/// The answer to a request of an unknown session: the client begins a new one.
/// <https://socket.io/docs/v4/engine-io-protocol/>
///
/// It explains itself: without sticky sessions a load balancer sends each poll to another node, and the client never
/// connects.
pub(super) fn session_unknown() -> Answer {
    let body = r#"{"code":1,"message":"Session ID unknown: it has ended, or it belongs to another node. A load balancer in front of several nodes needs sticky sessions, or clients must connect with transports: [\"websocket\"]"}"#;
    answer(StatusCode::BAD_REQUEST, body)
}

/// An answer in JSON.
pub(super) fn answer(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(body.into().into());
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

impl Realtime {
    pub(super) fn refuse_new_session(&self, gates: &Gates, address: Option<IpAddr>) -> Result<(), Refusal> {
        if gates.is_draining() {
            return Err(Code::Draining.into());
        }
        let judged = self.has_room_for(address);
        if let Err(Refusal { code, .. }) = &judged {
            let (gate, channel) = (Gate::Connect, telemetry::NO_CHANNEL);
            gates.saw(OwnEvent::GateRefused { gate, code: *code, channel, user: None, connection: None, origin: None });
        }
        judged
    }

    fn has_room_for(&self, address: Option<IpAddr>) -> Result<(), Refusal> {
        if self.connections.count() >= self.limits.connections_max {
            return Err(Code::Unavailable.into());
        }
        if !self.failed_logins.admits(address) {
            return Err(Refusal::because(Code::RateLimited, "too many failed logins, try again in a minute"));
        }
        Ok(())
    }
}
