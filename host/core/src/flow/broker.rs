//! The port to the other nodes: what is published here goes out to them, and what they publish comes in.
//!
//! Delivery to the subscribers of this node is no matter of the broker: it happens first, and waits for nothing. With
//! one node there is nobody to tell: every method answers `None` at once, and nothing is allocated or awaited.

use futures_util::future::BoxFuture;

use super::Publication;
use crate::channels::Rate;
use crate::protocol::{Topic, User};

/// Resolves once the broker took something, or will not: it is away, its queue is full (`limits.broker_queue`), or it
/// did not answer in time (`limits.broker_timeout`). It may have taken it all the same when it did not answer.
pub type Sending = BoxFuture<'static, Result<(), BrokerAway>>;

/// The broker did not take it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the broker is away")]
pub struct BrokerAway;

/// The other nodes.
pub trait Broker: Send + Sync + 'static {
    /// Hands a publication that cleared gate 4 to the other nodes. It has its place in the order of its topic when this
    /// returns, before the answer is awaited. `None`: there are no other nodes.
    fn publish(&self, publication: &Publication) -> Option<Sending>;

    /// A topic has its first subscriber on this node. `channel` is the template, for metrics.
    fn subscribed(&self, topic: &Topic, channel: &str);

    /// A topic has no subscriber on this node any more.
    fn unsubscribed(&self, topic: &Topic);

    /// Resolves once this node hears what others publish on a topic that has subscribers here. `None`: it does.
    fn listening(&self, topic: &Topic) -> Option<Sending>;

    /// Takes one message out of a window that every node takes from: the user's on `channel`, a template. `None`: the
    /// window of this node is the only one. Resolves to whether there was one left; while the broker is away there
    /// always is.
    fn take(&self, channel: &str, user: &User, rate: Rate) -> Option<BoxFuture<'static, bool>>;

    /// Tells every node, this one included, and those that start later while it still matters. They hear it at least
    /// once, in order, through [`HearsNodes`]. `None`: there are no other nodes, and nobody hears it.
    fn tell(&self, message: Vec<u8>) -> Option<Sending>;

    /// Whether other nodes cannot be reached now. Until they can, this node is not ready.
    fn is_away(&self) -> bool;
}

/// Hears what nodes tell each other with [`Broker::tell`].
pub trait HearsNodes: Send + Sync + 'static {
    /// Takes one message, which may have been heard before. Called in order; it does not block.
    fn hear(&self, message: &[u8]);
}
