//! The retained values and the versions of topics in Redis: one script judges, numbers, keeps and tells a publication.

use std::sync::Arc;

use ::redis::Value;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::time::Instant;

use super::super::message::Heading;
use super::history::{Reading, not_understood, text};
use super::publisher::Command;
use super::retained_scripts::{self as scripts, Place};
use super::{RedisBroker, State};
use tidegate_core::channels::{HistoryPolicy, Keeping, Resolved};
use tidegate_core::flow::Publication;
use tidegate_core::flow::broker::BrokerAway;
use tidegate_core::flow::ports::{Removal, Removed, Retained, RetainedAway, Taken, Values, ValuesUnread};
use tidegate_core::protocol::{Key, Payload, Position, RetainedValue, Topic};

/// The answer of the script to a publication that is not newer than the last one of its key.
const STALE: &str = "stale";

impl State {
    async fn values(&self, of: &Resolved, keeping: Keeping, bytes_max: usize) -> Result<Values, ValuesUnread> {
        let (topic, found_by) = (&of.topic, of.channel.delivery.found_by);
        let (record, entries, shelf) = (self.names.record(topic), self.names.entries(topic), self.names.shelf(topic));
        let ask = async |Reading { mut redis, life }| {
            let place = Place { record: &record, entries: &entries, shelf: &shelf, life: &life, found_by };
            scripts::read(&mut redis, &place, keeping.ttl, bytes_max).await
        };
        let answer = self.reader.ask(ask).await.map_err(|_| ValuesUnread::Away)?;
        values(answer).unwrap_or_else(|| {
            not_understood(topic);
            Err(ValuesUnread::Away)
        })
    }
}

/// Reads the answer of the script: the position, the bytes if there are too many or else 0, then key and entry of each.
fn values(answer: Value) -> Option<Result<Values, ValuesUnread>> {
    let Value::Array(answer) = answer else { return None };
    let mut answer = answer.into_iter();
    let position = Position::parse(&text(answer.next()?)?)?;
    let Value::Int(bytes) = answer.next()? else { return None };
    if bytes > 0 {
        return Some(Err(ValuesUnread::TooLarge(usize::try_from(bytes).ok()?)));
    }
    let mut values = Vec::new();
    while let Some(key) = answer.next() {
        let (key, entry) = (text(key)?, text(answer.next()?)?);
        let mut parts = entry.splitn(4, ' ');
        let (_, at, _, payload) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        // Only its version is kept.
        if payload.is_empty() {
            continue;
        }
        let payload = Payload::parse(payload.to_owned()).ok()?;
        values.push(RetainedValue { key: Key::new(&key), payload, position: Position::parse(at) });
    }
    Some(Ok(Values { values, position }))
}

impl Retained for RedisBroker {
    fn publish(&self, publication: &Publication, keeping: Keeping, _: &mut dyn FnMut(Position)) -> Taken {
        let started = Instant::now();
        let Publication { topic, channel, payload, once, .. } = publication;
        let sent = self.send(Command::Keep {
            topic: topic.clone(),
            heading: Heading::of(publication),
            payload: payload.unread(),
            policy: channel.history.unwrap_or(HistoryPolicy::NUMBERS),
            once: once.clone(),
            key: channel.delivery.key_of(payload),
            version: channel.delivery.version_of(payload).ok().flatten(),
            keeping,
            found_by: channel.delivery.found_by,
        });
        let (state, of) = (Arc::clone(&self.state), topic.clone());
        let read = |answer| match text(answer)? {
            text if text == STALE => Some(None),
            text => Position::parse(&text).map(Some),
        };
        let taken = async move { state.numbered(&of, sent, started, read).await.map_err(|BrokerAway| RetainedAway) };
        Taken::Sent(taken.boxed())
    }

    fn read(
        &self,
        of: &Resolved,
        keeping: Keeping,
        bytes_max: usize,
    ) -> BoxFuture<'static, Result<Values, ValuesUnread>> {
        let (state, of) = (Arc::clone(&self.state), of.clone());
        async move {
            let found = state.values(&of, keeping, bytes_max).await?;
            state.interest.follow_from(&of.topic, &found.position);
            Ok(found)
        }
        .boxed()
    }

    fn remove(&self, removal: &Removal, _: &mut dyn FnMut(Removed)) -> BoxFuture<'static, Result<usize, RetainedAway>> {
        let Removal { topic, channel, key, once } = removal.clone();
        let ttl = channel.keeping().unwrap_or(Keeping::VERSIONS).ttl;
        let sent = self.send(Command::Remove { topic, key, ttl, found_by: channel.delivery.found_by, once });
        let timeout = self.state.timeout;
        async move {
            match Self::answered(sent, timeout).await {
                Ok(Value::Int(count)) => usize::try_from(count).map_err(|_| RetainedAway),
                Ok(_) | Err(BrokerAway) => Err(RetainedAway),
            }
        }
        .boxed()
    }

    /// Nothing to do: values that missed a publication are dropped with the next one.
    fn keep_only(&self, _: &dyn Fn(&Topic) -> bool) {}

    /// Nothing to do: Redis removes what was kept for its time.
    fn sweep(&self) {}
}
