//! Redis Streams, read with consumer groups. With `entry` and `link` here the home of `redis` on the bus.
//!
//! **Order**: the entries of a stream cross in order, one after another; streams are independent of each other.
//! **Acknowledgement**: after a batch has crossed, each of its entries as a publication or a dead letter. Entries
//! without acknowledgement are read again: after a crash the last batch crosses twice, unless the memory of duplicates
//! contains it. **Back-pressure**: nothing is read while a batch crosses; entries wait in Redis.
//!
//! `fan-out`: each node has its own group, `GROUP:NODE`. The group stays when the node ends, so that the node continues
//! where it stopped. A hash next to the stream lists the nodes and when each was last seen. The process that holds a
//! node's entry there is the only one that reads with its name; a node that was not seen for `forget_after` loses its
//! group. `shared`: one group with a consumer for each node; entries that a node has and does not acknowledge are taken
//! over by another one.

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

    /// Reads each stream in its own task and with its own connection: a stream of the wrong type does not stop the
    /// others.
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
