//! The port to the other nodes: it sends this node's publications out and receives theirs.
//!
//! The broker does not deliver to this node's own subscribers: that happens first and waits for nothing, except on
//! channels with history, where every node hears what the broker numbered ([`super::ports::History`]). With one node every
//! method answers `None` at once, and allocates and awaits nothing.

use futures_util::future::BoxFuture;

use super::Publication;
use super::ports::Removed;
use crate::channels::Rate;
use crate::protocol::{ConnectionId, Payload, Position, Topic, TraceContext, User};

/// Resolves when the broker accepted or refused something. It refuses while it is away, while its queue is full
/// (`limits.broker_queue`), or when Redis does not answer in time (`limits.broker_timeout`). In the last case the
/// broker may have accepted it nevertheless.
pub type Sending = BoxFuture<'static, Result<(), BrokerAway>>;

/// The broker did not accept it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the broker is away")]
pub struct BrokerAway;

/// The other nodes.
pub trait Broker: Send + Sync + 'static {
    /// Sends a publication that cleared gate 4 to the other nodes. When this returns, the publication has its place in
    /// the order of its topic; the answer need not be awaited for that. `None`: there are no other nodes.
    fn publish(&self, publication: &Publication) -> Option<Sending>;

    /// Called when a topic has its first subscriber on this node.
    fn subscribed(&self, topic: &Topic);

    /// Called when a topic has no more subscribers on this node.
    fn unsubscribed(&self, topic: &Topic);

    /// Resolves when this node receives what other nodes publish on a topic with subscribers here. `None`: it does
    /// already.
    fn listening(&self, topic: &Topic) -> Option<Sending>;

    /// Takes one message from the rate window that all nodes share, for a user on `channel`, a template. `None`: only
    /// this node's own window counts. Resolves to whether a message was left; while the broker is away it resolves to
    /// `true`.
    fn take(&self, channel: &str, user: &User, rate: Rate) -> Option<BoxFuture<'static, bool>>;

    /// Sends a message to every node, this node included, and to nodes that start later as long as the message matters.
    /// Nodes receive it at least once, in order, through [`HearsNodes`]. `None`: there are no other nodes, and nobody
    /// receives it.
    fn tell(&self, message: Vec<u8>) -> Option<Sending>;

    /// Whether this node cannot reach other nodes now. Until it can, it is not ready.
    fn is_away(&self) -> bool;
}

/// Receives from the other nodes. Calls come in order. Must not block.
pub trait HearsNodes: Send + Sync + 'static {
    /// Receives a publication that cleared gate 4 on another node, or, with its position, on any node; `except` is a
    /// connection to leave out, `trace` the place in a trace that the publication was sent with. Those with positions come
    /// in the order of their positions.
    fn hear_publication(
        &self,
        topic: &Topic,
        payload: Payload,
        except: Option<ConnectionId>,
        position: Option<Position>,
        trace: Option<TraceContext>,
    );

    /// Learns that retained values of a topic were taken away, on any node: in the order of the publications.
    fn hear_removed(&self, topic: &Topic, removed: &Removed);

    /// Called when this node may have missed publications on a topic.
    fn hear_gap(&self, topic: &Topic);

    /// Learns that one of the node's links to the broker (`in`, `out`) works again, and of how many topics the subscribers
    /// here were told a gap, or why it does not work.
    fn hear_link(&self, link: &'static str, state: Result<usize, &str>);

    /// Receives a control message that a node sent with [`Broker::tell`], perhaps for a second time.
    fn hear_control(&self, message: &[u8]);
}
