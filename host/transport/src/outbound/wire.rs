//! A TCP connection that carries a websocket. Its write half can be written to, and cut, from any thread.

use std::io::{self, IoSlice};
use std::sync::Arc;

use bytes::Bytes;
use rustix::net::{Shutdown, shutdown};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

/// A TCP connection after the HTTP answer that made it a websocket.
pub struct Wire {
    tcp: TcpStream,
    read_ahead: Bytes,
    guard: Box<dyn Send + Sync>,
}

impl Wire {
    /// `read_ahead` are the bytes that HTTP has read beyond its request; `guard` is dropped with the connection.
    #[must_use]
    pub fn new(tcp: TcpStream, read_ahead: Bytes, guard: impl Send + Sync + 'static) -> Self {
        Self { tcp, read_ahead, guard: Box::new(guard) }
    }

    /// The half to read from, what was read already, and the half to write to.
    pub(crate) fn split(self) -> (OwnedReadHalf, Bytes, Writer) {
        let (read, write) = self.tcp.into_split();
        (read, self.read_ahead, Writer(Arc::new(Halves { write, _guard: self.guard })))
    }
}

impl std::fmt::Debug for Wire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wire").field("tcp", &self.tcp).finish_non_exhaustive()
    }
}

/// The half to write to. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Writer(Arc<Halves>);

struct Halves {
    write: OwnedWriteHalf,
    _guard: Box<dyn Send + Sync>,
}

impl Writer {
    /// Writes what the connection takes at once.
    pub(crate) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write.try_write(bytes)
    }

    /// The same for several slices in one call.
    pub(crate) fn try_write_all(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.write.try_write_vectored(slices)
    }

    /// Writes all of it.
    pub(crate) async fn write_whole(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.try_write(bytes) {
                Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.writable().await?,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Resolves when the connection may take bytes.
    pub(crate) async fn writable(&self) -> io::Result<()> {
        self.0.write.writable().await
    }

    /// Nothing more is written: the peer reads to the end.
    pub(crate) fn finish(&self) {
        let _ = shutdown(self.0.write.as_ref(), Shutdown::Write);
    }

    /// Ends the connection: the peer may read what was written before.
    pub(crate) fn close(&self) {
        let _ = shutdown(self.0.write.as_ref(), Shutdown::Both);
    }

    /// Ends the connection at once with a reset, even if the peer reads nothing.
    pub(crate) fn cut(&self) {
        let _ = self.0.write.as_ref().set_zero_linger();
        let _ = shutdown(self.0.write.as_ref(), Shutdown::Both);
    }
}
