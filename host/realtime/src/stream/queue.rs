//! What waits for the client of one stream. The rooms and the server put texts in, and the answer takes them out.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use axum::body::Bytes;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tidegate_transport::{Backlog, CloseReason, Overflow, Place, Pushed, SendError, Sent, Waiting};
use tokio::sync::Notify;

use crate::frame::{Delivery, Frame};
use crate::link::Link;
use tidegate_core::protocol::SessionEvent;

/// Texts that go out in one piece have about so many bytes.
const CHUNK_BYTES: usize = 16 << 10;

/// The queue of one stream. Clones are the same queue.
#[derive(Clone)]
pub(super) struct Queue(Arc<Shared>);

struct Shared {
    /// Held for a push or a pop.
    state: Mutex<State>,
    /// Notified when the reader has something to do.
    ready: Notify,
    bytes_max: usize,
    /// Bytes that wait in the queues of all streams.
    waiting: Arc<AtomicUsize>,
}

#[derive(Default)]
struct State {
    texts: Backlog<Bytes>,
    end: End,
}

#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum End {
    /// The stream goes on.
    #[default]
    Open,
    /// It ends behind what waits.
    Finishing(CloseReason),
    /// It ends at once.
    Cut(CloseReason),
}

/// What the reader gets.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// This text.
    Text(Bytes),
    /// The stream has ended in order.
    Finished,
    /// The stream was cut.
    Cut,
}

impl Queue {
    /// An empty queue. `waiting` counts the bytes of all queues.
    pub(super) fn new(bytes_max: usize, waiting: Arc<AtomicUsize>) -> Self {
        let state = Mutex::new(State::default());
        Self(Arc::new(Shared { state, ready: Notify::new(), bytes_max, waiting }))
    }

    /// The next texts together, about [`CHUNK_BYTES`] of them. Only one reader waits.
    pub(super) async fn next(&self) -> Next {
        loop {
            if let Some(next) = self.take() {
                return next;
            }
            self.0.ready.notified().await;
        }
    }

    /// Resolves when the stream was cut: what waits is for nobody.
    pub(super) async fn until_cut(&self) {
        loop {
            let ready = self.0.ready.notified();
            if let End::Cut(_) = self.0.state.lock().end {
                return;
            }
            ready.await;
        }
    }

    /// Why the stream ends, if the server ends it.
    pub(super) fn reason(&self) -> Option<CloseReason> {
        match self.0.state.lock().end {
            End::Open => None,
            End::Finishing(reason) | End::Cut(reason) => Some(reason),
        }
    }

    fn take(&self) -> Option<Next> {
        let mut state = self.0.state.lock();
        if let End::Cut(_) = state.end {
            return Some(Next::Cut);
        }
        let text = self.change(&mut state, |texts| texts.pop().map(|first| together(first, || texts.pop())));
        if text.is_none() {
            // Gives back what a long wait took.
            state.texts = Backlog::default();
        }
        let finished = || matches!(state.end, End::Finishing(_)).then_some(Next::Finished);
        text.map(Next::Text).or_else(finished)
    }

    /// Changes what waits, and counts it.
    fn change<T>(&self, state: &mut State, change: impl FnOnce(&mut Backlog<Bytes>) -> T) -> T {
        let before = state.texts.bytes();
        let changed = change(&mut state.texts);
        self.0.waiting.fetch_add(state.texts.bytes(), Ordering::Relaxed);
        self.0.waiting.fetch_sub(before, Ordering::Relaxed);
        changed
    }

    fn push(&self, state: &mut State, place: &Place, text: &Bytes) -> Result<Pushed, SendError> {
        let pushed = self.change(state, |texts| texts.push(place, text.clone(), self.0.bytes_max));
        pushed.map_err(|Overflow| SendError::SlowConsumer)
    }

    fn end(&self, end: End) {
        let mut state = self.0.state.lock();
        match (state.end, end) {
            (End::Cut(_), _) | (End::Finishing(_), End::Finishing(_)) => return,
            // The first reason stays.
            (End::Finishing(reason), End::Cut(_)) => state.end = End::Cut(reason),
            (End::Open, _) | (End::Finishing(_), End::Open) => state.end = end,
        }
        if let End::Cut(_) = state.end {
            self.change(&mut state, |texts| *texts = Backlog::default());
        }
        drop(state);
        self.0.ready.notify_one();
    }

