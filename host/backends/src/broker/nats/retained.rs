//! The port of retained values and versions: the newest message of each key in the log of a topic is its value, so that
//! position, history and value are one write.

use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::time::Instant;

use super::super::links::Link;
use super::super::message::Heading;
use super::NatsBroker;
use super::draft::{Keep, Wish, Written};
use tidegate_core::channels::{HistoryPolicy, Keeping, Resolved};
use tidegate_core::flow::Publication;
use tidegate_core::flow::broker::BrokerAway;
use tidegate_core::flow::ports::{Removal, Removed, Retained, RetainedAway, Taken, Values, ValuesUnread};
use tidegate_core::protocol::{Position, Topic};

impl Retained for NatsBroker {
    fn publish(&self, publication: &Publication, keeping: Keeping, _: &mut dyn FnMut(Position)) -> Taken {
        let started = Instant::now();
        let Publication { topic, channel, payload, once, .. } = publication;
        let keep = Keep {
            key: channel.delivery.key_of(payload),
            version: channel.delivery.version_of(payload).ok().flatten(),
            keeping,
            found_by: channel.delivery.found_by,
        };
        let policy = channel.history.unwrap_or(HistoryPolicy::NUMBERS);
        let (heading, payload, once) = (Heading::of(publication), payload.unread(), once.clone());
        let (state, topic) = (Arc::clone(&self.state), topic.clone());
        let sent = state.write(&topic, Wish::Publish { heading, payload, policy, once, keep: Some(keep) });
        let taken = async move { state.numbered(&topic, sent, started).await.map_err(|BrokerAway| RetainedAway) };
        Taken::Sent(taken.boxed())
    }

    fn read(
        &self,
        of: &Resolved,
        keeping: Keeping,
        bytes_max: usize,
    ) -> BoxFuture<'static, Result<Values, ValuesUnread>> {
        let (state, topic, found_by) = (Arc::clone(&self.state), of.topic.clone(), of.channel.delivery.found_by);
        async move {
            // Who cannot write may be cut off, and would read what is old.
            if !state.links.is_up(Link::Out) {
                return Err(ValuesUnread::Away);
            }
            let read = state.read_values(&topic, found_by, keeping, bytes_max).await;
            let values = read.unwrap_or_else(|why| {
                state.unread(&topic, &why);
                Err(ValuesUnread::Away)
            })?;
            state.interest.follow_from(&topic, &values.position);
            Ok(values)
        }
        .boxed()
    }

    fn remove(&self, removal: &Removal, _: &mut dyn FnMut(Removed)) -> BoxFuture<'static, Result<usize, RetainedAway>> {
        let Removal { topic, channel, key, once } = removal.clone();
        let ttl = channel.keeping().unwrap_or(Keeping::VERSIONS).ttl;
        let state = Arc::clone(&self.state);
        let sent = state.write(&topic, Wish::Remove { key, found_by: channel.delivery.found_by, ttl, once });
        async move {
            match state.written(sent).await {
                Ok(Written::Removed(count)) => Ok(count),
                Ok(_) | Err(BrokerAway) => Err(RetainedAway),
            }
        }
        .boxed()
    }

    /// Nothing to do: values that missed a publication are dropped with the next one.
    fn keep_only(&self, _: &dyn Fn(&Topic) -> bool) {}

    /// Nothing to do: the server removes what was kept for its time.
    fn sweep(&self) {}
}
