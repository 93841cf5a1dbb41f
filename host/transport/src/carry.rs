//! A websocket carries a session: its one task reads, writes what had to wait, and keeps the time.

use std::cell::RefCell;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use engineioxide_core::{Packet as EnginePacket, ProtocolVersion};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::tcp::OwnedReadHalf;
use tokio::time::{Instant, sleep_until};

use crate::handler::{CloseReason, Handler};
use crate::outbound::Waits;
use crate::session::Session;
use crate::websocket::reader::{Broken, Incoming, Reader};

/// Bytes that one read takes at most.
const READ_BYTES_MAX: usize = 16 << 10;

thread_local! {
    /// What a read takes first. Connections share it, because an idle one needs no buffer.
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_BYTES_MAX]);
}

/// The reading side of a websocket.
pub(crate) struct Inbound {
    pub(crate) read: OwnedReadHalf,
    pub(crate) reader: Reader,
}

/// The peer closed the connection, or broke it.
pub(crate) enum ReadEnd {
    /// It is gone.
    Gone,
    /// It did not keep to the protocol.
    Broken(Broken),
}

impl Inbound {
    /// Reads once, and adds the messages that are whole by now.
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        messages: &mut Vec<Incoming>,
    ) -> Poll<Result<(), ReadEnd>> {
        SCRATCH.with_borrow_mut(|scratch| {
            let mut buffer = ReadBuf::new(scratch);
            match ready!(Pin::new(&mut self.read).poll_read(cx, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => {
                    Poll::Ready(self.reader.feed(buffer.filled(), messages).map_err(ReadEnd::Broken))
                }
                Ok(()) | Err(_) => Poll::Ready(Err(ReadEnd::Gone)),
            }
        })
    }
}

impl<H: Handler> Session<H> {
    /// Serves the session over a websocket to its end. `first` are messages that came with the handshake.
    pub(crate) async fn carry(self: Arc<Self>, mut inbound: Inbound, first: Vec<Incoming>) {
        let reason = match self.take_all(first).await {
            Err(reason) => reason,
            Ok(()) => self.serve(&mut inbound).await,
        };
        self.end(reason);
    }

    async fn serve(self: &Arc<Self>, inbound: &mut Inbound) -> CloseReason {
        let mut timer = std::pin::pin!(sleep_until(Instant::now()));
        let mut messages = Vec::new();
        loop {
            if let Some(reason) = self.outbox.ended() {
                return reason;
            }
            let Waits { deadline, blocked } = self.outbox.waits();
            let deadline = self.must_connect_by().map_or(deadline, |by| by.min(deadline));
            if deadline < timer.deadline() || timer.is_elapsed() {
                timer.as_mut().reset(deadline);
            }
            let writable = async {
                match &blocked {
                    Some(writer) => writer.writable().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                read = std::future::poll_fn(|cx| inbound.poll_read(cx, &mut messages)) => {
                    let taken = match read {
                        Ok(()) => self.take_all(std::mem::take(&mut messages)).await,
                        Err(ReadEnd::Gone) => Err(CloseReason::TransportClose),
                        Err(ReadEnd::Broken(broken)) => Err(self.broken(broken)),
                    };
                    if let Err(reason) = taken {
                        return reason;
                    }
                }
                _ = writable => self.outbox.pump(),
                () = self.outbox.task.notified() => {}
                () = timer.as_mut() => {
                    self.outbox.tick();
                    self.judge_connected();
                }
            }
        }
    }

    /// The peer learns what it did wrong, if it still reads.
    fn broken(&self, broken: Broken) -> CloseReason {
        self.outbox.close_with(broken.code());
        CloseReason::ParseError
    }

    /// Takes messages in order.
    ///
    /// # Errors
    /// Why the session ends.
    async fn take_all(self: &Arc<Self>, messages: Vec<Incoming>) -> Result<(), CloseReason> {
        for message in messages {
            match message {
                Incoming::Text(text) => {
                    let packet = EnginePacket::parse(ProtocolVersion::V4, text).map_err(|_| CloseReason::ParseError)?;
                    self.receive(packet).await?;
                }
                Incoming::Binary(bytes) => self.receive(EnginePacket::Binary(bytes)).await?,
                Incoming::Ping(payload) => self.outbox.pong(&payload),
                Incoming::Close(code) => {
                    self.outbox.close_with(code);
                    return Err(CloseReason::TransportClose);
                }
            }
        }
        Ok(())
    }
}
