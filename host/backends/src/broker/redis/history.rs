//! The history of topics in Redis: one script numbers, keeps and tells a publication. Reads have a connection of their
//! own, so that a client with much to recover holds up no publisher.

use std::sync::Arc;
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::{AsyncConnectionConfig, Client, RedisResult, Value};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::{Mutex, Semaphore};
use tokio::time::{Instant, timeout};

use super::super::message::Heading;
use super::history_scripts::Life;
use super::names::Names;
use super::publisher::Command;
use super::{RedisBroker, State, history_scripts as scripts};
use tidegate_core::channels::HistoryPolicy;
use tidegate_core::flow::Publication;
use tidegate_core::flow::broker::BrokerAway;
use tidegate_core::flow::ports::{Appended, Entry, Extent, History, HistoryAway, Page, Wanted};
use tidegate_core::protocol::{Epoch, Payload, Position, Topic, Unrecovered};

/// Reads at once; one more waits.
const READS_MAX: usize = 32;

/// Reads histories.
pub(super) struct HistoryReader {
    client: Client,
    life_key: String,
    within: Duration,
    connection: Mutex<Option<Reading>>,
    permits: Semaphore,
}

/// A connection, and the data of the Redis that it leads to.
#[derive(Clone)]
pub(super) struct Reading {
    pub(super) redis: MultiplexedConnection,
    pub(super) life: Life,
}

impl HistoryReader {
    /// Does not connect yet.
    pub(super) fn new(client: Client, names: &Names, within: Duration) -> Self {
        Self {
            client,
            life_key: names.life(),
            within,
            connection: Mutex::default(),
            permits: Semaphore::new(READS_MAX),
        }
    }

    /// Reads the history of a topic, and how often retained values of it were taken away.
    pub(super) async fn read(&self, state: &State, topic: &Topic, wanted: &Wanted) -> Result<(Page, u64), HistoryAway> {
        let (record, entries) = (state.names.record(topic), state.names.entries(topic));
        let ask = async |Reading { mut redis, life }| scripts::read(&mut redis, &record, &entries, &life, wanted).await;
        let answer = self.ask(ask).await?;
        page(answer, wanted).ok_or_else(|| not_understood(topic))
    }

    /// Asks for something that is read.
    pub(super) async fn ask(&self, ask: impl AsyncFnOnce(Reading) -> RedisResult<Value>) -> Result<Value, HistoryAway> {
        // Twice: who waits for the others, and who is asked.
        let Ok(answer) = timeout(self.within * 2, self.ask_patiently(ask)).await else {
            self.connection.lock().await.take();
            return Err(HistoryAway);
        };
        answer
    }

    async fn ask_patiently(&self, ask: impl AsyncFnOnce(Reading) -> RedisResult<Value>) -> Result<Value, HistoryAway> {
        let _permit = self.permits.acquire().await.map_err(|_| HistoryAway)?;
        match ask(self.reading().await?).await {
            Ok(answer) => Ok(answer),
            Err(error) => {
                tracing::debug!(%error, "a history cannot be read");
                self.connection.lock().await.take();
                Err(HistoryAway)
            }
        }
    }

    async fn reading(&self) -> Result<Reading, HistoryAway> {
        let mut kept = self.connection.lock().await;
        if let Some(reading) = &*kept {
            return Ok(reading.clone());
        }
        let within = self.within;
        let config =
            AsyncConnectionConfig::new().set_connection_timeout(Some(within)).set_response_timeout(Some(within));
        let mut redis =
            self.client.get_multiplexed_async_connection_with_config(&config).await.map_err(|_| HistoryAway)?;
        let life = Life::of(&mut redis, &self.life_key).await.map_err(|_| HistoryAway)?;
        let reading = Reading { redis, life };
        *kept = Some(reading.clone());
        Ok(reading)
    }
}

/// Reports what only another version can have written.
pub(super) fn not_understood(topic: &Topic) -> HistoryAway {
    tracing::error!(%topic, "the broker's Redis holds something that this version does not understand");
    HistoryAway
}

