//! Messages between nodes: the stream keeps them, so that a node which starts later, or was away, reads them. A message on
//! the subject that every node listens to says that there is something new.

use std::time::Duration;

use super::super::Lost;
use super::State;
use super::stream::{Kept, Stored, Terms};

/// How long they are kept.
const KEPT: Duration = Duration::from_secs(30 * 24 * 3600);
/// About how many are kept: so many more, and the oldest go.
const KEPT_MAX: u64 = 10_000;
/// There is something new to read.
pub(super) const READ: &str = "read";
/// A node has so many gaps to send that every topic may have missed something.
pub(super) const GAP_EVERYWHERE: &str = "gap";

/// Sends a message to every node.
pub(super) async fn tell(state: &State, message: String) -> Result<(), Lost> {
    let terms = Terms { ttl: Some(KEPT), ..Terms::default() };
    if let Stored::At(seq) = state.stream.store(state.names.control(), message, &terms).await? {
        state.saw(seq);
        if seq % KEPT_MAX == 0 {
            state.stream.keep(&state.names.control(), KEPT_MAX).await?;
        }
    }
    state.connection.publish(state.names.nodes(), READ.to_owned()).await
}

/// Those behind a place.
pub(super) async fn told(state: &State, after: u64) -> Result<Vec<Kept>, Lost> {
    let subject = state.names.control();
    match state.stream.last(&subject).await? {
        Some(last) if last.seq > after => state.stream.range(&subject, after + 1, last.seq).await,
        _ => Ok(Vec::new()),
    }
}
