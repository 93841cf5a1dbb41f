//! A TCP stream on which every wait of HTTP has a deadline: HTTP itself waits for a head, for the next request, or for
//! a peer that does not read, as long as the peer likes.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::extract::ConnectInfo;
use axum::http::request::Parts;
use futures_util::task::AtomicWaker;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};

use super::listener::narrow;
use tidegate_core::telemetry;

/// How long a peer may take for each step.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// To send the head of a request: for the first request counted from the beginning of the connection, for others
    /// from their first byte.
    pub(super) head: Duration,
    /// To send the next request after an answer.
    pub(super) idle: Duration,
    /// To read any of the bytes that wait for it.
    pub(super) write: Duration,
}

/// The phase of a connection, as HTTP sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Phase {
    /// Waiting for a head, or for the rest of it.
    Head,
    /// A request is running: whoever serves it limits the time.
    Serving,
    /// The last request was answered; the next may come.
    Idle,
}

impl Phase {
    /// The label in metrics.
    const fn label(self) -> &'static str {
        match self {
            Self::Head => "head",
            Self::Serving => "serving",
            Self::Idle => "idle",
        }
    }
}

/// The other end of a TCP connection, for handlers: `ConnectInfo<Peer>`. It knows the phase of the connection.
#[derive(Debug, Clone)]
pub struct Peer {
    address: SocketAddr,
    progress: Arc<Progress>,
}

#[derive(Debug, Default)]
struct Progress {
    phase: AtomicU8,
    reader: AtomicWaker,
    /// HTTP holds bytes that TCP has not taken.
    owes: AtomicBool,
    drained: AtomicWaker,
    /// Little may wait in TCP's own buffer.
    is_narrow: AtomicBool,
}

impl Peer {
    /// The one that sent a request.
    pub(super) fn of(request: &Parts) -> Option<&Self> {
        request.extensions.get().map(|ConnectInfo(peer)| peer)
    }

    /// The address of the one that sent a request.
    pub(super) fn ip_of(request: &Parts) -> Option<IpAddr> {
        Self::of(request).map(|peer| peer.address.ip())
    }

    /// The address and port.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The head of a request has arrived: from here on whoever serves it limits the time.
    pub(super) fn requested(&self) {
        self.progress.phase.store(Phase::Serving as u8, Ordering::Release);
    }

    /// The request was answered, and the connection still belongs to HTTP.
    pub(super) fn answered(&self) {
        self.progress.phase.store(Phase::Idle as u8, Ordering::Release);
        // The reader waits for bytes only, and would not look at the deadline before some come.
        self.progress.reader.wake();
    }

    /// Bytes have arrived; after an answer they belong to the next head.
    fn received(&self) {
        let (idle, head) = (Phase::Idle as u8, Phase::Head as u8);
        let _ = self.progress.phase.compare_exchange(idle, head, Ordering::AcqRel, Ordering::Relaxed);
    }

    /// Whoever makes the answer has made a part of it, which [`Peer::drained`] waits for.
    pub(super) fn owes(&self) {
        self.progress.owes.store(true, Ordering::Release);
    }

    /// Resolves when TCP has taken every part of the answer. Only the task of the connection waits.
    pub(super) async fn drained(&self) {
        std::future::poll_fn(|cx| {
            self.progress.drained.register(cx.waker());
            if self.progress.owes.load(Ordering::Acquire) { Poll::Pending } else { Poll::Ready(()) }
        })
        .await;
    }

    /// From now on TCP buffers little, because what waits there for a slow peer counts nowhere.
    pub(super) fn narrow(&self) {
        self.progress.is_narrow.store(true, Ordering::Release);
    }

    fn phase(&self) -> Phase {
        match self.progress.phase.load(Ordering::Acquire) {
            0 => Phase::Head,
            1 => Phase::Serving,
            _ => Phase::Idle,
        }
    }
}

/// A TCP stream with deadlines.
pub(super) struct TimedStream {
    tcp: TcpStream,
    peer: Peer,
    patience: Patience,
    /// The phase of the deadline.
    phase: Phase,
    /// Until when the peer must send what is expected.
    deadline: Option<Pin<Box<Sleep>>>,
    /// When the peer last read bytes, since the deadline was checked.
    took_bytes_at: Option<Instant>,
    /// Runs while the peer reads no bytes.
    stalled: Option<Pin<Box<Sleep>>>,
    /// TCP's buffer is as small as [`Peer::narrow`] asks.
    is_narrow: bool,
    /// Dropped together with the connection.
    place: Box<dyn Send + Sync>,
}

impl TimedStream {
    /// A new connection that waits for its first request. `place` is kept as long as it lasts.
    pub(super) fn new(
        tcp: TcpStream,
        address: SocketAddr,
        patience: Patience,
        place: impl Send + Sync + 'static,
    ) -> Self {
        let peer = Peer { address, progress: Arc::default() };
        let deadline = Some(Box::pin(sleep(patience.head)));
        Self {
            tcp,
            peer,
            patience,
            phase: Phase::Head,
            deadline,
            took_bytes_at: None,
            stalled: None,
            is_narrow: false,
            place: Box::new(place),
        }
    }

    pub(super) const fn peer(&self) -> &Peer {
        &self.peer
    }

    /// The connection without deadlines, and its place: a websocket has taken over, which limits the time itself.
    pub(super) fn into_parts(self) -> (TcpStream, Box<dyn Send + Sync>) {
        (self.tcp, self.place)
    }

