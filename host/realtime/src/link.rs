//! The port to one client's transport, so that the rest of this crate can be tested without one.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use futures_util::future::BoxFuture;
use tidegate_transport::{Carrier, CloseReason, Offset, Packet, SendError, Sent, Socket, Waiting};

use super::frame::{Delivery, Frame};

/// The transport of one client. Answers, messages about the session and publications are all written here.
///
/// A transport promises:
///
/// - **One order.** The client receives frames in the order in which the link took them, whatever they are. Only
///   publications with a slot may be overtaken.
/// - **Whole frames.** A write takes the frame as a whole or nothing of it, and never waits.
/// - **Bounded bytes.** A client that reads slower than it is sent to is a [`SendError::SlowConsumer`] at
///   `limits.outbound_bytes`; it is for the connection to decide what happens then.
/// - **A cut always works.** [`Link::cut`] ends the transport of a client that has stopped reading, too.
pub(super) trait Link: Send + Sync + 'static {
    /// Takes a frame. Never waits.
    ///
    /// # Errors
    /// [`SendError`]; then the link took nothing.
    fn write(&self, frame: &Frame) -> Result<(), SendError>;

    /// Takes several publications in their order, or none of them if the client has left: what is written after
    /// `has_left` was set comes after the last of them. One with a slot takes the place of an older one that waits there.
    ///
    /// # Errors
    /// [`SendError`]; then the link may have taken some.
    fn deliver(&self, batch: &[Arc<Delivery>], has_left: &AtomicBool) -> Result<Sent, SendError>;

    /// Drops the publications of a room that wait in a slot.
    fn forget(&self, room: u64);

    /// Resolves when fewer than so many bytes wait of the answers that are counted apart, or the transport is gone.
    fn has_room_apart(&self, bytes_max: usize) -> BoxFuture<'_, ()>;

    /// The events that a client with recovery may or may not have processed, in the order in which they were written.
    fn unanswered(&self) -> Vec<Offset> {
        Vec::new()
    }

    /// Closes the transport as soon as the client has what was written. A stock client reconnects.
    fn finish(&self, reason: CloseReason);

    /// Closes the transport at once. A stock client reconnects.
    fn cut(&self, reason: CloseReason);

    /// How much waits for the client.
    fn waiting(&self) -> Waiting;

    /// The name in the log of what carries the session now.
    fn carrier(&self) -> &'static str;
}

impl Link for Socket {
    fn write(&self, frame: &Frame) -> Result<(), SendError> {
        match frame {
            Frame::Publication(delivery) => self.send(delivery.packet()),
            Frame::SessionEvent(told) => self.send(told.packet()),
            Frame::Ack(packet) => self.send(packet),
            Frame::Disconnect => self.disconnect(),
        }
    }

    fn deliver(&self, batch: &[Arc<Delivery>], has_left: &AtomicBool) -> Result<Sent, SendError> {
        match batch {
            [one] => self.send_each(&[one.packet()], has_left),
            _ => {
                let packets: Vec<&Packet> = batch.iter().map(|delivery| delivery.packet()).collect();
                self.send_each(&packets, has_left)
            }
        }
    }

    fn forget(&self, room: u64) {
        self.forget(room);
    }

    fn has_room_apart(&self, bytes_max: usize) -> BoxFuture<'_, ()> {
        Box::pin(self.has_room_apart(bytes_max))
    }

    fn unanswered(&self) -> Vec<Offset> {
        self.unanswered()
    }

    fn finish(&self, reason: CloseReason) {
        self.finish(reason);
    }

    fn cut(&self, reason: CloseReason) {
        self.cut(reason);
    }

    fn waiting(&self) -> Waiting {
        self.waiting()
    }

    fn carrier(&self) -> &'static str {
        match self.carrier() {
            Carrier::Polling => "polling",
            Carrier::Websocket => "websocket",
        }
    }
}

