//! The TCP side: accepts connections whose wire can be cut at any time, and that cannot stall for ever.
//!
//! The transport library flushes outside of any cancellation: a peer that stops reading keeps its connection, its
//! place in the rooms and its buffers until TCP gives up, which a hostile peer prevents. So the bound is here, below it.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use axum::extract::ConnectInfo;
use futures_util::task::AtomicWaker;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Sleep, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use crate::telemetry;

/// How long a new TCP connection may take to send the head of its first request.
const FIRST_REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a peer may take none of the bytes that wait for it.
const WRITE_STALL_TIMEOUT: Duration = Duration::from_secs(30);

/// Serves HTTP and sockets until `stop`; then accepts no more and ends with the requests under way. A request whose head
/// is larger than `headers_bytes_max` is answered 431, and its connection closed.
pub async fn serve(mut tcp: TcpListener, router: axum::Router, headers_bytes_max: usize, stop: CancellationToken) {
    let mut http = http1::Builder::new();
    http.max_header_size(headers_bytes_max);
    let router: axum::Router = router.with_state(());
    let conversations = TaskTracker::new();
    while let Some(wire) = stop.run_until_cancelled(accept(&mut tcp)).await {
        conversations.spawn(converse(http.clone(), wire, router.clone(), stop.clone()));
    }
    drop(tcp);
    conversations.close();
    conversations.wait().await;
}

async fn accept(tcp: &mut TcpListener) -> Wire {
    // Waits where the system has no file descriptor left, and goes on.
    let (stream, address) = axum::serve::Listener::accept(tcp).await;
    // Without it, the first event after the handshake waits 40 ms for the peer's delayed ACK.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "failed to set TCP_NODELAY");
    }
    Wire::new(stream, address)
}

/// The requests of one TCP connection, until it is closed or becomes a websocket's.
async fn converse(http: http1::Builder, wire: Wire, router: axum::Router, stop: CancellationToken) {
    let peer = wire.peer.clone();
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer.clone()));
        router.clone().oneshot(request.map(Body::new))
    });
    let mut connection = std::pin::pin!(http.serve_connection(TokioIo::new(wire), service).with_upgrades());
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::trace!(%error, "a connection ended badly");
        if error.is_parse_too_large() {
            telemetry::http_request("-", 431, Duration::ZERO);
        }
    }
}

/// Who is at the other end of a TCP connection, for handlers: `ConnectInfo<Peer>`.
#[derive(Debug, Clone)]
pub struct Peer {
    address: SocketAddr,
    switch: Arc<Switch>,
}

impl Peer {
    /// The address and port.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) const fn switch(&self) -> &Arc<Switch> {
        &self.switch
    }
}

/// Cuts one TCP connection.
#[derive(Default)]
pub(super) struct Switch {
    cut: AtomicBool,
    requested: AtomicBool,
    // Two, because the reader and the writer of a websocket are two tasks.
    reader: AtomicWaker,
    writer: AtomicWaker,
    closing: Mutex<Closing>,
}

#[derive(Default)]
struct Closing {
    closed: bool,
    then: Option<Box<dyn FnOnce() + Send>>,
}

impl Switch {
    /// Ends the connection: its next read and write fail, those under way are woken to fail.
    pub(super) fn cut(&self) {
        self.cut.store(true, Ordering::Release);
        self.reader.wake();
        self.writer.wake();
    }

    /// A request's head has come: from here on it is the protocol's matter how long things take.
    pub(super) fn requested(&self) {
        self.requested.store(true, Ordering::Release);
    }

    /// Runs `then` when the connection ends, at once if it has ended. Replaces what was set before.
    pub(super) fn on_close(&self, then: impl FnOnce() + Send + 'static) {
        let mut closing = self.closing.lock();
        if closing.closed {
            drop(closing);
            then();
        } else {
            closing.then = Some(Box::new(then));
        }
    }

    fn closed(&self) {
        let mut closing = self.closing.lock();
        closing.closed = true;
        let then = closing.then.take();
        drop(closing);
        if let Some(then) = then {
            then();
        }
    }

    fn check(&self) -> io::Result<()> {
        if self.cut.load(Ordering::Acquire) { Err(io::ErrorKind::ConnectionReset.into()) } else { Ok(()) }
    }
}

impl std::fmt::Debug for Switch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Switch").field("cut", &self.cut).finish_non_exhaustive()
    }
}

