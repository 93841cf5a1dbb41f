//! A stream of NATS JetStream, read with a durable consumer. The home of `async_nats` on the bus.
//!
//! **Order**: the messages of a stream cross in order, one after another; streams are independent of each other.
//! **Acknowledgement**: after a batch has crossed, each of its messages as a publication or a dead letter. Messages
//! without acknowledgement are read again: after a crash the last batch crosses twice, unless the memory of duplicates
//! contains it. **Back-pressure**: nothing is asked for while a batch crosses; messages wait in the stream.
//!
//! `fan-out`: each node has a consumer of its own, `GROUP@NODE`. It stays when the node ends, so that the node continues
//! where it stopped, until nobody has asked for its messages for `forget_after`. JetStream pins it to the process that
//! reads, so a second process of the same name gets nothing. `shared`: one consumer, `GROUP`, for all nodes; messages
//! that a node has and does not acknowledge go to another one after `claim_after`.

mod connection;
mod consumer;
mod header_value;
mod message;
mod pull;
mod reader;
mod trimming;

use std::sync::Arc;

use tokio::task::JoinSet;

use self::reader::Reader;
use super::consumers::Site;
use super::crossing::Crossing;
use tidegate_core::config::NatsSource;

/// Starts reading a stream, in a task and with a connection of its own.
pub(super) fn start(source: &NatsSource, site: &Site<'_>, running: &mut JoinSet<()>) {
    let Site { node, gates, unread, draining } = *site;
    let crossing = Crossing::new(gates.clone(), format!("nats:{}", source.stream), source.mode);
    let reader = Reader::new(Arc::new(source.clone()), node, crossing, unread);
    running.spawn(reader.run(draining.clone()));
}
