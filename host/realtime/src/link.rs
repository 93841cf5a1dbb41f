//! The port to one client's transport. Nothing else in this crate knows the transport, so that it can be replaced.

use std::sync::Arc;

use super::frame::Frame;

/// The transport's own id of a session. Whoever knows it can poll in the session's place, so it never leaves this
/// crate: logs and plugins see the connection's id.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct EngineId(Arc<str>);

impl EngineId {
    /// Takes the id in the transport's form.
    pub(super) fn new(id: impl Into<Arc<str>>) -> Self {
        Self(id.into())
    }
}

/// The transport of one client. Answers, messages about the session and publications are all written here.
///
/// A transport promises:
///
/// - **One order.** The client receives frames in the order in which [`Link::write`] took them, whatever they are.
/// - **Whole frames.** A write takes the frame as a whole or nothing of it, and never waits. The transport may keep the
///   frame, whose texts are shared, until it has sent it.
/// - **It says when it is ready.** It is ready while its buffer has room. When it is not, a write answers
///   [`WriteError::NotReady`], and it is for the connection to decide what happens to the frame. socketioxide can say
///   this only in answer to a write; it does not report that its buffer has room again.
/// - **A cut always works.** [`Link::kill`] ends the transport of a client that has stopped reading, too.
pub(super) trait Link: Send + Sync + 'static {
    /// Takes a frame. Never waits.
    ///
    /// # Errors
    /// [`WriteError`]; then the link took nothing.
    fn write(&self, frame: &Frame) -> Result<(), WriteError>;

    /// Closes the transport, so that a stock client reconnects.
    fn kill(&self);
}

/// Why a link took nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum WriteError {
    /// The buffer of the transport is full.
    #[error("the link is not ready")]
    NotReady,
    /// The link is closed.
    #[error("the link is closed")]
    Closed,
}

#[cfg(test)]
pub(super) mod fake {
    use std::sync::Arc;

    use parking_lot::Mutex;

    use super::super::frame::Frame;
    use super::{Link, WriteError};

    /// A link that remembers what was written to it. Clones are the same link.
    #[derive(Clone, Default)]
    pub(crate) struct FakeLink(Arc<Mutex<State>>);

    #[derive(Default)]
    struct State {
        frames: Vec<Frame>,
        is_full: bool,
        is_killed: bool,
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

        pub(crate) fn is_killed(&self) -> bool {
            self.0.lock().is_killed
        }
    }

    impl Link for FakeLink {
        fn write(&self, frame: &Frame) -> Result<(), WriteError> {
            let mut state = self.0.lock();
            if state.is_full {
                return Err(WriteError::NotReady);
            }
            state.frames.push(frame.clone());
            Ok(())
        }

        fn kill(&self) {
            self.0.lock().is_killed = true;
        }
    }

    fn shown(frame: &Frame) -> String {
        match frame {
            Frame::Event(event) => {
                let args: Vec<&str> = event.args.iter().map(|arg| arg.as_str()).collect();
                format!("{}({})", event.name, args.join(", "))
            }
            Frame::Ack(id, answer) => format!("ack({}, {answer})", id.0),
            Frame::Disconnect => "disconnect".to_owned(),
        }
    }
}
