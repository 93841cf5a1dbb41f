//! The HTTP side: which session a request belongs to, polls and POSTs, and the protocol's errors.

use std::borrow::Cow;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt as _, Full, Limited};
use tokio::time::timeout;

use crate::handler::{Answer, CloseReason, Handler};
use crate::outbound::{Poll, Wire};
use crate::session::Session;
use crate::{Transport, polling};

/// The connection of a request, once its answer has made it a websocket.
pub type Upgrading = Pin<Box<dyn Future<Output = io::Result<Wire>> + Send>>;

/// How long a poll waits for a message while a websocket takes over: the client may not begin the websocket before this
/// poll is answered.
const POLL_WHILE_UPGRADING: Duration = Duration::from_millis(100);

/// What the reference answers to a request that it does not take.
/// <https://socket.io/docs/v4/engine-io-protocol/>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mistake {
    UnknownTransport,
    UnknownSession,
    BadMethod,
    BadRequest,
    UnsupportedVersion,
}

impl Mistake {
    pub(crate) fn answer(self) -> Answer {
        let (code, message) = match self {
            Self::UnknownTransport => (0, "Transport unknown"),
            Self::UnknownSession => (1, "Session ID unknown"),
            Self::BadMethod => (2, "Bad handshake method"),
            Self::BadRequest => (3, "Bad request"),
            Self::UnsupportedVersion => (5, "Unsupported protocol version"),
        };
        let body = serde_json::json!({ "code": code, "message": message }).to_string();
        answer(StatusCode::BAD_REQUEST, "application/json", body)
    }
}

pub(crate) fn answer(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}

/// The answer to a poll or a POST, which nobody may keep.
fn ok(kind: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = answer(StatusCode::OK, kind, body);
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// The answer when a body did not arrive in time. The connection ends, because only the rest of the body could follow.
fn late() -> Answer {
    let body = r#"{"error":{"code":"request_timeout","message":"the body did not arrive in time"}}"#;
    let mut answer = answer(StatusCode::REQUEST_TIMEOUT, "application/json", body);
    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    answer
}

fn payload(body: impl Into<Bytes>) -> Answer {
    ok("text/plain; charset=UTF-8", body)
}

/// The answer to a poll of a session that is over.
fn last(reason: CloseReason) -> Answer {
    match reason {
        // Two polls at once are a mistake of the client, which learns that the session is over.
        CloseReason::ServerClose | CloseReason::ConnectTimeout | CloseReason::MultiplePolls => payload("1"),
        CloseReason::ServerDrain => Mistake::UnknownSession.answer(),
        _ => payload("6"),
    }
}

/// The query of a request, as far as the protocol knows it.
struct Query<'a> {
    version: Option<Cow<'a, str>>,
    transport: Option<Cow<'a, str>>,
    session: Option<Cow<'a, str>>,
}

impl<'a> Query<'a> {
    fn of(parts: &'a Parts) -> Self {
        let query = parts.uri.query().unwrap_or_default();
        let value = |name| {
            let mut pairs = form_urlencoded::parse(query.as_bytes());
            pairs.find(|(key, _)| key == name).map(|(_, value)| value)
        };
        let session = value("sid").filter(|id| !id.is_empty());
        Self { version: value("EIO"), transport: value("transport"), session }
    }
}

impl<H: Handler> Transport<H> {
    /// Answers a request for the transport's path. `upgrading` resolves to the request's connection if the answer is
    /// 101.
    pub async fn serve<B>(&self, request: Request<B>, upgrading: Upgrading) -> Answer
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (parts, body) = request.into_parts();
        self.route(&parts, body, upgrading).await.unwrap_or_else(|answer| *answer)
    }

    async fn route<B>(&self, parts: &Parts, body: B, upgrading: Upgrading) -> Result<Answer, Box<Answer>>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let Query { version, transport, session } = Query::of(parts);
        let settings = &self.0.settings;
        let by_websocket = match transport.as_deref() {
            Some("polling") if settings.polling => false,
            Some("websocket") if settings.websocket => true,
            _ => return Err(Box::new(Mistake::UnknownTransport.answer())),
        };
        let Some(id) = session else {
            if version.as_deref() != Some("4") {
                return Err(Box::new(Mistake::UnsupportedVersion.answer()));
            }
            return self.begin(parts, by_websocket, upgrading);
        };
        let Some(session) = self.0.sessions.get(&*id).map(|found| Arc::clone(&found)) else {
            let answer = self.0.handler.unknown_session();
            return Err(Box::new(answer.unwrap_or_else(|| Mistake::UnknownSession.answer())));
        };
        self.0.handler.resume(&session.opening, parts)?;
        if version.as_deref() != Some("4") {
            return Err(Box::new(Mistake::BadRequest.answer()));
        }
        if by_websocket {
            return self.upgrade(session, parts, upgrading);
        }
        if session.outbox.is_websocket() {
            return Err(Box::new(Mistake::BadRequest.answer()));
        }
        match parts.method {
            Method::GET => Ok(session.poll().await),
            Method::POST => Ok(session.post(body).await),
            _ => Err(Box::new(Mistake::BadRequest.answer())),
        }
    }

    /// A new session.
    fn begin(&self, parts: &Parts, by_websocket: bool, upgrading: Upgrading) -> Result<Answer, Box<Answer>> {
        if parts.method != Method::GET {
            return Err(Box::new(Mistake::BadMethod.answer()));
        }
        if by_websocket {
            return self.begin_websocket(parts, upgrading);
        }
        let session = self.open(parts)?;
        let open = session.open_packet(false);
        tokio::spawn(session.keep_time());
        Ok(payload(open))
    }

    /// A session that the application admits, and that later requests can name.
    pub(crate) fn open(&self, parts: &Parts) -> Result<Arc<Session<H>>, Box<Answer>> {
        let session = Session::new(&self.0, self.0.handler.open(parts)?);
        self.0.sessions.insert(Arc::clone(&session.id), Arc::clone(&session));
        Ok(session)
    }
}

