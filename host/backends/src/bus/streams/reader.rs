//! The reader of one stream: connects, takes its name, reads entries, takes them across the bridge, acknowledges them;
//! and starts over after a failure.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::connection::{Connection, ReadError};
use super::entry::Entry;
use super::group::{Found, Group};
use crate::bus::crossing::{Crossed, Crossing, source_of};
use crate::bus::health::{Health, Unread};
use tidegate_core::config::{BusMode, Name, RedisSource};
use tidegate_core::telemetry;

/// Longest time between two checks for nodes that are gone.
const FORGET_INTERVAL_MAX: Duration = Duration::from_secs(60);
/// Shortest time between two checks for unacknowledged entries of others.
const CLAIM_INTERVAL_MIN: Duration = Duration::from_millis(500);

/// Most entries that cross one after another before others have their turn.
const TOGETHER_MAX: usize = 32;

/// The beginning of a list of entries.
const BEGINNING: &str = "0-0";

pub(super) struct Reader {
    source: Arc<RedisSource>,
    stream: String,
    group: Group,
    crossing: Crossing,
    health: Health,
    /// The last entry that this process knows to be read: the group's position at first, then the last one that it took
    /// across.
    position: Option<String>,
    /// The server that this process read from last, as in [`Connection::server`].
    server: Option<String>,
}

/// Periodic work.
struct Due {
    hold: Instant,
    forget: Instant,
    claim: Instant,
    /// The last read returned as many entries as possible: there may be more, and some may have been trimmed.
    is_behind: bool,
}

impl Reader {
    pub(super) fn new(
        source: Arc<RedisSource>,
        stream: &str,
        node: &Name,
        crossing: Crossing,
        unread: &Unread,
    ) -> Self {
        let group = Group::new(source.group.as_str(), node.as_str(), stream, source.mode, source.forget_after.get());
        let health = Health::new(crossing.label.clone(), unread);
        Self { source, stream: stream.to_owned(), group, crossing, health, position: None, server: None }
    }

    /// Reads until `draining`; the entries that were read by then cross and are acknowledged.
    pub(super) async fn run(mut self, draining: CancellationToken) {
        while !draining.is_cancelled() {
            if let Err(error) = self.session(&draining).await {
                self.health.failed(&error, &draining).await;
            }
        }
    }

    /// Reads with one connection as long as it lasts.
    async fn session(&mut self, draining: &CancellationToken) -> Result<(), ReadError> {
        let mut connection = Connection::open(&self.source.url, &self.stream, self.source.timeout.get()).await?;
        self.group.hold(&mut connection).await?;
        let found = self.group.ensure(&mut connection, &mut self.position).await?;
        self.tell(&found).await;
        self.compare(&mut connection, &found).await?;
        self.health.back(match found {
            Found::There => "where it stopped",
            Found::New => "now on",
            Found::Again => "where this process stopped",
            Found::Lost => "its beginning",
        });
        let now = Instant::now();
        let mut due = Due { hold: now + Group::HOLD_AGAIN, forget: now, claim: now, is_behind: true };
        self.read_own(&mut connection, &mut due).await?;
        while !draining.is_cancelled() {
            match self.round(&mut connection, &mut due).await {
                Err(ReadError::NoGroup) => {
                    let found = self.group.ensure(&mut connection, &mut self.position).await?;
                    self.tell(&found).await;
                    due.is_behind = true;
                }
                read => read?,
            }
            self.health.works();
        }
        self.group.give_up(&mut connection).await
    }

    /// Does the periodic work that is due, and takes new entries across.
    async fn round(&mut self, connection: &mut Connection, due: &mut Due) -> Result<(), ReadError> {
        self.keep_hold(connection, due).await?;
        let now = Instant::now();
        if now >= due.forget {
            for node in self.group.forget(connection).await? {
                telemetry::bus_forgotten(&self.crossing.label, &node);
            }
            due.forget = now + (self.source.forget_after.get() / 4).min(FORGET_INTERVAL_MAX);
        }
        if self.group.mode == BusMode::Shared && now >= due.claim {
            self.claim(connection, due).await?;
            due.claim = Instant::now() + (self.source.claim_after.get() / 2).max(CLAIM_INTERVAL_MIN);
        }
        let entries = connection.read_new(&self.group.name, &self.group.consumer, self.source.batch).await?;
        let is_full = entries.len() >= self.source.batch;
        if let Some(last) = self.take(connection, due, entries).await? {
            self.position = Some(last);
        }
        if due.is_behind && !is_full {
            if let Some(events) = self.group.missed(connection).await? {
                due.is_behind = false;
                if events > 0 {
                    telemetry::bus_missed(
                        &self.crossing.label,
                        events,
                        "the stream was trimmed before this node read them",
                    );
                    self.crossing.tell_gap().await;
                }
            }
        } else {
            due.is_behind |= is_full;
        }
        Ok(())
    }

