//! What the transport asks of the server: who may begin a session, gate 1, the client's events, and the end.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use parking_lot::Mutex;
use serde_json::Value;
use tidegate_transport::{
    Answer, CloseReason, Connect, Connected, Event, Handler, Malformed, Offset, ROOT, Refusal as Refused,
};

use super::admission;
use super::comeback::Wish;
use super::connections::Connection;
use super::frame::AckId;
use super::handshake::{NewClient, handshake};
use super::origin_address::Addresses;
use super::{Peer, Realtime};
use tidegate_core::flow::{Gates, Handshake};
use tidegate_core::protocol::{Code, Refusal};
use tidegate_core::telemetry;

/// How long a client that is refused for now waits for the end of its session. For the stock client an opened transport
/// is a success, after which it waits at most a second, however often that happens. A longer wait would delay clients
/// that could be accepted by now.
const RETRY_HELD_BACK: Duration = Duration::from_secs(2);

/// The server, as the transport sees it.
pub(super) struct Entrance {
    pub(super) realtime: Arc<Realtime>,
    pub(super) gates: Arc<Gates>,
    pub(super) addresses: Addresses,
}

/// A session before its client is connected.
pub(super) struct Opening {
    peer: Option<IpAddr>,
    state: Mutex<Opened>,
}

struct Opened {
    /// What the first request brought; gone once the client is connected.
    headers: Option<Arc<HeaderMap>>,
    /// A page of a foreign origin has used this session: it polled, posted or upgraded with the session's id.
    is_touched: bool,
    own_page: OwnPage,
}

/// The page of which the browser said, in a request of this session, that it is of the server's own origin. It does not
/// say so of a websocket, and it does not name the origin in a GET.
enum OwnPage {
    Unsaid,
    /// Only that page knows the session's id, so the next request that names an origin is from there.
    Unnamed,
    Named(Box<str>),
}

impl OwnPage {
    /// Takes what the browser says in a request.
    fn learn(&mut self, page: &Handshake) {
        match &page.origin {
            _ if !page.is_of_own_page() => {}
            Some(origin) => *self = Self::Named(origin.as_str().into()),
            None if matches!(self, Self::Unsaid) => *self = Self::Unnamed,
            None => {}
        }
    }

    /// Whether a request is from that page, of which the browser says nothing.
    fn is(&mut self, page: &Handshake) -> bool {
        let Some(origin) = page.origin.as_deref() else { return false };
        match self {
            Self::Unsaid => false,
            Self::Unnamed => {
                *self = Self::Named(origin.into());
                true
            }
            Self::Named(own) => **own == *origin,
        }
    }
}

impl Handler for Entrance {
    type Opening = Opening;
    type Client = Connection;

    fn open(&self, request: &Parts) -> Result<Opening, Box<Answer>> {
        let peer = Peer::ip_of(request);
        let address = peer.and_then(|peer| self.addresses.of(peer, &request.headers));
        if let Err(refusal) = self.realtime.refuse_new_session(&self.gates, address) {
            telemetry::connection_refused(refusal.code.as_str());
            return Err(Box::new(admission::come_back(&refusal)));
        }
        let mut own_page = OwnPage::Unsaid;
        own_page.learn(&admission::page(&self.addresses, peer, &request.headers));
        let opened = Opened { headers: Some(Arc::new(request.headers.clone())), is_touched: false, own_page };
        Ok(Opening { peer, state: Mutex::new(opened) })
    }

    /// Gate 1 checks the page that began the session. Later requests with the session's id must not come from another
    /// page.
    fn resume(&self, opening: &Opening, request: &Parts) -> Result<(), Box<Answer>> {
        let page = admission::page(&self.addresses, Peer::ip_of(request), &request.headers);
        let mut opened = opening.state.lock();
        if self.gates.admits_page(&page) {
            opened.own_page.learn(&page);
            return Ok(());
        }
        if opened.own_page.is(&page) {
            return Ok(());
        }
        if opened.headers.is_none() {
            telemetry::connection_refused(Code::Forbidden.as_str());
            return Err(Box::new(admission::answer(StatusCode::FORBIDDEN, String::new())));
        }
        // Gate 1 refuses it, and a client that asked from there from the beginning gets a code.
        opened.is_touched = true;
        Ok(())
    }

    fn unknown_session(&self) -> Option<Answer> {
        telemetry::session_unknown();
        Some(admission::session_unknown())
    }

    /// The root namespace only.
    fn knows(&self, namespace: &str) -> bool {
        namespace == ROOT
    }