/// Reads the answer of the script: the epoch, whether `since` is of it, the newest offset, how many are kept, the highest
/// that made room, how often retained values were taken away, the offset that followed the last time, and the entries.
fn page(answer: Value, wanted: &Wanted) -> Option<(Page, u64)> {
    let Value::Array(answer) = answer else { return None };
    let mut answer = answer.into_iter();
    let number = |value: Option<Value>| match value? {
        Value::Int(number) => u64::try_from(number).ok(),
        _ => None,
    };
    let epoch = Epoch::parse(&text(answer.next()?)?)?;
    let (is_of_it, newest) = (number(answer.next())? == 1, number(answer.next())?);
    let (kept, displaced) = (number(answer.next())?, number(answer.next())?);
    let (removals, removed_before) = (number(answer.next())?, number(answer.next())?);
    let at = |offset| Position { epoch: epoch.clone(), offset };
    let extent = Extent { epoch: epoch.clone(), newest, kept, displaced };
    let missed = match &wanted.since {
        None => Ok(kept.min(wanted.entries_max as u64)),
        Some(_) if !is_of_it => Err(Unrecovered::EpochChanged),
        Some(since) => extent.missed_since(&at(since.offset)),
    };
    let missed = match missed {
        Ok(missed) => missed,
        Err(reason) => {
            let page = Page { entries: Err(reason), more: false, newest: at(newest), removed_before };
            return Some((page, removals));
        }
    };
    let mut entries = Vec::new();
    for (offset, value) in (newest - missed + 1..).zip(answer) {
        let text = text(value)?;
        let mut parts = text.splitn(3, ' ');
        let (_, heading, payload) = (parts.next()?, parts.next()?, parts.next()?);
        let payload = Payload::parse(payload.to_owned()).ok()?;
        let Heading { except, trace } = Heading::read(heading);
        entries.push(Entry { position: at(offset), payload, except, trace });
    }
    let more = wanted.since.is_some() && (entries.len() as u64) < missed;
    Some((Page { entries: Ok(entries), more, newest: at(newest), removed_before }, removals))
}

pub(super) fn text(value: Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => String::from_utf8(bytes).ok(),
        _ => None,
    }
}

impl History for RedisBroker {
    fn append(&self, publication: &Publication, policy: HistoryPolicy, _: &mut dyn FnMut(Position)) -> Appended {
        let started = Instant::now();
        let Publication { topic, payload, once, .. } = publication;
        let (topic, once, payload, heading) = (topic.clone(), once.clone(), payload.unread(), Heading::of(publication));
        let (state, of) = (Arc::clone(&self.state), topic.clone());
        let sent = self.send(Command::Append { topic, heading, payload, policy, once });
        let read = |answer| text(answer).and_then(|text| Position::parse(&text).map(Some));
        let numbered = async move { state.numbered(&of, sent, started, read).await?.ok_or(BrokerAway) };
        Appended::Sent(numbered.map(|position| position.map_err(|BrokerAway| HistoryAway)).boxed())
    }

    fn read(&self, topic: &Topic, _: HistoryPolicy, wanted: Wanted) -> BoxFuture<'static, Result<Page, HistoryAway>> {
        let (state, topic) = (Arc::clone(&self.state), topic.clone());
        async move {
            let (page, _) = state.reader.read(&state, &topic, &wanted).await?;
            state.interest.follow_from(&topic, &page.newest);
            Ok(page)
        }
        .boxed()
    }

    /// Nothing to do: the script that takes them away does.
    fn note_removed(&self, _: &Topic, _: HistoryPolicy) {}

    /// Nothing to do: the next publication without a position ends the history of its topic.
    fn keep_only(&self, _: &dyn Fn(&Topic) -> bool) {}

    /// Nothing to do: Redis removes what was kept for its time.
    fn sweep(&self) {}
}