    /// Ends a wait for the peer at its deadline.
    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let phase = self.peer.phase();
        if phase != self.phase {
            self.phase = phase;
            self.deadline = match phase {
                Phase::Head => Some(self.patience.head),
                Phase::Serving => None,
                Phase::Idle => Some(self.patience.idle),
            }
            .map(|time| Box::pin(sleep(time)));
        }
        let Some(deadline) = &mut self.deadline else { return Poll::Pending };
        ready!(deadline.as_mut().poll(cx));
        // A peer that was still reading its answer meanwhile has its whole time from then on.
        if let Some(patient_until) = self.took_bytes_at.take().map(|at| at + self.patience.idle)
            && phase == Phase::Idle
            && patient_until > Instant::now()
        {
            deadline.as_mut().reset(patient_until);
            ready!(deadline.as_mut().poll(cx));
        }
        telemetry::tcp_timeout(phase.label());
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    fn poll_out<T>(
        &mut self,
        cx: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut TcpStream>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if !self.is_narrow && self.peer.progress.is_narrow.load(Ordering::Acquire) {
            self.is_narrow = true;
            let _ = narrow(&self.tcp);
        }
        if let Poll::Ready(done) = write(Pin::new(&mut self.tcp), cx) {
            self.stalled = None;
            self.took_bytes_at = Some(Instant::now());
            return Poll::Ready(done);
        }
        let patience = self.patience.write;
        let deadline = self.stalled.get_or_insert_with(|| Box::pin(sleep(patience)));
        ready!(deadline.as_mut().poll(cx));
        telemetry::tcp_timeout("write");
        // The peer will never read what it has not read by now: a reset tells it the end at once.
        let _ = self.tcp.set_zero_linger();
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for TimedStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let stream = self.get_mut();
        stream.peer.progress.reader.register(cx.waker());
        let before = buf.filled().len();
        let Poll::Ready(read) = Pin::new(&mut stream.tcp).poll_read(cx, buf) else { return stream.poll_deadline(cx) };
        if buf.filled().len() > before {
            stream.peer.received();
        }
        Poll::Ready(read)
    }
}

impl AsyncWrite for TimedStream {
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
        // TCP has nothing to flush: a writing task waits in `poll_write`. HTTP flushes when it has written everything.
        let stream = self.get_mut();
        if stream.peer.progress.owes.swap(false, Ordering::AcqRel) {
            stream.peer.progress.drained.wake();
        }
        Pin::new(&mut stream.tcp).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tcp).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    const PATIENCE: Patience =
        Patience { head: Duration::from_secs(10), idle: Duration::from_secs(75), write: Duration::from_secs(30) };

    async fn pair() -> (TimedStream, TcpStream) {
        pair_with(PATIENCE).await
    }

    async fn pair_with(patience: Patience) -> (TimedStream, TcpStream) {
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = tcp.local_addr().unwrap();
        let (accepted, connected) = tokio::join!(tcp.accept(), TcpStream::connect(address));
        let (stream, address) = accepted.unwrap();
        (TimedStream::new(stream, address, patience, ()), connected.unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_nothing_for_too_long_is_cut() {
        let (mut stream, _peer) = pair().await;
        stream.peer().requested();
        let end: io::Result<()> = async {
            loop {
                stream.write_all(&[0; 64 * 1024]).await?;
            }
        }
        .await;
        assert_eq!(end.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_sends_no_request_is_let_go() {
        let (mut stream, _peer) = pair().await;
        assert_eq!(stream.read_u8().await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    /// How long it took until a read was given up.
    async fn given_up(stream: &mut TimedStream) -> Duration {
        let began = Instant::now();
        assert_eq!(stream.read_u8().await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        began.elapsed()
    }

    fn is_about(time: Duration, expected: Duration) -> bool {
        (expected..expected + Duration::from_secs(1)).contains(&time)
    }

    #[tokio::test]
    async fn a_head_that_comes_a_byte_at_a_time_has_no_more_time_than_another() {
        let (mut stream, mut peer) = pair_with(Patience { head: Duration::from_millis(300), ..PATIENCE }).await;
        let drips = tokio::spawn(async move {
            while peer.write_u8(b'a').await.is_ok() {
                sleep(Duration::from_millis(20)).await
            }
        });
        let end = loop {
            if let Err(error) = stream.read_u8().await {
                break error;
            }
        };
        assert_eq!(end.kind(), io::ErrorKind::TimedOut);
        drop(stream);
        drips.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_under_way_has_no_deadline_of_the_stream() {
        let (mut stream, _peer) = pair().await;
        stream.peer().requested();
        let waits = tokio::time::timeout(Duration::from_secs(24 * 60 * 60), stream.read_u8()).await;
        assert!(waits.is_err(), "{waits:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn after_an_answer_the_next_request_may_wait() {
        let (mut stream, _peer) = pair().await;
        stream.peer().requested();
        stream.peer().answered();
        assert!(is_about(given_up(&mut stream).await, PATIENCE.idle));
    }

    #[tokio::test]
    async fn the_head_of_the_next_request_has_its_own_time_once_it_begins() {
        let (mut stream, mut peer) = pair_with(Patience { head: Duration::from_millis(50), ..PATIENCE }).await;
        stream.peer().requested();
        stream.peer().answered();
        peer.write_u8(b'a').await.unwrap();
        stream.read_u8().await.unwrap();
        assert!(given_up(&mut stream).await < PATIENCE.idle);
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_still_takes_its_answer_is_not_idle() {
        let (stream, _peer) = pair().await;
        stream.peer().requested();
        stream.peer().answered();
        let began = Instant::now();
        let (mut reads, mut writes) = tokio::io::split(stream);
        let waits = tokio::spawn(async move { reads.read_u8().await });
        sleep(PATIENCE.idle / 2).await;
        writes.write_all(b"the rest of the answer").await.unwrap();
        assert_eq!(waits.await.unwrap().unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(is_about(began.elapsed(), PATIENCE.idle + PATIENCE.idle / 2));
    }
}
