//! The durable consumer of a stream: its name, creating it where this process stopped, and who may read with it.

use std::time::Duration;

use async_nats::datetime::DateTime;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, Info, PriorityPolicy, pull};
use async_nats::jetstream::stream::{self, RetentionPolicy};

use super::connection::{Connection, ReadError};
use crate::bus::health::Contested;
use tidegate_core::config::{BusMode, Name, NatsSource};

/// The group of readers of a node's consumer, of which JetStream pins one.
pub(super) const READERS: &str = "process";
/// How long JetStream keeps a node's consumer for a process that asks for nothing.
const PIN: Duration = Duration::from_secs(5);
/// Messages that all nodes together may have without acknowledgement, in batches: for so many nodes at once.
const BATCHES_MAX: usize = 64;
/// JetStream's own default.
const PENDING_MIN: usize = 1000;

/// The consumer with which a node reads.
pub(super) struct Consumer {
    pub(super) name: String,
    pub(super) mode: BusMode,
    node: String,
    subjects: Vec<String>,
    batch: usize,
    claim_after: Duration,
    forget_after: Duration,
}

/// How far this process has read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Position {
    /// When the stream was created: another time is another stream.
    created: DateTime,
    /// The sequence number of the last message, in the stream.
    pub(super) sequence: u64,
    /// When it was written, if this process knows.
    pub(super) written: Option<DateTime>,
}

/// What [`Consumer::ensure`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// The consumer, at its position.
    There,
    /// No consumer, and this process has read nothing yet: it begins with the messages from now on.
    New,
    /// No consumer, but the stream continues: the consumer was created again at the position of this process.
    Again,
    /// The messages that this process had read are not in the stream, or it ends before them: the old data is lost.
    Lost,
}

/// Where a consumer is in its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// The first message that nobody has acknowledged, or that nobody has read.
    pub(super) unread: u64,
    /// The first message that the stream still has.
    pub(super) first: u64,
}

impl Consumer {
    pub(super) fn new(source: &NatsSource, node: &Name) -> Self {
        let name = match source.mode {
            BusMode::FanOut => format!("{}@{}", token(&source.group), token(node)),
            BusMode::Shared => token(&source.group),
        };
        Self {
            name,
            mode: source.mode,
            node: node.as_str().to_owned(),
            subjects: source.subjects.clone(),
            batch: source.batch,
            claim_after: source.claim_after.get(),
            forget_after: source.forget_after.get(),
        }
    }

    /// Whether it reads every message of the stream, and so can count those that are gone.
    pub(super) fn reads_all(&self) -> bool {
        self.subjects.is_empty()
    }

    /// Creates the consumer if it does not exist, and takes it. `position` is how far this process has read; it is set to
    /// the consumer's position. `pin` is what JetStream gave this process with messages.
    pub(super) async fn ensure(
        &self,
        connection: &Connection,
        position: &mut Option<Position>,
        pin: Option<&str>,
    ) -> Result<(Found, Place), ReadError> {
        let stream = connection.stream(&self.subjects).await?;
        self.check(&stream)?;
        let mut there = connection.consumer(&self.name).await?;
        if let Some(info) = &there {
            self.hold(info, pin)?;
        }
        let read = position.as_ref().map(|position| position.sequence);
        let read = read.max(there.as_ref().map(|info| info.delivered.stream_sequence));
        let is_another = position.as_ref().is_some_and(|position| position.created != stream.created);
        // After a restore of an older state: the consumer would pass over what is written until it is as far again.
        let is_shorter = !is_another && read.is_some_and(|read| stream.state.last_sequence < read);
        if is_shorter && there.is_some() {
            connection.remove_consumer(&self.name).await?;
        }
        let begin = self.begin(&stream, position.as_ref(), there.as_ref(), is_another || is_shorter);
        if is_shorter {
            there = None;
        }
        let found = match (&there, position.as_ref()) {
            _ if is_another || is_shorter => Found::Lost,
            (Some(_), _) => Found::There,
            (None, None) => Found::New,
            (None, Some(_)) => Found::Again,
        };
        let info = match there {
            Some(info) if self.fits(&info) => info,
            // Where it began stays.
            Some(info) => connection.put_consumer(&self.name, &self.config(info.config.deliver_policy)).await?,
            None => connection.put_consumer(&self.name, &self.config(begin)).await?,
        };
        // Messages that an earlier process of this node has, or this one before it lost the connection.
        if self.mode == BusMode::FanOut && info.num_ack_pending > 0 {
            connection.rewind_consumer(&self.name).await?;
        }
        let place = place(&info, &stream);
        let written = position.take().filter(|_| found == Found::There || found == Found::Again);
        let written = written.and_then(|position| position.written);
        *position = Some(Position { created: stream.created, sequence: place.unread.saturating_sub(1), written });
        Ok((found, place))
    }

    /// The position behind a message.
    pub(super) fn behind(position: Option<&Position>, sequence: u64, written: DateTime) -> Option<Position> {
        let created = position?.created;
        Some(Position { created, sequence, written: Some(written) })
    }

    /// Refuses while JetStream has the consumer pinned to another process: two with one consumer would each miss what the
    /// other one has.
    pub(super) fn hold(&self, info: &Info, pin: Option<&str>) -> Result<(), ReadError> {
        let pinned = info.priority_groups.iter().find_map(|group| group.pinned_client_id.as_deref());
        match pinned.filter(|pinned| self.mode == BusMode::FanOut && !pinned.is_empty()) {
            Some(pinned) if pin != Some(pinned) => Err(Contested { node: self.node.clone() }.into()),
            _ => Ok(()),
        }
    }