/// A TCP stream with a switch that cuts it.
struct Wire {
    tcp: TcpStream,
    peer: Peer,
    /// Until the first request's head has come.
    first_request: Option<Pin<Box<Sleep>>>,
    /// While the peer takes no bytes.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Wire {
    fn new(tcp: TcpStream, address: SocketAddr) -> Self {
        let peer = Peer { address, switch: Arc::default() };
        Self { tcp, peer, first_request: Some(Box::pin(sleep(FIRST_REQUEST_TIMEOUT))), stalled: None }
    }

    fn poll_first_request(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.peer.switch.requested.load(Ordering::Acquire) {
            self.first_request = None;
        }
        match &mut self.first_request {
            None => Poll::Pending,
            Some(deadline) => {
                ready!(deadline.as_mut().poll(cx));
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }

    fn poll_out<T>(
        &mut self,
        cx: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut TcpStream>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        self.peer.switch.writer.register(cx.waker());
        self.peer.switch.check()?;
        if let Poll::Ready(done) = write(Pin::new(&mut self.tcp), cx) {
            self.stalled = None;
            return Poll::Ready(done);
        }
        let deadline = self.stalled.get_or_insert_with(|| Box::pin(sleep(WRITE_STALL_TIMEOUT)));
        ready!(deadline.as_mut().poll(cx));
        // Both tasks of a websocket have to learn of it.
        self.peer.switch.cut();
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.peer.switch.closed();
        if self.peer.switch.check().is_err() {
            // What the peer has not taken by now it never will: reset, so that it learns of the end at once.
            let _ = self.tcp.set_zero_linger();
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let wire = self.get_mut();
        wire.peer.switch.reader.register(cx.waker());
        wire.peer.switch.check()?;
        match Pin::new(&mut wire.tcp).poll_read(cx, buf) {
            Poll::Pending => wire.poll_first_request(cx),
            done => done,
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().poll_out(cx, |tcp, cx| tcp.poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().poll_out(cx, |tcp, cx| tcp.poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // TCP has nothing to flush: a task that writes waits in `poll_write`.
        let wire = self.get_mut();
        wire.peer.switch.check()?;
        Pin::new(&mut wire.tcp).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tcp).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    async fn pair() -> (Wire, TcpStream) {
        let mut tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = tcp.local_addr().unwrap();
        let (accepted, connected) = tokio::join!(accept(&mut tcp), TcpStream::connect(address));
        (accepted, connected.unwrap())
    }

    /// What is answered to what is written, to the end of the connection.
    async fn exchange(written: &str) -> String {
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = tcp.local_addr().unwrap();
        let route = axum::routing::get(async |ConnectInfo(peer): ConnectInfo<Peer>| peer.address().to_string());
        let stop = CancellationToken::new();
        let _stops = stop.clone().drop_guard();
        tokio::spawn(serve(tcp, axum::Router::new().route("/", route), HEAD_BYTES_MAX, stop));
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
        let served = tokio::spawn(serve(tcp, axum::Router::new().route("/", route), HEAD_BYTES_MAX, stop.clone()));
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
    async fn a_cut_ends_a_read_that_waits() {
        let (mut wire, _peer) = pair().await;
        let switch = Arc::clone(wire.peer.switch());
        let reader = tokio::spawn(async move { wire.read_u8().await });
        switch.cut();
        assert_eq!(reader.await.unwrap().unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    }

    #[tokio::test]
    async fn a_cut_ends_a_write_to_a_peer_that_does_not_read_and_the_peer_learns_of_it() {
        let (mut wire, mut peer) = pair().await;
        let switch = Arc::clone(wire.peer.switch());
        let (closed, is_closed) = tokio::sync::oneshot::channel();
        switch.on_close(move || closed.send(()).unwrap());
        let writer = tokio::spawn(async move {
            loop {
                wire.write_all(&[0; 64 * 1024]).await?;
            }
        });
        peer.readable().await.unwrap();
        switch.cut();
        let end: io::Result<()> = writer.await.unwrap();
        assert_eq!(end.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        is_closed.await.unwrap();
        assert!(peer.read_to_end(&mut Vec::new()).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_nothing_for_too_long_is_cut() {
        let (mut wire, _peer) = pair().await;
        wire.peer.switch().requested();
        let end: io::Result<()> = async {
            loop {
                wire.write_all(&[0; 64 * 1024]).await?;
            }
        }
        .await;
        assert_eq!(end.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(wire.peer.switch.check().is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_sends_no_request_is_let_go() {
        let (mut wire, _peer) = pair().await;
        assert_eq!(wire.read_u8().await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
