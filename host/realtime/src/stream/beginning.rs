//! What a stream begins with: what the client missed, or why it does not get that and the snapshot; then the message that
//! the stream is live.
//!
//! What was missed comes from the history part by part, as the client takes it. Meanwhile publications of the topic do not
//! wait for the client: the history has them, too.

use std::collections::VecDeque;

use axum::body::Bytes;
use tidegate_transport::CloseReason;

use super::Open;
use super::queue::together;
use super::text::{self, publication_text, value_text};
use crate::link::Link;
use tidegate_core::flow::Membership;
use tidegate_core::protocol::{Kept, Meta, Position, Recovery, SessionEvent, Snapshot, SubscribeReceipt};

/// The beginning of one stream, as far as it has not gone out.
pub(super) struct Beginning {
    texts: VecDeque<Bytes>,
    receipt: SubscribeReceipt,
    /// The client reads on in the history from here.
    reading: Option<Position>,
    /// The client knows when to be back.
    has_retry: bool,
}

impl Beginning {
    /// Begins a stream that has this receipt.
    pub(super) fn of(mut receipt: SubscribeReceipt, open: &Open) -> Self {
        let recovery = receipt.recovery.take();
        let snapshot = receipt.snapshot.take();
        let mut beginning = Self { texts: VecDeque::new(), receipt, reading: None, has_retry: false };
        match recovery {
            Some(Recovery::Whole(missed)) => {
                beginning.reading.clone_from(&beginning.receipt.position);
                beginning.push_missed(&missed);
                open.reads_on(&beginning.receipt.topic);
                return beginning;
            }
            Some(Recovery::Not(reason)) => {
                beginning.push(text::session_text(&SessionEvent::Unrecovered { reason, topics: Vec::new() }));
            }
            None => {}
        }
        let topic = beginning.receipt.topic.clone();
        match snapshot {
            Some(Snapshot::Values(values)) => values
                .iter()
                .for_each(|one| beginning.push(value_text(&topic, one.payload.as_str(), one.position.as_ref()))),
            Some(Snapshot::Payloads(payloads)) => {
                payloads.iter().for_each(|payload| beginning.push(value_text(&topic, payload.as_str(), None)));
            }
            None => {}
        }
        beginning.end(open);
        beginning
    }

    /// The next texts together; `None` if the beginning is over. After the end of the stream nothing of the topic follows.
    pub(super) async fn next(&mut self, open: &Open) -> Option<Bytes> {
        loop {
            if open.queue.reason().is_some() {
                (self.texts, self.reading) = (VecDeque::new(), None);
            }
            if let Some(first) = self.texts.pop_front() {
                return Some(together(first, || self.texts.pop_front()));
            }
            let since = self.reading.take()?;
            if self.read_on(open, since).await.is_none() {
                // It comes back, and hears why.
                open.queue.finish(CloseReason::ServerClose);
            }
        }
    }

    /// Reads the next part of what was missed. At the end of the history the stream becomes live. `None` if the history
    /// does not have it any more, or cannot be reached.
    async fn read_on(&mut self, open: &Open, since: Position) -> Option<()> {
        let missed = self.part(open, &since).await?;
        if self.push_missed(&missed) {
            return Some(());
        }
        // What is published from now on waits. What was published until now is in the history.
        open.connection.held.hold(&self.receipt.topic);
        self.reading = Some(since);
        while let Some(since) = self.reading.take() {
            let missed = self.part(open, &since).await?;
            (self.receipt.position, self.receipt.past) = (Some(since.clone()), Some(since));
            self.push_missed(&missed);
        }
        self.end(open);
        Some(())
    }

    async fn part(&self, open: &Open, since: &Position) -> Option<Vec<Kept>> {
        match open.gates.read_on(&open.connection.session, &self.receipt.topic, since).await {
            Ok(Recovery::Whole(missed)) => Some(missed),
            Ok(Recovery::Not(_)) | Err(_) => None,
        }
    }

    /// Returns whether there was something, and then the client reads on behind it.
    fn push_missed(&mut self, missed: &[Kept]) -> bool {
        for Kept { payload, position, trace } in missed {
            let meta = Meta { position: Some(position), trace: trace.as_ref() };
            self.push(publication_text(&self.receipt.topic, payload.as_str(), meta));
        }
        let last = missed.last().map(|last| last.position.clone());
        let has_more = last.is_some();
        self.reading = last.or_else(|| self.reading.take());
        has_more
    }

    /// The stream is live.
    fn end(&mut self, open: &Open) {
        self.push(text::subscribed(&self.receipt).into());
        let SubscribeReceipt { topic, past, .. } = &self.receipt;
        open.realtime.member(&open.connection).resume(topic, past.as_ref());
    }

    fn push(&mut self, text: Bytes) {
        let is_first = !std::mem::replace(&mut self.has_retry, true);
        self.texts.push_back(if is_first { text::with_retry(&String::from_utf8_lossy(&text)).into() } else { text });
    }
}
