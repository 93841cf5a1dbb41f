//! Redis Streams, read by consumer groups. With `entry` and `link` here the home of `redis` on the bus.
//!
//! **Order**: the entries of a stream cross in their order, one after the other; streams are independent of one another.
//! **Acknowledgement**: after a batch has crossed, each of its entries as a publication or a dead letter. What was not
//! acknowledged is read again: after a crash the last batch crosses twice, unless the memory of duplicates holds it.
//! **Back-pressure**: nothing is read while a batch crosses; entries wait in Redis.
//!
//! `fan-out`: each node has a group of its own, `GROUP:NODE`, which stays when the node ends, so that it reads on where it
//! stopped. A hash beside the stream says which nodes there are and when each was last seen; whoever holds an entry there
//! is the one process that reads for that name, and a node that was not seen for `forget_after` loses its group.
//! `shared`: one group, a consumer a node; what a node has and does not acknowledge is taken over by another.

mod entry;
mod group;
mod link;
mod reader;

use std::sync::Arc;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::reader::Reader;
use super::crossing::Crossing;
use super::health::Unread;
use tidegate_core::config::{Name, RedisSource};
use tidegate_core::flow::Gates;

/// The streams of one source.
pub(super) struct Streams {
    source: Arc<RedisSource>,
    node: Name,
}

impl Streams {
    pub(super) fn new(source: &RedisSource, node: &Name) -> Self {
        Self { source: Arc::new(source.clone()), node: node.clone() }
    }

    /// Reads each stream in a task and on a link of its own: a stream of the wrong type holds up no other.
    pub(super) fn start(
        &self,
        gates: &Arc<Gates>,
        unread: &Unread,
        draining: &CancellationToken,
        running: &mut JoinSet<()>,
    ) {
        for stream in self.source.names() {
            let crossing = Crossing::new(gates.clone(), format!("redis:{stream}"), self.source.mode);
            let reader = Reader::new(self.source.clone(), stream, &self.node, crossing, unread);
            running.spawn(reader.run(draining.clone()));
        }
    }
}
