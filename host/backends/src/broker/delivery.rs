//! Hands to the node what a broker's messages say about topics with positions: in order, and what was missed first.

use std::sync::Arc;

use serde_json::value::RawValue;

use super::catch_up::catch_up;
use super::follower::{Again, Follower, Next};
use super::interest::Interest;
use super::message::{Heading, Message};
use tidegate_core::flow::broker::HearsNodes;
use tidegate_core::flow::ports::{HistoryAway, Page, Removed, Wanted};
use tidegate_core::protocol::{Epoch, Key, Payload, Position, Topic};
use tidegate_core::telemetry;

/// What a broker shares with its deliveries.
pub(super) trait Followed: Send + Sync + 'static {
    /// The topics that this node listens to.
    fn interest(&self) -> &Interest;

    /// Reads the history of a topic, and how often retained values of it were taken away.
    fn read_missed(
        &self,
        topic: &Topic,
        wanted: &Wanted,
    ) -> impl Future<Output = Result<(Page, u64), HistoryAway>> + Send;
}

/// The deliveries of a node.
pub(super) struct Delivery<S> {
    pub(super) state: Arc<S>,
    pub(super) node: Arc<dyn HearsNodes>,
}

impl<S> Clone for Delivery<S> {
    fn clone(&self) -> Self {
        Self { state: Arc::clone(&self.state), node: Arc::clone(&self.node) }
    }
}

impl<S: Followed> Delivery<S> {
    /// Takes a publication without a position, of another node.
    pub(super) fn plain(&self, topic: &Topic, heading: &str, payload: &str) {
        match Payload::parse(payload.to_owned()) {
            Ok(payload) => {
                let Heading { except, trace } = Heading::read(heading);
                self.node.hear_publication(topic, payload, except, None, trace);
            }
            Err(error) => tracing::error!(%topic, %error, "another node published a payload that is not JSON"),
        }
    }

    /// Takes a publication with a position, of this node or another.
    pub(super) fn numbered(&self, topic: &str, epoch: &str, offset: u64, heading: &str, payload: &str) {
        let Some((topic, follower)) = self.state.interest().follower(topic) else { return };
        let (Some(epoch), Ok(payload)) = (Epoch::parse(epoch), Payload::parse(payload.to_owned())) else {
            return tracing::warn!(%topic, "received a publication that this version does not understand");
        };
        telemetry::broker_heard();
        let position = Position { epoch, offset };
        let deliver = || {
            let Heading { except, trace } = Heading::read(heading);
            self.node.hear_publication(&topic, payload, except, Some(position.clone()), trace);
        };
        match follower.hear(&position, deliver) {
            Next::Nothing => {}
            Next::ToldAnew => self.tell_gap(&topic),
            Next::Read => self.catch_up(topic, follower),
        }
    }

    /// Takes the message that retained values were taken away, by this node or another.
    pub(super) fn removed(&self, topic: &str, epoch: &str, message: Message<'_>, keys: &str) {
        let Some((topic, follower)) = self.state.interest().follower(topic) else { return };
        let (Some(epoch), Ok(keys)) = (Epoch::parse(epoch), serde_json::from_str::<Vec<&RawValue>>(keys)) else {
            return tracing::warn!(%topic, "received a message that this version does not understand");
        };
        telemetry::broker_heard();
        let keys = keys.into_iter().map(|key| Key::new(key.get())).collect();
        let removed = Removed { keys, after: Position { epoch, offset: message.count } };
        if follower.hear_removed(message.before, removed, |removed| self.node.hear_removed(&topic, removed)) {
            self.tell_gap(&topic);
        }
    }

    /// Sees to it that what was missed of a topic is read. `false`: nothing with a position was heard of it yet, so that
    /// there is nothing to read after.
    pub(super) fn follow_again(&self, topic: &Topic) -> bool {
        let Some((topic, follower)) = self.state.interest().follower(topic.as_str()) else { return false };
        let again = follower.listens_again();
        if again == Again::Read {
            self.catch_up(topic, follower);
        }
        again != Again::Nothing
    }

    fn catch_up(&self, topic: Topic, follower: Arc<Follower>) {
        tokio::spawn(catch_up(self.clone(), topic, follower));
    }

    /// Tells the subscribers of a topic that something may be missing.
    pub(super) fn tell_gap(&self, topic: &Topic) {
        telemetry::broker_gap();
        self.node.hear_gap(topic);
    }
}