    /// Nobody reads any more.
    pub(super) fn close(&self) {
        self.end(End::Cut(CloseReason::TransportClose));
    }
}

/// Joins texts to one of about [`CHUNK_BYTES`]. One that is as large by itself is not copied.
pub(super) fn together(first: Bytes, mut next: impl FnMut() -> Option<Bytes>) -> Bytes {
    if first.len() >= CHUNK_BYTES {
        return first;
    }
    let Some(second) = next() else { return first };
    let mut text = Vec::with_capacity(CHUNK_BYTES.max(first.len() + second.len()));
    text.extend_from_slice(&first);
    text.extend_from_slice(&second);
    while text.len() < CHUNK_BYTES
        && let Some(more) = next()
    {
        text.extend_from_slice(&more);
    }
    text.into()
}

/// Whether a message about the session is the last one: a stream is about one topic.
const fn is_end(event: &SessionEvent) -> bool {
    matches!(event, SessionEvent::Revoked { .. } | SessionEvent::SessionRevoked { .. } | SessionEvent::Expired)
}

impl Link for Queue {
    /// What comes after the end is for nobody, and no mistake: the end is on its way.
    fn write(&self, frame: &Frame) -> Result<(), SendError> {
        let (text, is_end) = match frame {
            Frame::Publication(delivery) => {
                return self.deliver(std::slice::from_ref(delivery), &AtomicBool::new(false)).map(drop);
            }
            Frame::SessionEvent(told) => (told.text(), is_end(&told.event)),
            Frame::Disconnect => {
                self.end(End::Finishing(CloseReason::ServerDisconnect));
                return Ok(());
            }
            // The client of a stream sends no events.
            Frame::Ack(_) => return Ok(()),
        };
        let mut state = self.0.state.lock();
        if state.end != End::Open {
            return Ok(());
        }
        self.push(&mut state, &Place::InOrder, text)?;
        drop(state);
        if is_end {
            self.end(End::Finishing(CloseReason::ServerDisconnect));
        } else {
            self.0.ready.notify_one();
        }
        Ok(())
    }

    fn deliver(&self, batch: &[Arc<Delivery>], has_left: &AtomicBool) -> Result<Sent, SendError> {
        let mut state = self.0.state.lock();
        if state.end != End::Open || has_left.load(Ordering::Acquire) {
            return Ok(Sent::default());
        }
        let mut sent = Sent { taken: batch.len(), replaced: 0 };
        for delivery in batch {
            let pushed = self.push(&mut state, &delivery.place, delivery.text())?;
            sent.replaced += usize::from(pushed == Pushed::Replaces);
        }
        drop(state);
        self.0.ready.notify_one();
        Ok(sent)
    }

    fn forget(&self, room: u64) {
        self.change(&mut self.0.state.lock(), |texts| texts.forget(room));
    }