    /// The consumer as it is now; an error if it is gone.
    pub(super) async fn info(&self, connection: &Connection) -> Result<Info, ReadError> {
        let info = connection.consumer(&self.name).await?;
        info.ok_or_else(|| ReadError::NoConsumer { consumer: self.name.clone() })
    }

    /// Where it is now.
    pub(super) async fn place(&self, connection: &Connection) -> Result<Place, ReadError> {
        // In this order: what is read meanwhile looks unread, and never the other way round.
        let info = self.info(connection).await?;
        Ok(place(&info, &connection.stream(&self.subjects).await?))
    }

    fn check(&self, stream: &stream::Info) -> Result<(), ReadError> {
        let config = &stream.config;
        if self.mode == BusMode::FanOut && config.retention == RetentionPolicy::WorkQueue {
            return Err(ReadError::OneReader { stream: config.name.clone() });
        }
        // The subjects of a mirror, and of what a stream takes from others, are not its own.
        if config.mirror.is_some() || config.sources.as_ref().is_some_and(|sources| !sources.is_empty()) {
            return Ok(());
        }
        let is_its = |subject: &str| config.subjects.iter().any(|of| meet(subject, of));
        match self.subjects.iter().find(|subject| !is_its(subject)) {
            Some(subject) => Err(ReadError::NotItsSubject {
                stream: config.name.clone(),
                subject: subject.clone(),
                subjects: config.subjects.join(", "),
            }),
            None => Ok(()),
        }
    }

    /// Where a new consumer begins.
    fn begin(
        &self,
        stream: &stream::Info,
        position: Option<&Position>,
        there: Option<&Info>,
        is_lost: bool,
    ) -> DeliverPolicy {
        let last_active = there.and_then(|info| info.delivered.last_active);
        match position {
            // What a work queue holds, nobody has read.
            _ if stream.config.retention == RetentionPolicy::WorkQueue => DeliverPolicy::All,
            Some(position) if position.created != stream.created => DeliverPolicy::All,
            _ if is_lost => match position.and_then(|position| position.written).or(last_active) {
                Some(start_time) => DeliverPolicy::ByStartTime { start_time },
                None => DeliverPolicy::All,
            },
            Some(position) => DeliverPolicy::ByStartSequence { start_sequence: position.sequence + 1 },
            None => DeliverPolicy::ByStartSequence { start_sequence: stream.state.last_sequence + 1 },
        }
    }

    fn config(&self, deliver_policy: DeliverPolicy) -> pull::Config {
        let is_fan_out = self.mode == BusMode::FanOut;
        let pending_max = if is_fan_out { self.batch } else { PENDING_MIN.max(self.batch * BATCHES_MAX) };
        pull::Config {
            durable_name: Some(self.name.clone()),
            description: Some("a bus source of Tidegate".to_owned()),
            deliver_policy,
            ack_policy: if is_fan_out { AckPolicy::All } else { AckPolicy::Explicit },
            ack_wait: self.claim_after,
            max_ack_pending: i64::try_from(pending_max).unwrap_or(i64::MAX),
            filter_subjects: self.subjects.clone(),
            inactive_threshold: if is_fan_out { self.forget_after } else { Duration::ZERO },
            priority_policy: if is_fan_out { PriorityPolicy::PinnedClient } else { PriorityPolicy::None },
            priority_groups: if is_fan_out { vec![READERS.to_owned()] } else { Vec::new() },
            priority_timeout: if is_fan_out { PIN } else { Duration::ZERO },
            ..pull::Config::default()
        }
    }

    /// Whether it is configured as this source asks.
    fn fits(&self, info: &Info) -> bool {
        let (is, wanted) = (&info.config, self.config(info.config.deliver_policy));
        let one = Some(&is.filter_subject).filter(|subject| !subject.is_empty());
        is.ack_wait == wanted.ack_wait
            && is.max_ack_pending == wanted.max_ack_pending
            && is.filter_subjects.iter().chain(one).eq(&wanted.filter_subjects)
            && is.inactive_threshold == wanted.inactive_threshold
            && is.priority_timeout == wanted.priority_timeout
    }
}

fn place(info: &Info, stream: &stream::Info) -> Place {
    let read = if info.num_ack_pending > 0 { info.ack_floor } else { info.delivered };
    Place { unread: read.stream_sequence + 1, first: stream.state.first_sequence }
}

/// A name as a part of a consumer's name, which holds no dot.
fn token(name: &Name) -> String {
    name.as_str().replace('.', "%2E")
}

/// Whether some subject is matched by both.
fn meet(one: &str, other: &str) -> bool {
    let (mut one, mut other) = (one.split('.'), other.split('.'));
    loop {
        match (one.next(), other.next()) {
            (None, None) => return true,
            (Some(">"), Some(_)) | (Some(_), Some(">")) => return true,
            (Some(a), Some(b)) if a == b || a == "*" || b == "*" => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_meet_where_one_message_could_have_both() {
        for (one, other) in
            [("a.b", "a.b"), ("a.*", "a.b"), ("a.>", "a.b.c"), (">", "a"), ("*.b", "a.*"), ("a.>", "*.b")]
        {
            assert!(meet(one, other) && meet(other, one), "{one} {other}");
        }
        for (one, other) in [("a", "b"), ("a", "a.b"), ("a.>", "a"), ("a.*", "a.b.c"), ("a.*.c", "a.b.d")] {
            assert!(!meet(one, other) && !meet(other, one), "{one} {other}");
        }
    }
}
