//! The answer that is a stream: what it begins with, then what waits in its queue, and a comment now and then.
//!
//! HTTP takes the next text when TCP has taken the one before, so that what waits for a slow client waits in its queue,
//! where it counts.

use std::io;
use std::time::Duration;

use axum::body::{Body, Bytes};
use tidegate_transport::CloseReason;

use super::Open;
use super::beginning::Beginning;
use super::queue::{Next, Queue};
use super::text;
use crate::Peer;

/// How long a stream is silent at most. HAProxy takes one for dead after 50 s, nginx after 60 s.
const COMMENT_INTERVAL: Duration = Duration::from_secs(20);

/// Reads one stream.
struct Reader {
    /// Goes out by itself, before everything.
    opening: Option<&'static str>,
    /// Goes out before what waits in the queue.
    beginning: Beginning,
    peer: Option<Peer>,
    open: Open,
}

/// The body of the answer.
pub(super) fn body(beginning: Beginning, peer: Option<Peer>, open: Open) -> Body {
    if let Some(peer) = &peer {
        peer.narrow();
    }
    let reader = Reader { opening: Some(text::OPENING), beginning, peer, open };
    Body::from_stream(futures_util::stream::unfold(reader, |mut reader| async move {
        let next = reader.next().await?;
        Some((next, reader))
    }))
}

impl Reader {
    /// The next text; `None` at the end.
    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        let queue = &self.open.queue;
        if let Some(peer) = &self.peer {
            // Whoever serves a stream limits its time.
            peer.requested();
            tokio::select! {
                biased;
                () = queue.until_cut() => return Some(cut(queue)),
                () = peer.drained() => {}
            }
        }
        let text = match self.next_text().await {
            Next::Text(text) => text,
            Next::Finished => return None,
            Next::Cut => return Some(cut(&self.open.queue)),
        };
        if let Some(peer) = &self.peer {
            peer.owes();
        }
        Some(Ok(text))
    }

    async fn next_text(&mut self) -> Next {
        let Self { opening, beginning, open, .. } = self;
        if let Some(opening) = opening.take() {
            return Next::Text(Bytes::from_static(opening.as_bytes()));
        }
        if let Some(text) = beginning.next(open).await {
            return Next::Text(text);
        }
        tokio::select! {
            biased;
            next = open.queue.next() => next,
            () = tokio::time::sleep(COMMENT_INTERVAL) => Next::Text(Bytes::from_static(text::COMMENT.as_bytes())),
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if let Some(peer) = &self.peer {
            peer.answered();
        }
        self.open.queue.close();
    }
}

/// An error ends the connection, so that the client does not take this for the end of the answer.
fn cut(queue: &Queue) -> io::Result<Bytes> {
    let reason = queue.reason().unwrap_or(CloseReason::TransportClose);
    Err(io::Error::new(io::ErrorKind::ConnectionReset, format!("{reason:?}")))
}
