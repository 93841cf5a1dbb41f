//! The TCP side: accepts connections up to the limit, and speaks HTTP on each. Every phase of a connection has a
//! deadline: the stream has those for the head and for the silence between two requests ([`super::timed_stream`]);
//! the reader of a body has the deadline of the body.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::StatusCode;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use rustix::net::sockopt;
use tidegate_transport::Wire;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use super::admission;
use super::timed_stream::{Patience, TimedStream};
use tidegate_core::config::Limits;
use tidegate_core::telemetry;

/// How long to wait before accepting again after the system refused, mostly because file descriptors ran out.
const ACCEPT_RETRY: Duration = Duration::from_millis(200);
/// A peer that was silent for this long is probed…
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
/// …this often…
const KEEPALIVE_PROBES: u32 = 4;
/// …and at these intervals, before the connection is dropped.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);
/// What TCP may buffer for a peer whose answer has no end. The system counts its own overhead in twice as much.
const NARROW_BYTES: usize = 64 << 10;
/// Connections beyond the limit that are served at the same time: one request each, and only for the server's state.
const SPARE_CONNECTIONS_MAX: usize = 16;
/// How long such a connection may last in total.
const SPARE_TIMEOUT: Duration = Duration::from_secs(2);
/// The routes that are answered there.
const SPARE_ROUTES: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

/// The limits of connections.
#[derive(Debug, Clone, Copy)]
pub struct ListenerLimits {
    connections_max: usize,
    headers_bytes_max: usize,
    patience: Patience,
}

impl ListenerLimits {
    /// The limits of the configuration, with this number of TCP connections.
    #[must_use]
    pub const fn new(limits: &Limits, connections_max: usize) -> Self {
        let patience = Patience { head: limits.head_timeout, idle: limits.idle_timeout, write: limits.write_timeout };
        Self { connections_max, headers_bytes_max: limits.headers_bytes_max, patience }
    }
}

/// Serves HTTP and sockets until `stop`; then accepts no more connections and finishes the running requests. A request
/// with a head larger than `limits.headers` is answered with 431, and its connection is closed. A connection beyond
/// `limits.tcp_connections` is answered with 503 and closed.
pub async fn serve(tcp: TcpListener, router: axum::Router, limits: ListenerLimits, stop: CancellationToken) {
    let mut http = http1::Builder::new();
    http.max_header_size(limits.headers_bytes_max);
    let host = Host { http, router: router.with_state(()), patience: limits.patience, stop: stop.clone() };
    let places = Places::new(limits.connections_max);
    let conversations = TaskTracker::new();
    let accepting = async {
        loop {
            let (stream, address) = accept(&tcp).await;
            match places.take().await {
                Place::Regular(place) => drop(conversations.spawn(host.clone().converse(stream, address, place))),
                Place::Spare(place) => drop(conversations.spawn(host.clone().turn_away(stream, address, place))),
            }
        }
    };
    let _ = stop.run_until_cancelled(accepting).await;
    drop(tcp);
    conversations.close();
    conversations.wait().await;
}

