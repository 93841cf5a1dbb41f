//! Redis Streams, read with consumer groups. With `entry` and `connection` here the home of `redis` on the bus.
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

mod connection;
mod entry;
mod group;
mod reader;

use std::sync::Arc;

use tokio::task::JoinSet;

use self::reader::Reader;
use super::consumers::Site;
use super::crossing::Crossing;
use tidegate_core::config::RedisSource;

/// Starts reading each stream of a source, in its own task and with its own connection: a stream of the wrong type does not
/// stop the others.
pub(super) fn start(source: &RedisSource, site: &Site<'_>, running: &mut JoinSet<()>) {
    let Site { node, gates, unread, draining } = *site;
    let source = Arc::new(source.clone());
    for stream in source.names() {
        let crossing = Crossing::new(gates.clone(), format!("redis:{stream}"), source.mode);
        let reader = Reader::new(source.clone(), stream, node, crossing, unread);
        running.spawn(reader.run(draining.clone()));
    }
}