    /// Reads the entries that this consumer has not acknowledged, from an earlier run or from before the connection was
    /// lost.
    async fn read_own(&mut self, connection: &mut Connection, due: &mut Due) -> Result<(), ReadError> {
        let mut after = BEGINNING.to_owned();
        loop {
            let entries =
                connection.read_own(&self.group.name, &self.group.consumer, self.source.batch, &after).await?;
            match self.take(connection, due, entries).await? {
                Some(last) => after = last,
                None => return Ok(()),
            }
        }
    }

    /// Takes over the unacknowledged entries of others.
    async fn claim(&mut self, connection: &mut Connection, due: &mut Due) -> Result<(), ReadError> {
        let mut from = BEGINNING.to_owned();
        loop {
            let idle = self.source.claim_after.get();
            let claimed =
                connection.claim(&self.group.name, &self.group.consumer, self.source.batch, idle, &from).await?;
            if claimed.deleted > 0 {
                self.tell_deleted(claimed.deleted).await;
            }
            self.take(connection, due, claimed.entries).await?;
            let Some(next) = claimed.next else { return Ok(()) };
            from = next;
        }
    }

    /// Takes entries across, one after another, then acknowledges them. Returns the id of the last one.
    async fn take(
        &self,
        connection: &mut Connection,
        due: &mut Due,
        entries: Vec<Entry>,
    ) -> Result<Option<String>, ReadError> {
        let mut ids = Vec::with_capacity(entries.len());
        let mut crossed = Crossed::default();
        for (at, entry) in entries.into_iter().enumerate() {
            // What crossed goes out meanwhile, several publications together.
            if at % TOGETHER_MAX == TOGETHER_MAX - 1 {
                tokio::task::yield_now().await;
            }
            // A process that was stopped in between may have lost the right to read.
            self.keep_hold(connection, due).await?;
            self.cross(&entry, &mut crossed).await;
            ids.push(entry.id);
        }
        self.crossing.settle(crossed).await;
        connection.acknowledge(&self.group.name, &ids).await?;
        Ok(ids.pop())
    }

    async fn cross(&self, entry: &Entry, crossed: &mut Crossed) {
        if entry.fields.is_none() {
            return self.tell_deleted(1).await;
        }
        match entry.event(self.source.fields.as_ref(), &self.stream, self.crossing.bytes_max()) {
            Ok(event) => self.crossing.cross(event, entry.written_unix_ms(), crossed).await,
            Err(reason) => {
                self.crossing.dead_letter(&entry.id, &source_of("redis", &self.stream), entry.shown(), reason)
            }
        }
    }

    async fn tell_deleted(&self, entries: u64) {
        telemetry::bus_missed(&self.crossing.label, entries, "entries were deleted before they crossed the bridge");
        self.crossing.tell_gap().await;
    }

    async fn keep_hold(&self, connection: &mut Connection, due: &mut Due) -> Result<(), ReadError> {
        if Instant::now() >= due.hold {
            self.group.hold(connection).await?;
            due.hold = Instant::now() + Group::HOLD_AGAIN;
        }
        Ok(())
    }

    async fn tell(&self, found: &Found) {
        if *found == Found::Lost {
            let why =
                "the stream and its consumer group were gone: unread entries are lost, reading from the beginning";
            telemetry::bus_missed(&self.crossing.label, 1, why);
            self.crossing.tell_gap().await;
        }
    }

    /// If Redis restarted or failed over, its last writes may be lost and we cannot tell which, so report a gap. The
    /// loss of a whole stream was reported already.
    async fn compare(&mut self, connection: &mut Connection, found: &Found) -> Result<(), ReadError> {
        let server = connection.server().await?;
        let is_another = self.server.is_some() && server.is_some() && self.server != server;
        if is_another && *found != Found::Lost {
            self.crossing.tell_gap().await;
        }
        self.server = server.or(self.server.take());
        Ok(())
    }
}
