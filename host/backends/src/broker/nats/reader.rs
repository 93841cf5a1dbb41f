//! What is read from the logs of topics: first the newest message, from the leader, which says how much there is.

use super::super::Lost;
use super::super::message::{Body, Heading};
use super::State;
use super::draft::RECORD_TTL;
use super::entry::{Entry, Stand};
use super::stream::Kept;
use super::topic_log::{TopicLog, is_over};
use super::writer::now_ms;
use tidegate_core::channels::Keeping;
use tidegate_core::flow::ports::{ENTRY_BYTES, Entry as Publication, Page, Values, ValuesUnread, Wanted};
use tidegate_core::protocol::{Epoch, Payload, Position, Topic, Unrecovered};

/// Histories with more messages are not read from their beginning for a few of the newest.
const READ_WHOLE_MAX: u64 = 500;

/// The newest message of a topic.
struct Newest {
    kept: Kept,
    stand: Stand,
    position: Position,
}

/// A publication in the log.
struct Found {
    at_ms: u64,
    /// The bytes of all payloads before it.
    before: u64,
    publication: Publication,
}

impl State {
    /// Reads the history of a topic, and how often retained values of it were taken away.
    pub(super) async fn read_history(&self, topic: &Topic, wanted: &Wanted) -> Result<(Page, u64), Lost> {
        let seen = self.seen();
        let (newest, unnumbered) = self.newest(topic).await?;
        let Some(Newest { kept, stand, position }) = newest else {
            let page = self.nothing(seen.max(unnumbered), unnumbered, wanted).await?;
            return Ok((page, 0));
        };
        let (removals, removed_before) = (stand.removals, stand.removed_before);
        let began = if stand.began == 0 { kept.seq } else { stand.began };
        let page = |entries: Result<Vec<Publication>, Unrecovered>, more| {
            (Page { entries, more, newest: position.clone(), removed_before }, removals)
        };
        let since = match &wanted.since {
            None if wanted.entries_max == 0 => return Ok(page(Ok(Vec::new()), false)),
            None => None,
            Some(since) if since.epoch == position.epoch && since.offset <= position.offset => Some(since.offset),
            Some(since) if is_before(since, &position.epoch, began, stand.unnumbered) => Some(0),
            Some(_) => return Ok(page(Err(Unrecovered::EpochChanged), false)),
        };
        let missed = since.map(|since| position.offset - since);
        match missed {
            Some(0) => return Ok(page(Ok(Vec::new()), false)),
            Some(missed) if missed > stand.policy.messages_max as u64 => {
                return Ok(page(Err(Unrecovered::TooMany), false));
            }
            _ => {}
        }
        let from = self.place_after(topic, since.unwrap_or(0), began, (&kept, &position)).await?;
        let mut found = self.publications(topic, &position.epoch, from, kept.seq).await?;
        let is_kept = |found: &Found| {
            stand.bytes.saturating_sub(found.before) <= stand.policy.bytes_max as u64
                && !is_over(found.at_ms, stand.policy.ttl, now_ms())
        };
        if let (Some(missed), Some(since)) = (missed, since) {
            found.retain(|found| found.publication.position.offset > since);
            let is_whole = found.len() as u64 == missed;
            if is_whole && found.first().is_some_and(is_kept) {
                let entries = room(found, wanted);
                let more = (entries.len() as u64) < missed;
                return Ok(page(Ok(entries), more));
            }
            let is_over = found.first().is_none_or(|first| is_over(first.at_ms, stand.policy.ttl, now_ms()));
            return Ok(page(Err(if is_over { Unrecovered::Expired } else { Unrecovered::TooMany }), false));
        }
        found.retain(is_kept);
        let most = wanted.entries_max.min(stand.policy.messages_max);
        found.drain(..found.len().saturating_sub(most));
        Ok(page(Ok(room(found, wanted)), false))
    }

    /// Reads the values of a topic.
    pub(super) async fn read_values(
        &self,
        topic: &Topic,
        found_by: u64,
        keeping: Keeping,
        bytes_max: usize,
    ) -> Result<Result<Values, ValuesUnread>, Lost> {
        let seen = self.seen();
        let subjects = self.names.log(topic);
        let last = self.stream.last(&subjects).await?;
        let mut log = TopicLog::whole(true);
        if let Some(last) = last {
            let shelf = Entry::read(&last.text).ok_or(NOT_UNDERSTOOD)?.stand.shelf;
            let is_theirs = shelf.is_some_and(|shelf| shelf.found_by == found_by);
            let kept = if is_theirs { self.stream.range(&subjects, 1, last.seq).await? } else { vec![last] };
            for kept in &kept {
                log.take(kept).ok_or(NOT_UNDERSTOOD)?;
            }
        }
        let is_theirs =
            log.stand.as_ref().and_then(|stand| stand.shelf).is_some_and(|shelf| shelf.found_by == found_by);
        if is_theirs {
            log.expire(keeping.ttl, now_ms());
        } else {
            log.shelf = Default::default();
        }
        let position = match &log.newest {
            Some(newest) if self.is_of_this_run(&newest.epoch) => newest.clone(),
            _ => self.no_position(seen.max(log.unnumbered)).await?,
        };
        let bytes = log.shelf.cost() + log.shelf.len() * ENTRY_BYTES;
        if bytes > bytes_max {
            return Ok(Err(ValuesUnread::TooLarge(bytes)));
        }
        Ok(Ok(Values { values: log.shelf.values(), position }))
    }

