//! The admission in front of the transport: refuses new sessions that cannot be served, notes which TCP connection
//! carries an upgraded session, and ends the polling of a session that was cut.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::connections::Barred;
use super::link::EngineId;
use super::origin_address::Addresses;
use super::socketio::SESSION_TIMEOUT;
use super::{Peer, Realtime, timed_body};
use tidegate_core::flow::{Gates, Handshake};
use tidegate_core::protocol::{Code, Refusal};
use tidegate_core::telemetry;

/// Longest body of a refusal by the transport itself.
const REFUSAL_BYTES_MAX: usize = 1024;

/// Lets a transport request through, or answers it.
///
/// A new session that cannot be served now gets a 503 and not a Socket.IO refusal: the stock client tries again by
/// itself after a failed transport, but never after a `connect_error`.
pub(super) async fn admit(
    State((realtime, gates, addresses)): State<(Arc<Realtime>, Arc<Gates>, Arc<Addresses>)>,
    request: Request,
    next: Next,
) -> Response {
    let (parts, body) = request.into_parts();
    let (body, arrival) = timed_body::in_time(body, realtime.limits.body_timeout);
    let response = pass(&realtime, &gates, &addresses, Request::from_parts(parts, body), next).await;
    if arrival.is_late() { late() } else { response }
}

async fn pass(
    realtime: &Arc<Realtime>,
    gates: &Gates,
    addresses: &Addresses,
    request: Request,
    next: Next,
) -> Response {
    let query = request.uri().query().unwrap_or_default();
    let peer = request.extensions().get().map(|ConnectInfo(peer): &ConnectInfo<Peer>| peer.address().ip());
    let Some(session) = query_value(query, "sid") else {
        let address = peer.and_then(|peer| addresses.of(peer, request.headers()));
        return match realtime.refuse_new_session(gates, address) {
            Err(refusal) => {
                telemetry::connection_refused(refusal.code.as_str());
                come_back(&refusal)
            }
            Ok(()) => next.run(request).await,
        };
    };
    let session = EngineId::new(session);
    if let Some(why) = realtime.connections.barred(&session) {
        return barred(why);
    }
    let connection = realtime.connections.get(&session);
    // Gate 1 checks the page that began the session. Later requests with the session's id must not come from another
    // page.
    let is_foreign = !gates.admits_page(&page(addresses, peer, request.headers()));
    if is_foreign && connection.is_some() {
        telemetry::connection_refused(Code::Forbidden.as_str());
        return StatusCode::FORBIDDEN.into_response();
    }
    let polls = query_value(query, "transport") != Some("websocket");
    let takes = polls && request.method() == Method::GET;
    if !polls && let Some(ConnectInfo(peer)) = request.extensions().get::<ConnectInfo<Peer>>() {
        realtime.kill_switches.bind(&session, peer.switch());
    }
    let Some(connection) = connection else {
        // Gate 1 refuses it, and a client that asked from there from the beginning gets a code.
        let mark = is_foreign.then(|| realtime.foreign_pages.mark(session.clone()));
        let response = next.run(request).await;
        if let Some(mark) = mark.filter(|_| !response.status().is_client_error()) {
            mark.keep(realtime.limits.handshake_timeout.max(SESSION_TIMEOUT));
        }
        // A gate refused it meanwhile, but may accept it later: this poll would return a `connect_error`.
        return match realtime.connections.barred(&session) {
            Some(why) => barred(why),
            None => explained(response).await,
        };
    };
    let response = tokio::select! {
        // Whatever is ready for the client goes out first: the message that the server drains, and the close itself.
        biased;
        response = next.run(request) => response,
        () = connection.was_cut() => session_unknown(),
    };
    if takes && realtime.drain.is_announced() {
        connection.note_drain_heard();
    }
    response
}

/// The origin that a request names.
fn page(addresses: &Addresses, peer: Option<IpAddr>, headers: &HeaderMap) -> Handshake {
    let origin = headers.get(header::ORIGIN).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    Handshake { origin, host: addresses.host(peer, headers), ..Handshake::default() }
}

/// The answer to a connection beyond `limits.tcp_connections`.
pub(super) fn full() -> Response {
    come_back(&Refusal::because(Code::Unavailable, "the limit of connections is reached, try again later"))
}

/// The answer when a body did not arrive in time. The connection ends, because only the rest of the body could follow.
fn late() -> Response {
    let headers = [("connection", "close"), ("content-type", "application/json")];
    let body = r#"{"error":{"code":"request_timeout","message":"the body did not arrive in time"}}"#;
    (StatusCode::REQUEST_TIMEOUT, headers, body).into_response()
}

/// A refusal after which the stock client tries again by itself.
fn come_back(refusal: &Refusal) -> Response {
    let body = serde_json::json!({ "error": refusal }).to_string();
    let headers = [("content-type", "application/json"), ("retry-after", "1")];
    (StatusCode::SERVICE_UNAVAILABLE, headers, body).into_response()
}

fn barred(why: Barred) -> Response {
    match why {
        Barred::Ended => session_unknown(),
        Barred::Refused(code) => come_back(&code.into()),
    }
}

/// Explains `Session ID unknown`: without sticky sessions a load balancer sends each poll to another node and the
/// client never connects.
async fn explained(response: Response) -> Response {
    if response.status() != StatusCode::BAD_REQUEST {
        return response;
    }
    let (parts, body) = response.into_parts();
    let bytes = axum::body::to_bytes(body, REFUSAL_BYTES_MAX).await.unwrap_or_default();
    if String::from_utf8_lossy(&bytes).contains("Session ID unknown") {
        telemetry::session_unknown();
        return session_unknown();
    }
    Response::from_parts(parts, bytes.into())
}

/// The answer to a request of an unknown session: the client begins a new one.
/// <https://github.com/socketio/socket.io/tree/main/docs/engine.io-protocol>
fn session_unknown() -> Response {
    let body = r#"{"code":1,"message":"Session ID unknown: it has ended, or it belongs to another node. A load balancer in front of several nodes needs sticky sessions, or clients must connect with transports: [\"websocket\"]"}"#;
    (StatusCode::BAD_REQUEST, [("content-type", "application/json")], body).into_response()
}

fn query_value<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name).map(|(_, value)| value)
}

impl Realtime {
    fn refuse_new_session(&self, gates: &Gates, address: Option<IpAddr>) -> Result<(), Refusal> {
        if gates.is_draining() {
            return Err(Code::Draining.into());
        }
        if self.connections.count() >= self.limits.connections_max {
            return Err(Code::Unavailable.into());
        }
        if !self.failed_logins.admits(address) {
            return Err(Refusal::because(Code::RateLimited, "too many failed logins, try again in a minute"));
        }
        Ok(())
    }
}
