//! Streams: a client that reads one topic over plain HTTP, as server-sent events. A stream is a connection like any
//! other, with one subscription and without events of the client. It lasts as long as its answer.
//!
//! `text` is what is written, `queue` what waits, `beginning` what comes before it, `body` the answer that reads both.

mod beginning;
mod body;
mod queue;
mod text;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::{Body, Bytes};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Method, header};
use axum::response::Response;
use tidegate_transport::CloseReason;

use super::client_event::violated;
use super::connections::{Arrival, Connection};
use super::handler::label;
use super::handshake::page;
use super::inbound_queue::InboundQueue;
use super::visitor::Visitors;
use super::{Peer, Realtime};
use beginning::Beginning;
use queue::Queue;
pub(super) use text::{publication_text, session_text};
use tidegate_core::flow::{Gates, Session};
use tidegate_core::protocol::{
    Code, Position, Recovery, Refusal, SubscribeReceipt, SubscribeRequest, Topic, Unrecovered,
};
use tidegate_core::telemetry::{self, Gate};

/// nginx passes on what comes, instead of collecting it.
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// A request for a stream.
pub struct StreamRequest<'a> {
    /// The request.
    pub request: &'a Parts,
    /// The topic, unchecked.
    pub topic: String,
    /// Where the client left off.
    pub since: Since,
    /// A backend asks, which may read every topic.
    pub is_backend: bool,
}

/// Where the client of a stream left off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Since {
    /// It begins.
    Beginning,
    /// Behind this publication.
    Position(Position),
    /// Behind something that is not a position of this server.
    Unknown,
}

/// All streams together.
#[derive(Default)]
pub(super) struct Streams {
    open: Arc<AtomicUsize>,
    waiting: Arc<AtomicUsize>,
}

/// The place of one stream among [`Streams`], while it lives.
struct Place {
    open: Arc<AtomicUsize>,
    _count: telemetry::UnderWay,
}

impl Streams {
    /// How many bytes wait for all of them.
    pub(super) fn waiting_bytes(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    fn take_place(&self, streams_max: usize) -> Option<Place> {
        let more = |open| (open < streams_max).then_some(open + 1);
        self.open.fetch_update(Ordering::AcqRel, Ordering::Relaxed, more).ok()?;
        Some(Place { open: Arc::clone(&self.open), _count: telemetry::stream() })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::AcqRel);
    }
}

/// One open stream. Dropped, it is over.
struct Open {
    realtime: Arc<Realtime>,
    gates: Arc<Gates>,
    connection: Arc<Connection>,
    queue: Queue,
    _place: Place,
}

impl Visitors {
    /// A stream, or an answer after which a browser comes back by itself: it never does so after another status than 200.
    ///
    /// # Errors
    /// The refusals of gates 1 and 2 that stay as they are however often the client comes back.
    pub async fn stream(&self, asked: StreamRequest<'_>) -> Result<Response, Refusal> {
        match self.open_stream(asked).await {
            Err(refusal) if refusal.code.retry() => {
                Ok(answer(Body::from(format!("{}{}", text::OPENING, text::refused(&refusal)))))
            }
            opened => opened,
        }
    }

    async fn open_stream(&self, asked: StreamRequest<'_>) -> Result<Response, Refusal> {
        let entered = self.enter(&asked).await;
        let (session, place) = entered.inspect_err(|refusal| telemetry::connection_refused(refusal.code.as_str()))?;
        if asked.request.method == Method::HEAD {
            self.gates.clear_look(&session, &asked.topic).await?;
            // Of unknown length, as the stream itself.
            return Ok(answer(Body::from_stream(futures_util::stream::empty::<std::io::Result<Bytes>>())));
        }
        let Realtime { limits, drain, streams, .. } = &*self.realtime;
        let queue = Queue::new(limits.outbound_bytes_max, Arc::clone(&streams.waiting));
        let inbound = InboundQueue::new(limits.inbound_queue_max, drain.tasks.clone());
        let connection = Connection::new(session, inbound, limits.outbound_bytes_max, queue.clone());
        let (realtime, gates) = (Arc::clone(&self.realtime), Arc::clone(&self.gates));
        let origin = page(&asked.request.headers).origin;
        let arrival = Arrival::new(self.address(asked.request), origin.as_deref(), gates.now_unix_ms());
        let connection = Arc::new(connection.from(arrival));
        let open = Open { realtime, gates, connection, queue, _place: place };
        open.begin();
        let receipt = open.subscribe(&asked).await?;
        let beginning = Beginning::of(receipt, &open);
        Ok(answer(body::body(beginning, Peer::of(asked.request).cloned(), open)))
    }

    /// Gate 1, if there is room for one more stream.
    async fn enter(&self, asked: &StreamRequest<'_>) -> Result<(Session, Place), Refusal> {
        // A backend does not suffer from clients behind its address that guess credentials.
        let address = if asked.is_backend { None } else { self.address(asked.request) };
        self.realtime.refuse_new_session(&self.gates, address)?;
        let place = self.realtime.streams.take_place(self.realtime.limits.streams_max);
        let place = place
            .ok_or_else(|| Refusal::because(Code::Unavailable, "the limit of streams is reached, try again later"))?;
        let session = if asked.is_backend {
            Session::of_backend(super::visitor::new_id())
        } else {
            self.admit(asked.request).await?
        };
        Ok((session, place))
    }
}

impl Open {
    /// The connection is known from here on: a revocation finds it.
    fn begin(&self) {
        let Self { realtime, gates, connection, .. } = self;
        realtime.enter(connection);
        realtime.register(gates, connection);
    }

    /// Gate 2 and the rest of the subscription.
    async fn subscribe(&self, asked: &StreamRequest<'_>) -> Result<SubscribeReceipt, Refusal> {
        let Self { realtime, gates, connection, .. } = self;
        let since = match &asked.since {
            Since::Position(position) => Some(position.clone()),
            Since::Beginning | Since::Unknown => None,
        };
        let request = SubscribeRequest { since, reads_on: true, ..SubscribeRequest::to(&asked.topic) };
        let member = realtime.member(connection);
        let subscribed = gates.subscribe(&member, &request).await;
        let mut receipt = subscribed
            .inspect_err(|refusal| violated(gates, connection, Gate::Subscribe, &asked.topic, refusal.code))?;
        if asked.since == Since::Unknown {
            let reason = receipt.position.as_ref().map_or(Unrecovered::NoHistory, |_| Unrecovered::EpochChanged);
            telemetry::recovery("since", Some(reason.as_str()));
            receipt.recovery = Some(Recovery::Not(reason));
        }
        realtime.schedule_recheck(gates, connection);
        if !connection.session.is_backend() {
            realtime.connection_events.opened(gates, connection);
        }
        Ok(receipt)
    }

    /// The client reads on in the history, which has what is published meanwhile.
    fn reads_on(&self, topic: &Topic) {
        let Self { realtime, connection, .. } = self;
        connection.held.read_on(topic, |frame| realtime.send(connection, frame));
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        // Without a reason it was refused at gate 2, and never was a stream.
        let reason = self.queue.reason().unwrap_or(CloseReason::ServerDisconnect);
        if reason == CloseReason::SlowConsumer {
            telemetry::slow_consumer();
        }
        self.realtime.forget(&self.gates, &self.connection, label(reason));
    }
}

fn answer(body: Body) -> Response {
    let mut answer = Response::new(body);
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store, no-transform"));
    headers.insert(ACCEL_BUFFERING, HeaderValue::from_static("no"));
    answer
}