/// The next connection. If the system refuses one, this is reported, and the server waits.
async fn accept(tcp: &TcpListener) -> (TcpStream, SocketAddr) {
    let mut failures = 0;
    loop {
        match tcp.accept().await {
            Ok((stream, address)) => {
                if failures > 0 {
                    telemetry::accepting_again(failures);
                }
                if let Err(error) = prepare(&stream) {
                    tracing::debug!(%error, "failed to set an option of a TCP connection");
                }
                return (stream, address);
            }
            // The peer's own doing: it left before it was accepted.
            Err(error) if is_of_peer(&error) => {}
            Err(error) => {
                failures += 1;
                telemetry::accept_failed(&error.to_string());
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
}

fn is_of_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// TCP buffers no more than this for the peer.
pub(super) fn narrow(stream: &TcpStream) -> io::Result<()> {
    Ok(sockopt::set_socket_send_buffer_size(stream, NARROW_BYTES)?)
}

fn prepare(stream: &TcpStream) -> io::Result<()> {
    // Without it, the first event after the handshake waits 40 ms for the peer's delayed ACK.
    stream.set_nodelay(true)?;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, KEEPALIVE_IDLE)?;
    sockopt::set_tcp_keepintvl(stream, KEEPALIVE_INTERVAL)?;
    sockopt::set_tcp_keepcnt(stream, KEEPALIVE_PROBES)?;
    Ok(())
}

/// The places for connections.
struct Places {
    regular: Arc<Semaphore>,
    spare: Arc<Semaphore>,
    regular_max: usize,
}

enum Place {
    Regular(Taken),
    Spare(Taken),
}

/// A place, counted while it lives.
struct Taken {
    _permit: OwnedSemaphorePermit,
    _count: telemetry::UnderWay,
}

impl Places {
    fn new(connections_max: usize) -> Self {
        let regular_max = connections_max.min(Semaphore::MAX_PERMITS);
        telemetry::tcp_connections_max(regular_max);
        let spare = Arc::new(Semaphore::new(SPARE_CONNECTIONS_MAX));
        Self { regular: Arc::new(Semaphore::new(regular_max)), spare, regular_max }
    }

    /// A place for the connection that was just accepted. It waits if even the spare places are taken, and the next
    /// connections wait with it.
    async fn take(&self) -> Place {
        let taken = |permit| Taken { _permit: permit, _count: telemetry::tcp_connection() };
        if let Ok(permit) = self.regular.clone().try_acquire_owned() {
            return Place::Regular(taken(permit));
        }
        telemetry::tcp_connection_refused(self.regular_max);
        // Nobody closes this semaphore.
        let Ok(permit) = self.spare.clone().acquire_owned().await else { return std::future::pending().await };
        Place::Spare(taken(permit))
    }
}

/// What every connection needs.
#[derive(Clone)]
struct Host {
    http: http1::Builder,
    router: axum::Router,
    patience: Patience,
    stop: CancellationToken,
}

impl Host {
    /// The requests of one TCP connection, until it is closed or becomes a websocket.
    async fn converse(self, stream: TcpStream, address: SocketAddr, place: Taken) {
        let router = self.router.clone();
        self.serve(stream, address, place, move |request| {
            let router = router.clone();
            async move { router.oneshot(request).await.unwrap_or_else(|never| match never {}) }
        })
        .await;
    }

    /// One request of a connection beyond the limit.
    async fn turn_away(mut self, stream: TcpStream, address: SocketAddr, place: Taken) {
        self.http.keep_alive(false);
        self.patience = Patience { head: SPARE_TIMEOUT, idle: SPARE_TIMEOUT, write: SPARE_TIMEOUT };
        let router = self.router.clone();
        let serving = self.serve(stream, address, place, move |request| {
            let router = router.clone();
            async move {
                if SPARE_ROUTES.contains(&request.uri().path()) {
                    return router.oneshot(request).await.unwrap_or_else(|never| match never {});
                }
                admission::full().map(Body::new)
            }
        });
        let _ = tokio::time::timeout(SPARE_TIMEOUT, serving).await;
    }

    async fn serve<F: Future<Output = Response>>(
        self,
        stream: TcpStream,
        address: SocketAddr,
        place: Taken,
        answer: impl Fn(hyper::Request<Body>) -> F,
    ) {
        let stream = TimedStream::new(stream, address, self.patience, place);
        let peer = stream.peer().clone();
        let service = service_fn(move |request: hyper::Request<Incoming>| {
            peer.requested();
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(ConnectInfo(peer.clone()));
            let (peer, answered) = (peer.clone(), answer(request));
            async move {
                let response = answered.await;
                if response.status() != StatusCode::SWITCHING_PROTOCOLS {
                    peer.answered();
                }
                Ok::<_, std::convert::Infallible>(response)
            }
        });
        let connection = self.http.serve_connection(TokioIo::new(stream), service).with_upgrades();
        let mut connection = std::pin::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::trace!(%error, "a connection ended with an error");
            if error.is_parse_too_large() {
                telemetry::http_request("-", 431, Duration::ZERO);
            }
        }
    }
}

/// The TCP connection of a request, once the request has become a websocket, and its place.
pub(super) async fn websocket(upgrade: OnUpgrade) -> io::Result<Wire> {
    let upgraded = upgrade.await.map_err(io::Error::other)?;
    let parts = upgraded.downcast::<TokioIo<TimedStream>>().map_err(|_other| io::Error::other("another stream"))?;
    let (tcp, place) = parts.io.into_inner().into_parts();
    Ok(Wire::new(tcp, parts.read_buf, place))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use axum::body::Bytes;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::super::Peer;
    use super::*;

    fn limits(connections_max: usize) -> ListenerLimits {
        ListenerLimits::new(&Limits::default(), connections_max)
    }

    /// The answer to the written bytes, to the end of the connection.
    async fn exchange(written: &str) -> String {
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = tcp.local_addr().unwrap();
        let route = axum::routing::get(async |ConnectInfo(peer): ConnectInfo<Peer>| peer.address().to_string());
        let stop = CancellationToken::new();
        let _stops = stop.clone().drop_guard();
        tokio::spawn(serve(tcp, axum::Router::new().route("/", route), limits(8), stop));
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(written.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        // What the server did not read any more may end the connection otherwise than in order.
        while matches!(stream.read_buf(&mut answer).await, Ok(1..)) {}
        String::from_utf8(answer).unwrap().replace(&stream.local_addr().unwrap().to_string(), "PEER")
    }

    const HEAD_BYTES_MAX: usize = 64 << 10;
    const HEAD: &str = "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\nauthorization: Bearer ";

    #[tokio::test]
    async fn a_request_with_a_long_token_is_answered_and_its_handler_knows_the_peer() {
        for bytes in [8 << 10, 60 << 10, HEAD_BYTES_MAX - HEAD.len() - 4] {
            let answer = exchange(&format!("{HEAD}{}\r\n\r\n", "x".repeat(bytes))).await;
            assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("PEER"), "{bytes}: {answer}");
        }
    }

    #[tokio::test]
    async fn a_head_that_is_too_large_is_answered_431_before_its_end() {
        let whole = format!("{HEAD}{}\r\n\r\n", "x".repeat(HEAD_BYTES_MAX - HEAD.len() - 3));
        let begun = format!("{HEAD}{}", "x".repeat(HEAD_BYTES_MAX - HEAD.len()));
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(101));
        for head in [whole, begun, many] {
            let answer = exchange(&head).await;
            assert!(answer.starts_with("HTTP/1.1 431 Request Header Fields Too Large\r\n"), "{answer}");
        }
    }

    #[tokio::test]
    async fn an_answer_without_an_end_is_taken_part_by_part_as_the_peer_reads_it() {
        const PART: usize = 16 << 10;
        let (tcp, stop) = (TcpListener::bind("127.0.0.1:0").await.unwrap(), CancellationToken::new());
        let (address, _stops) = (tcp.local_addr().unwrap(), stop.clone().drop_guard());
        let made = Arc::new(AtomicUsize::new(0));
        let counted = made.clone();
        let route = axum::routing::get(async move |ConnectInfo(peer): ConnectInfo<Peer>| {
            peer.narrow();
            Body::from_stream(futures_util::stream::unfold((peer, counted), |(peer, counted)| async move {
                peer.drained().await;
                peer.owes();
                counted.fetch_add(PART, Ordering::Relaxed);
                Some((io::Result::Ok(Bytes::from(vec![b'x'; PART])), (peer, counted)))
            }))
        });
        tokio::spawn(serve(tcp, axum::Router::new().route("/", route), limits(8), stop));
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        // Until nothing more is made, because the buffers of both ends are full.
        let full = async || loop {
            let before = made.load(Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(100)).await;
            if before > 0 && made.load(Ordering::Relaxed) == before {
                return before;
            }
        };
        let unread = full().await;
        assert!(unread <= 1 << 20, "{unread} bytes were made that nobody read");
        let mut read = vec![0; 2 * unread];
        stream.read_exact(&mut read).await.unwrap();
        let ahead = full().await - 2 * unread;
        assert!(ahead <= 8 << 20, "{ahead} bytes ahead of the reader");
    }

    #[tokio::test]
    async fn a_stop_ends_connections_without_a_request_and_lets_one_under_way_be_answered() {
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = tcp.local_addr().unwrap();
        let stop = CancellationToken::new();
        let (begins, stops) = (Arc::new(tokio::sync::Notify::new()), stop.clone());
        let route = axum::routing::get({
            let begins = begins.clone();
            async move || {
                begins.notify_one();
                stops.cancelled().await;
                "answered"
            }
        });
        let served = tokio::spawn(serve(tcp, axum::Router::new().route("/", route), limits(8), stop.clone()));
        let mut idle = TcpStream::connect(address).await.unwrap();
        let mut asks = TcpStream::connect(address).await.unwrap();
        asks.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        begins.notified().await;
        stop.cancel();
        let mut answer = String::new();
        asks.read_to_string(&mut answer).await.unwrap();
        assert!(answer.ends_with("answered"), "{answer}");
        assert_eq!(idle.read(&mut [0; 1]).await.unwrap(), 0);
        served.await.unwrap();
        assert!(TcpStream::connect(address).await.is_err(), "nobody is let in any more");
    }

    #[tokio::test]
    async fn beyond_the_limit_a_connection_is_answered_503_and_only_how_the_server_does_is_told() {
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = tcp.local_addr().unwrap();
        let stop = CancellationToken::new();
        let _stops = stop.clone().drop_guard();
        let route = || axum::routing::get(async || "answered");
        let router = axum::Router::new().route("/", route()).route("/healthz", route());
        tokio::spawn(serve(tcp, router, limits(1), stop));
        let ask = async |path: &str| {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let head = format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n");
            stream.write_all(head.as_bytes()).await.unwrap();
            let mut answer = vec![0; 1024];
            let bytes = stream.read(&mut answer).await.unwrap();
            (stream, String::from_utf8_lossy(&answer[..bytes]).into_owned())
        };
        let (first, answer) = ask("/").await;
        assert!(answer.ends_with("answered"), "{answer}");
        let (_, answer) = ask("/").await;
        assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains(r#""code":"unavailable""#), "{answer}");
        let (mut spare, answer) = ask("/healthz").await;
        assert!(answer.ends_with("answered"), "{answer}");
        assert_eq!(spare.read(&mut [0; 1]).await.unwrap(), 0, "one request each");
        drop(first);
        // The server learns of that end in its own time.
        while !ask("/").await.1.ends_with("answered") {}
    }
}
