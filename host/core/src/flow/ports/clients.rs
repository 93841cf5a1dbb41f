//! The connections of this node, as a port.

use std::sync::Arc;

use serde::Serialize;

use crate::flow::revoke::Revocation;

/// The clients connected to this node.
pub trait Clients: Send + Sync + 'static {
    /// Ends the sessions whose credential a revocation covers, or ends the subscriptions that it covers; informs those
    /// clients, and has the other subscriptions of its user checked again soon. Never waits.
    fn revoke(&self, revocation: &Arc<Revocation>) -> Touched;
}

/// What a revocation changed on this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Touched {
    /// Ended sessions.
    pub sessions: usize,
    /// Ended subscriptions, in sessions that continue.
    pub subscriptions: usize,
    /// Sessions that continue and whose subscriptions are checked again.
    pub rechecked: usize,
}