    /// The client of a stream gets no answers.
    fn has_room_apart(&self, _: usize) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }

    fn finish(&self, reason: CloseReason) {
        self.end(End::Finishing(reason));
    }

    fn cut(&self, reason: CloseReason) {
        self.end(End::Cut(reason));
    }

    fn waiting(&self) -> Waiting {
        Waiting { bytes: self.0.state.lock().texts.bytes(), unanswered_since: None }
    }

    fn carrier(&self) -> &'static str {
        "stream"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rooms::fixture::publication;
    use futures_util::FutureExt;
    use tidegate_core::protocol::{Code, Topic};

    static STAYS: AtomicBool = AtomicBool::new(false);

    fn queue(bytes_max: usize) -> Queue {
        Queue::new(bytes_max, Arc::default())
    }

    fn delivery(payload: &str) -> Arc<Delivery> {
        Delivery::new(publication("feed.{id}", "feed.a", payload), 0, || 1)
    }

    fn text(number: u32) -> String {
        format!("event: feed.a\ndata: {{\"payload\":{number},\"meta\":{{}}}}\n\n")
    }

    fn next(queue: &Queue) -> Option<Next> {
        queue.next().now_or_never()
    }

    fn revoked() -> Frame {
        let topic = Topic::parse("feed.a").unwrap();
        Frame::session_event(&SessionEvent::Revoked { topic, reason: Code::Forbidden })
    }

    #[test]
    fn what_waits_goes_out_together_in_its_order() {
        let queue = queue(1 << 20);
        assert_eq!(next(&queue), None);
        queue.deliver(&[delivery("1"), delivery("2")], &STAYS).unwrap();
        queue.write(&Frame::Publication(delivery("3"))).unwrap();
        assert_eq!(next(&queue), Some(Next::Text((text(1) + &text(2) + &text(3)).into())));
        assert_eq!((next(&queue), queue.0.waiting.load(Ordering::Relaxed)), (None, 0));
    }

    #[test]
    fn a_text_is_made_once_for_all_streams() {
        let (one, other, delivery) = (queue(1 << 20), queue(1 << 20), delivery("1"));
        one.deliver(std::slice::from_ref(&delivery), &STAYS).unwrap();
        other.deliver(std::slice::from_ref(&delivery), &STAYS).unwrap();
        let (Some(Next::Text(one)), Some(Next::Text(other))) = (next(&one), next(&other)) else { panic!("two texts") };
        assert_eq!(one.as_ptr(), other.as_ptr());
    }

    #[test]
    fn a_client_is_too_far_behind_by_bytes_and_one_publication_always_has_room() {
        let queue = queue(10);
        queue.deliver(&[delivery("1")], &STAYS).unwrap();
        assert_eq!(queue.deliver(&[delivery("2")], &STAYS), Err(SendError::SlowConsumer));
        queue.cut(CloseReason::SlowConsumer);
        assert_eq!((next(&queue), queue.reason()), (Some(Next::Cut), Some(CloseReason::SlowConsumer)));
        assert_eq!(queue.0.waiting.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_client_that_is_behind_gets_the_newest_of_each_key_and_nothing_of_a_topic_that_it_left() {
        let queue = queue(200);
        let newest = |n: u32| {
            let payload = format!(r#"{{"key":{},"n":{n}}}"#, n % 2);
            Delivery::new(crate::rooms::fixture::newest("feed.{id}", "feed.a", &payload), 7, || 1)
        };
        let replaced = (0..100).map(|n| queue.deliver(&[newest(n)], &STAYS).unwrap().replaced).sum::<usize>();
        assert_eq!(replaced, 98);
        let Some(Next::Text(text)) = next(&queue) else { panic!("a text") };
        let text = String::from_utf8(text.to_vec()).unwrap();
        assert!(
            text.contains("\"n\":98}") && text.contains("\"n\":99}") && text.matches("data:").count() == 2,
            "{text}"
        );
        queue.deliver(&[newest(100)], &STAYS).unwrap();
        queue.forget(7);
        queue.write(&revoked()).unwrap();
        let Some(Next::Text(text)) = next(&queue) else { panic!("a text") };
        assert!(text.starts_with(b"event: tidegate"));
        assert_eq!((next(&queue), queue.0.waiting.load(Ordering::Relaxed)), (Some(Next::Finished), 0));
    }

    #[test]
    fn a_message_that_ends_the_topic_ends_the_stream_behind_what_waits() {
        let queue = queue(1 << 20);
        queue.deliver(&[delivery("1")], &STAYS).unwrap();
        queue.write(&revoked()).unwrap();
        assert_eq!(queue.deliver(&[delivery("2")], &STAYS), Ok(Sent::default()));
        let told = "event: tidegate\ndata: {\"type\":\"revoked\",\"channel\":\"feed.a\",\"reason\":\"forbidden\"}\n\n";
        assert_eq!(next(&queue), Some(Next::Text((text(1) + told).into())));
        assert_eq!(next(&queue), Some(Next::Finished));
    }

    #[test]
    fn who_has_left_the_room_receives_nothing_of_it() {
        let queue = queue(1 << 20);
        assert_eq!(queue.deliver(&[delivery("1")], &AtomicBool::new(true)), Ok(Sent::default()));
        assert_eq!(next(&queue), None);
    }

    #[test]
    fn a_large_text_is_not_copied_and_a_cut_ends_a_wait() {
        let queue = queue(1 << 20);
        let large = delivery(&format!("\"{}\"", "x".repeat(CHUNK_BYTES)));
        queue.deliver(&[large.clone(), delivery("1")], &STAYS).unwrap();
        let Some(Next::Text(first)) = next(&queue) else { panic!("a text") };
        assert_eq!(first.as_ptr(), large.text().as_ptr());
        let mut waits = std::pin::pin!(queue.until_cut());
        assert_eq!(waits.as_mut().now_or_never(), None);
        queue.cut(CloseReason::ServerDrain);
        assert_eq!(waits.now_or_never(), Some(()));
    }
}