    /// The newest message of a topic, unless there is no history; and the place of the message that ended the last one.
    async fn newest(&self, topic: &Topic) -> Result<(Option<Newest>, u64), Lost> {
        let Some(kept) = self.stream.last(&self.names.log(topic)).await? else { return Ok((None, 0)) };
        let entry = Entry::read(&kept.text).ok_or(NOT_UNDERSTOOD)?;
        let Some((epoch, offset)) = entry.place() else {
            let ended = kept.seq;
            return Ok((None, ended));
        };
        let position = Position { epoch: Epoch::parse(epoch).ok_or(NOT_UNDERSTOOD)?, offset };
        if !self.is_of_this_run(&position.epoch) {
            return Ok((None, entry.stand.unnumbered));
        }
        let stand = entry.stand;
        Ok((Some(Newest { stand, position, kept: kept.clone() }), 0))
    }

    /// What is read of a topic without a history.
    async fn nothing(&self, seen: u64, unnumbered: u64, wanted: &Wanted) -> Result<Page, Lost> {
        let newest = self.no_position(seen).await?;
        let is_good = |since: &Position| is_before(since, &newest.epoch, u64::MAX, unnumbered);
        let entries = match &wanted.since {
            Some(since) if !is_good(since) => Err(Unrecovered::EpochChanged),
            _ => Ok(Vec::new()),
        };
        Ok(Page { entries, more: false, newest, removed_before: 0 })
    }

    /// The place before the first publication of a topic that has none: at this place in the stream, now.
    async fn no_position(&self, seen: u64) -> Result<Position, Lost> {
        let name = format!("{}-{seen}-{}", self.tag().await?, now_ms());
        Ok(Position { epoch: Epoch::parse(&name).ok_or(NOT_UNDERSTOOD)?, offset: 0 })
    }

    /// A place in the stream from which on everything after an offset is found. Few are missed mostly, so that a search
    /// for their place is shorter than to read everything before.
    async fn place_after(
        &self,
        topic: &Topic,
        offset: u64,
        began: u64,
        (last, newest): (&Kept, &Position),
    ) -> Result<u64, Lost> {
        let (mut low, mut high) = (began, last.seq);
        if offset == 0 || newest.offset <= READ_WHOLE_MAX {
            return Ok(low);
        }
        let subjects = self.names.log(topic);
        while high - low > READ_WHOLE_MAX {
            let middle = low + (high - low) / 2;
            let next = self.stream.next(&subjects, middle).await?;
            let next = next.as_ref().and_then(|next| Some((next.seq, Entry::read(&next.text)?)));
            let is_before = |entry: &Entry<'_>| {
                entry.place().is_some_and(|(epoch, at)| epoch == newest.epoch.as_str() && at <= offset)
            };
            match next {
                Some((seq, entry)) if is_before(&entry) => low = seq.min(high),
                _ => high = middle,
            }
        }
        Ok(low)
    }

    /// The publications of an epoch between two places.
    async fn publications(&self, topic: &Topic, epoch: &Epoch, from: u64, up_to: u64) -> Result<Vec<Found>, Lost> {
        let mut found = Vec::new();
        for kept in self.stream.range(&self.names.log(topic), from, up_to).await? {
            // Those behind it came later than what the newest message said.
            if kept.seq > up_to {
                break;
            }
            let entry = Entry::read(&kept.text).ok_or(NOT_UNDERSTOOD)?;
            let Some(message) = &entry.message else { continue };
            if let Body::Numbered { heading, epoch: of, payload } = message.body
                && of == epoch.as_str()
            {
                let Heading { except, trace } = Heading::read(heading);
                let position = Position { epoch: epoch.clone(), offset: message.count };
                let before = entry.stand.bytes.saturating_sub(payload.len() as u64);
                let payload = Payload::parse(payload.to_owned()).map_err(|_| NOT_UNDERSTOOD)?;
                found.push(Found {
                    at_ms: kept.at_ms,
                    before,
                    publication: Publication { position, payload, except, trace },
                });
            }
        }
        Ok(found)
    }
}

const NOT_UNDERSTOOD: &str = "the log holds something that this version does not understand";

/// Whether a position from before the first publication is good for a history that began later, at this place: nothing
/// was published between the two.
fn is_before(since: &Position, epoch: &Epoch, began: u64, unnumbered: u64) -> bool {
    let tag = |epoch: &Epoch| epoch.as_str().split('-').next().map(str::to_owned);
    let mut words = since.epoch.as_str().split('-').skip(1);
    let mut number = || words.next()?.parse::<u64>().ok();
    let (Some(at), Some(at_ms)) = (number(), number()) else { return false };
    since.offset == 0
        && tag(&since.epoch) == tag(epoch)
        && (unnumbered..began).contains(&at)
        && !is_over(at_ms, RECORD_TTL, now_ms())
}

/// As many of the first as are wanted.
fn room(found: Vec<Found>, wanted: &Wanted) -> Vec<Publication> {
    let (mut entries, mut bytes) = (Vec::new(), 0);
    for Found { publication, .. } in found {
        let more = publication.payload.as_str().len() + ENTRY_BYTES;
        if !wanted.has_room(entries.len(), bytes, more) {
            break;
        }
        bytes += more;
        entries.push(publication);
    }
    entries
}
