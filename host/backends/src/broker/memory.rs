//! The broker of a single node: there are no other nodes, and nothing to wait for.

use futures_util::future::BoxFuture;

use tidegate_core::channels::Rate;
use tidegate_core::flow::Publication;
use tidegate_core::flow::broker::{Broker, Sending};
use tidegate_core::protocol::{Topic, User};

/// The broker of a single node.
#[derive(Debug, Clone, Copy, Default)]
pub struct MemoryBroker;

impl Broker for MemoryBroker {
    fn publish(&self, _: &Publication) -> Option<Sending> {
        None
    }

    fn subscribed(&self, _: &Topic) {}

    fn unsubscribed(&self, _: &Topic) {}

    fn listening(&self, _: &Topic) -> Option<Sending> {
        None
    }

    fn take(&self, _: &str, _: &User, _: Rate) -> Option<BoxFuture<'static, bool>> {
        None
    }

    fn tell(&self, _: Vec<u8>) -> Option<Sending> {
        None
    }

    fn is_away(&self) -> bool {
        false
    }
}