/// One of the requests of a session that may run once at a time. A request that is dropped before its answer ends the
/// session, because the client has given it up.
struct Turn<'a, H: Handler> {
    session: &'a Session<H>,
    turn: &'a AtomicBool,
    is_answered: bool,
}

impl<'a, H: Handler> Turn<'a, H> {
    /// Takes the turn. Whoever comes while another request has it ends the session.
    fn take(session: &'a Session<H>, turn: &'a AtomicBool) -> Option<Self> {
        if turn.swap(true, Ordering::AcqRel) {
            session.end(CloseReason::MultiplePolls);
            return None;
        }
        Some(Self { session, turn, is_answered: false })
    }

    fn answer(mut self, answer: Answer) -> Answer {
        self.is_answered = true;
        answer
    }
}

impl<H: Handler> Drop for Turn<'_, H> {
    fn drop(&mut self) {
        self.turn.store(false, Ordering::Release);
        if !self.is_answered {
            self.session.end(CloseReason::TransportClose);
        }
    }
}

impl<H: Handler> Session<H> {
    /// A GET: what waits for the client, as soon as something does.
    async fn poll(&self) -> Answer {
        let Some(turn) = Turn::take(self, &self.polls) else { return Mistake::BadRequest.answer() };
        self.tell_processed(&self.outbox.took_all());
        let mut has_waited = false;
        loop {
            match self.outbox.take() {
                Poll::Payload(bytes) => return turn.answer(payload(bytes)),
                // The client waits for this before it begins with the websocket.
                Poll::Upgraded => return turn.answer(payload("6")),
                Poll::Over(reason) => {
                    let refusal = self.take_refusal().map(|answer| *answer);
                    return turn.answer(refusal.unwrap_or_else(|| last(reason)));
                }
                Poll::Wait if has_waited && self.is_probed.load(Ordering::Acquire) => {
                    return turn.answer(payload("6"));
                }
                Poll::Wait => {}
            }
            if self.is_probed.load(Ordering::Acquire) {
                let _ = timeout(POLL_WHILE_UPGRADING, self.outbox.poll.notified()).await;
                has_waited = true;
            } else {
                self.outbox.poll.notified().await;
            }
        }
    }

    /// A POST: packets of the client.
    async fn post<B>(self: &Arc<Self>, body: B) -> Answer
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let Some(turn) = Turn::take(self, &self.posts) else { return Mistake::BadRequest.answer() };
        let settings = &self.shared.settings;
        let reading = Limited::new(body, settings.payload_bytes_max).collect();
        let body = match timeout(settings.body_timeout, Box::pin(reading)).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
                self.end(CloseReason::ParseError);
                return turn.answer(answer(StatusCode::PAYLOAD_TOO_LARGE, "text/plain", Bytes::new()));
            }
            // The turn ends the session.
            Ok(Err(_)) => return Mistake::BadRequest.answer(),
            Err(_elapsed) => return late(),
        };
        let Some(packets) = polling::packets(&body) else {
            self.end(CloseReason::ParseError);
            return turn.answer(Mistake::BadRequest.answer());
        };
        let stall = self.outbox.stall();
        for packet in packets {
            if let Err(reason) = self.receive(packet).await {
                self.end(reason);
                break;
            }
        }
        drop(stall);
        turn.answer(ok("text/html", "ok"))
    }
}