    async fn connect(&self, connect: Connect<'_, Opening>) -> Result<Connected<Connection>, Refused> {
        let Connect { opening, auth, socket, .. } = connect;
        let auth = auth.map(Result::ok);
        let wish = auth.as_ref().and_then(Option::as_ref).map(Wish::of).unwrap_or_default();
        let (headers, is_touched) = {
            let opened = opening.state.lock();
            (opened.headers.clone().unwrap_or_default(), opened.is_touched)
        };
        let address = opening.peer.and_then(|peer| self.addresses.of(peer, &headers));
        let host = self.addresses.host(opening.peer, &headers);
        let handshake = Handshake { host, ..handshake(&headers, auth.unwrap_or(Some(Value::Null))) };
        let client = NewClient { handshake, address, is_touched, wish };
        let connection = match self.admit(client, socket.clone()).await {
            Ok(connection) => connection,
            Err(refusal) => return Err(self.turn_away(refusal).await),
        };
        let mut opened = opening.state.lock();
        if opened.is_touched {
            telemetry::connection_refused(Code::Forbidden.as_str());
            self.realtime.end(&connection);
            return Err(answered(&Code::Forbidden.into()));
        }
        opened.headers = None;
        drop(opened);
        let id = connection.id().to_string();
        let pid = connection.recovering.as_ref().and_then(|recovering| recovering.pid()).map(ToOwned::to_owned);
        if pid.is_some() {
            socket.keeps_offsets();
        }
        Ok(Connected { client: connection, id, pid })
    }

    /// The client knows that it is connected.
    fn connected(&self, connection: &Arc<Connection>) {
        self.realtime.enter(connection);
        self.realtime.arrived(connection);
        self.realtime.connection_events.opened(&self.gates, connection);
        self.realtime.register(&self.gates, connection);
        self.realtime.tell_news(connection);
    }

    async fn event(&self, connection: &Arc<Connection>, event: Event) -> Result<(), Malformed> {
        // The client is read no further until there is room for its next event.
        connection.inbound.room().await;
        let packet = if event.attachments.is_empty() {
            Ok(&*event.array)
        } else {
            Err(Refusal::because(Code::InvalidPayload, "binary payloads are not supported: a payload must be JSON"))
        };
        let ack = event.id.and_then(|id| u64::try_from(id).ok()).map(AckId);
        self.realtime.receive(&self.gates, connection, packet, ack)
    }

    fn closed(&self, connection: &Arc<Connection>, reason: CloseReason) {
        if reason == CloseReason::SlowConsumer {
            telemetry::slow_consumer();
        }
        self.realtime.forget(&self.gates, connection, label(reason));
        self.realtime.departed(connection, reason);
        // A session without a client would count in no limit.
        if reason == CloseReason::ClientDisconnect {
            connection.finish(CloseReason::ServerClose);
        }
    }

    fn processed(&self, connection: &Arc<Connection>, events: &[Offset]) {
        if let Some(recovering) = &connection.recovering {
            recovering.trail.processed(events);
        }
    }

    fn lag(&self, connection: &Arc<Connection>, lag: Duration) {
        connection.note_lag(lag);
        let topics = connection.session.topics();
        let channel = match topics.as_slice() {
            [only] => connection.session.channel(only),
            _ => None,
        };
        let channel = channel.as_ref().map_or(telemetry::NO_CHANNEL, |channel| channel.template.as_str());
        telemetry::client_lag(channel, lag);
    }
}

impl Entrance {
    /// Makes the client come back later if that may help: the stock client does so after a closed transport, never
    /// after a `connect_error`.
    async fn turn_away(&self, refusal: Refusal) -> Refused {
        telemetry::connection_refused(refusal.code.as_str());
        if !refusal.code.retry() {
            return answered(&refusal);
        }
        if refusal.code != Code::Draining {
            let drained = self.realtime.drain.begins();
            let _ = tokio::time::timeout(RETRY_HELD_BACK, drained).await;
        }
        Refused::Close(Some(Box::new(admission::come_back(&refusal))))
    }
}

/// A refusal that the client learns.
fn answered(refusal: &Refusal) -> Refused {
    Refused::Answer { message: refusal.code.as_str().to_owned(), data: serde_json::to_value(refusal).ok() }
}

/// The reason's name in metrics and logs.
pub(super) const fn label(reason: CloseReason) -> &'static str {
    match reason {
        CloseReason::TransportClose => "transport_close",
        CloseReason::PingTimeout => "ping_timeout",
        CloseReason::ParseError => "parse_error",
        CloseReason::MultiplePolls => "multiple_polls",
        CloseReason::ConnectTimeout => "connect_timeout",
        CloseReason::SlowConsumer => "slow_consumer",
        CloseReason::ClientDisconnect => "client_disconnect",
        CloseReason::ServerDisconnect => "server_disconnect",
        CloseReason::ServerClose => "server_close",
        CloseReason::ServerDrain => "server_drain",
    }
}
