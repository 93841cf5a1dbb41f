//! Standard output and error of a guest: a bounded buffer. The host logs it, and quotes it when the guest traps.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

/// Most bytes between two takes; the rest is dropped.
const OUTPUT_BYTES_MAX: usize = 4096;
/// Most bytes that a guest may write at once.
const WRITE_BYTES_MAX: usize = 64 << 10;

/// Both streams of one instance. Writing never fails and never waits: a guest that prints too much only loses text.
#[derive(Clone, Default)]
pub(crate) struct Output(Arc<Mutex<Vec<u8>>>);

impl Output {
    /// Takes the text since the last take.
    pub(crate) fn take(&self) -> String {
        let mut kept = self.0.lock();
        if kept.is_empty() {
            return String::new();
        }
        let text = String::from_utf8_lossy(&kept).trim().to_owned();
        kept.clear();
        text
    }

    fn keep(&self, bytes: &[u8]) {
        let mut kept = self.0.lock();
        let room = OUTPUT_BYTES_MAX.saturating_sub(kept.len());
        kept.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
    }
}

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Output {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl AsyncWrite for Output {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        self.keep(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl OutputStream for Output {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.keep(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_BYTES_MAX)
    }
}

#[async_trait::async_trait]
impl Pollable for Output {
    async fn ready(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_that_prints_without_end_keeps_the_beginning() {
        let output = Output::default();
        output.keep(b"first ");
        output.keep(&vec![b'x'; 3 * OUTPUT_BYTES_MAX]);
        let kept = output.take();
        assert_eq!(kept.len(), OUTPUT_BYTES_MAX);
        assert!(kept.starts_with("first x"));
        assert_eq!(output.take(), "");
    }
}
