//! A TCP stream that can be cut at any time, and on which every wait has a deadline.
//!
//! The transport library flushes outside of any cancellation: a peer that stops reading keeps its connection, its place
//! in the rooms and its buffers until TCP gives up, which a hostile peer prevents. And HTTP waits for a head, or for
//! the next request, as long as the peer likes. So the limits are here, below both.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};

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
    /// A request is running, or a websocket has taken over: whoever serves it limits the time.
    Serving,
    /// The last request was answered; the next may come.
    Idle,
}

impl Phase {
    const fn label(self) -> &'static str {
        match self {
            Self::Head => "head",
            Self::Serving => "serving",
            Self::Idle => "idle",
        }
    }
}

/// The other end of a TCP connection, for handlers: `ConnectInfo<Peer>`.
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
    phase: AtomicU8,
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
    /// Ends the connection: its next read and write fail, and running ones are woken to fail.
    pub(super) fn cut(&self) {
        self.cut.store(true, Ordering::Release);
        self.reader.wake();
        self.writer.wake();
    }

    /// The head of a request has arrived: from here on whoever serves it limits the time.
    pub(super) fn requested(&self) {
        self.phase.store(Phase::Serving as u8, Ordering::Release);
    }

    /// The request was answered, and the connection still belongs to HTTP.
    pub(super) fn answered(&self) {
        self.phase.store(Phase::Idle as u8, Ordering::Release);
        // The reader waits for bytes only, and would not look at the deadline before some come.
        self.reader.wake();
    }

    /// Bytes have arrived; after an answer they belong to the next head.
    fn received(&self) {
        let (idle, head) = (Phase::Idle as u8, Phase::Head as u8);
        let _ = self.phase.compare_exchange(idle, head, Ordering::AcqRel, Ordering::Relaxed);
    }

    fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Head,
            1 => Phase::Serving,
            _ => Phase::Idle,
        }
    }

    /// Runs `then` when the connection ends, or at once if it has ended. Replaces an earlier one.
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

/// A TCP stream with a switch that cuts it, and deadlines.
pub(super) struct CuttableStream {
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
    /// Dropped together with the connection.
    _place: Box<dyn Send>,
}

impl CuttableStream {
    /// A new connection that waits for its first request. `place` is kept as long as it lasts.
    pub(super) fn new(tcp: TcpStream, address: SocketAddr, patience: Patience, place: impl Send + 'static) -> Self {
        let peer = Peer { address, switch: Arc::default() };
        let deadline = Some(Box::pin(sleep(patience.head)));
        Self {
            tcp,
            peer,
            patience,
            phase: Phase::Head,
            deadline,
            took_bytes_at: None,
            stalled: None,
            _place: Box::new(place),
        }
    }

    pub(super) const fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Ends a wait for the peer at its deadline.
    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let phase = self.peer.switch.phase();
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
        self.peer.switch.writer.register(cx.waker());
        self.peer.switch.check()?;
        if let Poll::Ready(done) = write(Pin::new(&mut self.tcp), cx) {
            self.stalled = None;
            self.took_bytes_at = Some(Instant::now());
            return Poll::Ready(done);
        }
        let patience = self.patience.write;
        let deadline = self.stalled.get_or_insert_with(|| Box::pin(sleep(patience)));
        ready!(deadline.as_mut().poll(cx));
        telemetry::tcp_timeout("write");
        // Both tasks of a websocket must learn of it.
        self.peer.switch.cut();
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl Drop for CuttableStream {
    fn drop(&mut self) {
        self.peer.switch.closed();
        if self.peer.switch.check().is_err() {
            // The peer will never read what it has not read by now: a reset tells it the end at once.
            let _ = self.tcp.set_zero_linger();
        }
    }
}

impl AsyncRead for CuttableStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let wire = self.get_mut();
        wire.peer.switch.reader.register(cx.waker());
        wire.peer.switch.check()?;
        let before = buf.filled().len();
        let Poll::Ready(read) = Pin::new(&mut wire.tcp).poll_read(cx, buf) else { return wire.poll_deadline(cx) };
        if buf.filled().len() > before {
            wire.peer.switch.received();
        }
        Poll::Ready(read)
    }
}

impl AsyncWrite for CuttableStream {
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
        // TCP has nothing to flush: a writing task waits in `poll_write`.
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
    use tokio::net::TcpListener;

    use super::*;

    const PATIENCE: Patience =
        Patience { head: Duration::from_secs(10), idle: Duration::from_secs(75), write: Duration::from_secs(30) };

    async fn pair() -> (CuttableStream, TcpStream) {
        pair_with(PATIENCE).await
    }

    async fn pair_with(patience: Patience) -> (CuttableStream, TcpStream) {
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = tcp.local_addr().unwrap();
        let (accepted, connected) = tokio::join!(tcp.accept(), TcpStream::connect(address));
        let (stream, address) = accepted.unwrap();
        (CuttableStream::new(stream, address, patience, ()), connected.unwrap())
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

    /// How long it took until a read was given up.
    async fn given_up(wire: &mut CuttableStream) -> Duration {
        let began = Instant::now();
        assert_eq!(wire.read_u8().await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        began.elapsed()
    }

    fn is_about(time: Duration, expected: Duration) -> bool {
        (expected..expected + Duration::from_secs(1)).contains(&time)
    }

    #[tokio::test]
    async fn a_head_that_comes_a_byte_at_a_time_has_no_more_time_than_another() {
        let (mut wire, mut peer) = pair_with(Patience { head: Duration::from_millis(300), ..PATIENCE }).await;
        let drips = tokio::spawn(async move {
            while peer.write_u8(b'a').await.is_ok() {
                sleep(Duration::from_millis(20)).await
            }
        });
        let end = loop {
            if let Err(error) = wire.read_u8().await {
                break error;
            }
        };
        assert_eq!(end.kind(), io::ErrorKind::TimedOut);
        drop(wire);
        drips.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_under_way_has_no_deadline_of_the_stream() {
        let (mut wire, _peer) = pair().await;
        wire.peer.switch().requested();
        let waits = tokio::time::timeout(Duration::from_secs(24 * 60 * 60), wire.read_u8()).await;
        assert!(waits.is_err(), "{waits:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn after_an_answer_the_next_request_may_wait() {
        let (mut wire, _peer) = pair().await;
        wire.peer.switch().requested();
        wire.peer.switch().answered();
        assert!(is_about(given_up(&mut wire).await, PATIENCE.idle));
    }

    #[tokio::test]
    async fn the_head_of_the_next_request_has_its_own_time_once_it_begins() {
        let (mut wire, mut peer) = pair_with(Patience { head: Duration::from_millis(50), ..PATIENCE }).await;
        wire.peer.switch().requested();
        wire.peer.switch().answered();
        peer.write_u8(b'a').await.unwrap();
        wire.read_u8().await.unwrap();
        assert!(given_up(&mut wire).await < PATIENCE.idle);
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_still_takes_its_answer_is_not_idle() {
        let (wire, _peer) = pair().await;
        wire.peer.switch().requested();
        wire.peer.switch().answered();
        let began = Instant::now();
        let (mut reads, mut writes) = tokio::io::split(wire);
        let waits = tokio::spawn(async move { reads.read_u8().await });
        sleep(PATIENCE.idle / 2).await;
        writes.write_all(b"the rest of the answer").await.unwrap();
        assert_eq!(waits.await.unwrap().unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(is_about(began.elapsed(), PATIENCE.idle + PATIENCE.idle / 2));
    }
}
