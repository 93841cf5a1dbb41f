//! The outbound side of a session: what waits, how far the client is behind, and the writes.

mod backlog;
pub(crate) mod offsets;
mod outbox;
pub(crate) mod queue;
mod window;
mod wire;
mod writes;

pub use backlog::{Backlog, Overflow, Pushed, Weight};
pub use offsets::Offset;
pub(crate) use outbox::{Outbox, Poll, Waits};
pub use outbox::{Sent, Waiting};
pub use wire::Wire;
pub(crate) use wire::Writer;
