//! The narrow port to one client's transport. The rest of this folder knows nothing else of the transport, so that it
//! can be replaced.

use serde_json::value::RawValue;

/// One client, reached through a transport.
pub(super) trait Link: Send + Sync + 'static {
    /// Queues an event with its arguments, each of them JSON already. Never waits.
    ///
    /// # Errors
    /// [`LinkError`]; then nothing was queued.
    fn emit(&self, event: &str, args: &[&RawValue]) -> Result<(), LinkError>;

    /// Queues the message that the client is disconnected: a stock client stays away. The client closes the transport.
    ///
    /// # Errors
    /// [`LinkError`]; then nothing was queued.
    fn disconnect(&self) -> Result<(), LinkError>;

    /// Drops the transport, so that a stock client reconnects. This also works on a peer that has stopped reading.
    fn kill(&self);
}

/// Why a link accepted nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum LinkError {
    /// `limits.outbound_queue` packets wait already: the client reads too slowly.
    #[error("the outbound queue is full")]
    Full,
    /// The link has ended.
    #[error("the link is closed")]
    Closed,
}

#[cfg(test)]
pub(super) mod fake {
    use std::sync::Arc;

    use parking_lot::Mutex;
    use serde_json::value::RawValue;

    use super::{Link, LinkError};

    /// A link that records what it received. Clones are the same link.
    #[derive(Clone, Default)]
    pub(crate) struct FakeLink(Arc<Mutex<Told>>);

    #[derive(Default)]
    struct Told {
        events: Vec<String>,
        is_full: bool,
        killed: bool,
    }

    impl FakeLink {
        /// A link whose client does not read.
        pub(crate) fn full() -> Self {
            let link = Self::default();
            link.0.lock().is_full = true;
            link
        }

        /// Each event as `name(argument, …)`, in order.
        pub(crate) fn events(&self) -> Vec<String> {
            self.0.lock().events.clone()
        }

        pub(crate) fn is_killed(&self) -> bool {
            self.0.lock().killed
        }
    }

    impl Link for FakeLink {
        fn emit(&self, event: &str, args: &[&RawValue]) -> Result<(), LinkError> {
            let mut told = self.0.lock();
            if told.is_full {
                return Err(LinkError::Full);
            }
            let args: Vec<&str> = args.iter().map(|arg| arg.get()).collect();
            told.events.push(format!("{event}({})", args.join(", ")));
            Ok(())
        }

        fn disconnect(&self) -> Result<(), LinkError> {
            let mut told = self.0.lock();
            if told.is_full {
                return Err(LinkError::Full);
            }
            told.events.push("disconnect".to_owned());
            Ok(())
        }

        fn kill(&self) {
            self.0.lock().killed = true;
        }
    }
}