#[cfg(test)]
pub(super) mod fake {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use parking_lot::Mutex;
    use serde_json::value::RawValue;

    use futures_util::future::BoxFuture;
    use tidegate_transport::{CloseReason, Offset, Place, SendError, Sent, Waiting};

    use super::super::frame::{Delivery, Frame};
    use super::Link;

    /// A link that remembers what was written to it. Clones are the same link.
    #[derive(Clone, Default)]
    pub(crate) struct FakeLink(Arc<Mutex<State>>);

    #[derive(Default)]
    struct State {
        frames: Vec<Frame>,
        is_full: bool,
        is_cut: bool,
        is_finished: bool,
        unanswered: Vec<Offset>,
    }

    impl FakeLink {
        /// A link whose client does not read.
        pub(crate) fn full() -> Self {
            let link = Self::default();
            link.0.lock().is_full = true;
            link
        }

        /// The frames in order: an event as `name(argument, …)`, an answer as `ack(id, answer)`.
        pub(crate) fn frames(&self) -> Vec<String> {
            self.0.lock().frames.iter().map(shown).collect()
        }

        /// The last frame.
        pub(crate) fn last(&self) -> Frame {
            self.0.lock().frames.last().unwrap().clone()
        }

        pub(crate) fn is_cut(&self) -> bool {
            self.0.lock().is_cut
        }
    }

    impl Link for FakeLink {
        fn write(&self, frame: &Frame) -> Result<(), SendError> {
            let mut state = self.0.lock();
            if state.is_full {
                return Err(SendError::SlowConsumer);
            }
            state.frames.push(frame.clone());
            Ok(())
        }

        fn deliver(&self, batch: &[Arc<Delivery>], has_left: &AtomicBool) -> Result<Sent, SendError> {
            if has_left.load(Ordering::Acquire) {
                return Ok(Sent::default());
            }
            batch.iter().try_for_each(|delivery| self.write(&Frame::Publication(Arc::clone(delivery))))?;
            Ok(Sent { taken: batch.len(), replaced: 0 })
        }

        fn forget(&self, room: u64) {
            let is_of_it = |frame: &Frame| match frame {
                Frame::Publication(delivery) => matches!(&delivery.place, Place::Newest(slot) if slot.group == room),
                Frame::SessionEvent(_) | Frame::Ack(_) | Frame::Disconnect => false,
            };
            self.0.lock().frames.retain(|frame| !is_of_it(frame));
        }

        fn has_room_apart(&self, _: usize) -> BoxFuture<'_, ()> {
            Box::pin(std::future::ready(()))
        }

        fn unanswered(&self) -> Vec<Offset> {
            self.0.lock().unanswered.clone()
        }

        fn finish(&self, _: CloseReason) {
            self.0.lock().is_finished = true;
        }

        fn cut(&self, _: CloseReason) {
            self.0.lock().is_cut = true;
        }

        fn waiting(&self) -> Waiting {
            Waiting::default()
        }

        fn carrier(&self) -> &'static str {
            "websocket"
        }
    }

    fn shown(frame: &Frame) -> String {
        let text = match frame {
            Frame::Publication(delivery) => delivery.packet().text(),
            Frame::SessionEvent(told) => told.packet().text(),
            Frame::Ack(packet) => packet.text(),
            Frame::Disconnect => return "disconnect".to_owned(),
        };
        if let Some(event) = text.strip_prefix("42[") {
            let array = format!("[{event}");
            let event: Vec<&RawValue> = serde_json::from_str(&array).unwrap();
            let name: String = serde_json::from_str(event[0].get()).unwrap();
            let arguments: Vec<&str> = event[1..].iter().map(|argument| argument.get()).collect();
            return format!("{name}({})", arguments.join(", "));
        }
        let (id, answer) = text.strip_prefix("43").unwrap().split_once('[').unwrap();
        format!("ack({id}, {})", answer.strip_suffix(']').unwrap())
    }
}
