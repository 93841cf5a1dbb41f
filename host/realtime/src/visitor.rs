//! Clients that ask over plain HTTP, without a session of the transport: gate 1 judges them as it judges a handshake.

use std::net::IpAddr;
use std::sync::Arc;

use axum::http::request::Parts;
use serde_json::Value;
use tower_http::cors::CorsLayer;

use super::handshake::{handshake, page};
use super::origin_address::Addresses;
use super::{Peer, Realtime, cors};
use tidegate_core::config::Auth;
use tidegate_core::flow::{Gates, Handshake, Session};
use tidegate_core::protocol::{Code, ConnectionId, Refusal};
use tidegate_core::telemetry;

/// Takes visitors in.
#[derive(Clone)]
pub struct Visitors {
    pub(super) realtime: Arc<Realtime>,
    pub(super) gates: Arc<Gates>,
    addresses: Arc<Addresses>,
    cors_headers: Option<Vec<String>>,
}

impl Visitors {
    /// `auth` says which proxies are trusted and which headers pages may send. Failed logins count with those of
    /// `realtime`.
    #[must_use]
    pub fn new(realtime: &Arc<Realtime>, gates: &Arc<Gates>, auth: &Auth) -> Self {
        Self {
            realtime: Arc::clone(realtime),
            gates: Arc::clone(gates),
            addresses: Arc::new(Addresses::new(auth)),
            cors_headers: auth.cors_headers.clone(),
        }
    }

    /// Gate 1 for one request.
    ///
    /// # Errors
    /// As [`Gates::connect`]; `rate_limited` for an address with too many failed logins.
    pub async fn admit(&self, request: &Parts) -> Result<Session, Refusal> {
        let id = new_id();
        let (peer, address) = (Peer::ip_of(request), self.address(request));
        self.may_try(request)?;
        let host = self.addresses.host(peer, &request.headers);
        let handshake = Handshake { host, ..handshake(&request.headers, Some(Value::Null)) };
        let judged = self.gates.connect(&id, &handshake).await;
        let admission =
            judged.inspect_err(|refusal| self.realtime.note_refusal(&self.gates, &id, &handshake, address, refusal))?;
        Ok(Session::admitted(id, admission))
    }

    /// Whether the address of this request may show a credential now.
    ///
    /// # Errors
    /// `rate_limited` for an address with too many failed logins.
    pub fn may_try(&self, request: &Parts) -> Result<(), Refusal> {
        if self.realtime.failed_logins.admits(self.address(request)) {
            return Ok(());
        }
        Err(Refusal::because(Code::RateLimited, "too many failed logins, try again in a minute"))
    }

    /// A credential that gate 1 does not judge was wrong: it counts against its address like a failed login.
    pub fn note_failed(&self, request: &Parts) {
        self.realtime.failed_logins.note(self.address(request));
        let host = self.addresses.host(Peer::ip_of(request), &request.headers);
        let origin = page(&request.headers).origin;
        telemetry::auth_failed(None, Code::Unauthenticated.as_str(), origin.as_deref(), host.as_deref());
    }

    /// The client's address, if known.
    pub(super) fn address(&self, request: &Parts) -> Option<IpAddr> {
        self.addresses.of(Peer::ip_of(request)?, &request.headers)
    }

    /// The CORS answers for the pages that gate 1 admits.
    pub fn cors(&self) -> CorsLayer {
        cors::layer(&self.gates, self.cors_headers.as_deref())
    }
}

/// The id of a client without a session of the transport.
pub(super) fn new_id() -> ConnectionId {
    ConnectionId::new(uuid::Uuid::new_v4().simple().to_string())
}
