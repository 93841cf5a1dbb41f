//! The narrow port to one client's transport: what the rest of this room knows of it, so that it can be changed.

use serde_json::value::RawValue;

/// One client, as reached through a transport.
pub(super) trait Link: Send + Sync + 'static {
    /// Queues an event with its arguments, each already JSON. Never waits.
    ///
    /// # Errors
    /// [`LinkError`]; nothing was queued then.
    fn emit(&self, event: &str, args: &[&RawValue]) -> Result<(), LinkError>;

    /// Queues the word that the client is disconnected: a stock client stays away. The transport is left to the client.
    ///
    /// # Errors
    /// [`LinkError`]; nothing was queued then.
    fn disconnect(&self) -> Result<(), LinkError>;

    /// Drops the transport, so that a stock client reconnects. It works on a peer that has stopped reading, too.
    fn kill(&self);
}

/// Why a link took nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum LinkError {
    /// `limits.outbound_queue` packets wait already: the peer does not read.
    #[error("the outbound queue is full")]
    Full,
    /// The link is over.
    #[error("the link is closed")]
    Closed,
}

#[cfg(test)]
pub(super) mod fake {
    use std::sync::Arc;

    use parking_lot::Mutex;
    use serde_json::value::RawValue;

    use super::{Link, LinkError};

    /// A link that remembers what it was told. Clones are the same link.
    #[derive(Clone, Default)]
    pub(crate) struct FakeLink(Arc<Mutex<Told>>);

    #[derive(Default)]
    struct Told {
        events: Vec<String>,
        is_full: bool,
        killed: bool,
    }

    impl FakeLink {
        /// A link whose peer does not read.
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
