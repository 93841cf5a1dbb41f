//! The reader of an outbox: connects, takes its cursor, reads rows, takes them across the bridge, moves the cursor; and
//! starts over after a failure.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::connection::{Connection, ReadError};
use super::cursor::{Cursor, Found};
use super::row::Row;
use crate::bus::crossing::{Crossed, Crossing};
use crate::bus::health::{Contested, Health, Unread};
use tidegate_core::config::{BusMode, Name, PostgresSource};
use tidegate_core::telemetry;

/// How often to look for rows that can be deleted.
const CLEAR_INTERVAL: Duration = Duration::from_secs(10);

pub(super) struct Reader {
    source: Arc<PostgresSource>,
    node: String,
    cursor: Cursor,
    crossing: Crossing,
    health: Health,
    woken: Arc<Notify>,
    /// Whether this process has updated the functions, or knows that it may not.
    has_renewed: bool,
}

/// Periodic work.
struct Due {
    hold: Instant,
    clear: Instant,
}

impl Reader {
    pub(super) fn new(
        source: Arc<PostgresSource>,
        node: &Name,
        crossing: Crossing,
        unread: &Unread,
        woken: Arc<Notify>,
    ) -> Self {
        let cursor = Cursor::new(&source, node.as_str());
        let health = Health::new(crossing.label.clone(), unread);
        Self { source, node: node.as_str().to_owned(), cursor, crossing, health, woken, has_renewed: false }
    }

    /// Reads until `draining`; the rows that were read by then cross, and the cursor moves behind them.
    pub(super) async fn run(mut self, draining: CancellationToken) {
        while !draining.is_cancelled() {
            match self.session(&draining).await {
                // Another node took over while this one was stopped: it stands by, which is not a failure.
                Ok(()) => {}
                Err(ReadError::Contested(_)) if self.source.mode == BusMode::Shared => {}
                Err(error) => self.health.failed(&error, &draining).await,
            }
        }
    }

    /// Reads with one connection as long as it lasts.
    async fn session(&mut self, draining: &CancellationToken) -> Result<(), ReadError> {
        let mut connection = self.open().await?;
        let Some(found) = self.take_cursor(&mut connection, draining).await? else { return Ok(()) };
        self.health.back(match found {
            Found::There => "where it stopped",
            Found::New if self.source.mode == BusMode::Shared => "its beginning",
            Found::New => "now on",
            Found::Gone => "where this process stopped, because its cursor was gone",
            Found::Unknown => "its beginning, because the reading positions are lost",
            Found::Restored => "its beginning, because the database was restored",
        });
        if matches!(found, Found::Gone | Found::Restored) {
            self.crossing.tell_gap().await;
        }
        let now = Instant::now();
        let mut due = Due { hold: now + Cursor::HOLD_AGAIN, clear: now };
        while !draining.is_cancelled() {
            self.round(&mut connection, &mut due, draining).await?;
            self.health.works();
        }
        self.cursor.give_up(&mut connection).await
    }

    /// Connects. Functions of an earlier version are updated, once in each process. If the database refuses that to the
    /// role, it is reported and rows are read nevertheless. Any other failure ends the session; the next one tries again.
    async fn open(&mut self) -> Result<Connection, ReadError> {
        let mut connection = Connection::open(&self.source).await?;
        if self.has_renewed {
            return Ok(connection);
        }
        match connection.renew_functions().await {
            Ok(()) => {
                self.has_renewed = true;
                Ok(connection)
            }
            Err(error @ ReadError::Outdated { .. }) => {
                self.has_renewed = true;
                telemetry::bus_outdated(&self.crossing.label, &error.to_string());
                Connection::open(&self.source).await
            }
            Err(error) => Err(error),
        }
    }

    /// Takes the cursor. With `shared` it waits while another node has it: this node stands by, which is not a failure.
    async fn take_cursor(
        &mut self,
        connection: &mut Connection,
        draining: &CancellationToken,
    ) -> Result<Option<Found>, ReadError> {
        loop {
            let found = self.cursor.begin(connection).await?;
            if found.is_some() || draining.is_cancelled() {
                return Ok(found);
            }
            if self.source.mode == BusMode::FanOut {
                return Err(self.contested());
            }
            self.health.stands_by();
            draining.run_until_cancelled(sleep(Cursor::HOLD_AGAIN)).await;
        }
    }

    fn contested(&self) -> ReadError {
        Contested { node: self.node.clone() }.into()
    }

    /// Does the periodic work that is due, takes new rows across, and waits if there are none.
    async fn round(
        &mut self,
        connection: &mut Connection,
        due: &mut Due,
        draining: &CancellationToken,
    ) -> Result<(), ReadError> {
        self.keep_hold(connection, due).await?;
        if Instant::now() >= due.clear {
            self.clear(connection).await?;
            due.clear = Instant::now() + CLEAR_INTERVAL;
        }
        let rows = self.cursor.read(connection, self.source.batch, self.crossing.bytes_max()).await?;
        let is_all = rows.len() < self.source.batch;
        let last = rows.last().map(|row| row.id);
        self.take(connection, due, rows).await?;
        if self.cursor.is_reading() && !self.cursor.advance(connection, last, is_all).await? {
            return Err(self.contested());
        }
        if last.is_none() {
            tokio::select! {
                () = self.woken.notified() => {}
                () = sleep(self.source.poll.get()) => {}
                () = draining.cancelled() => {}
            }
        }
        Ok(())
    }

    /// Takes rows across, one after another.
    async fn take(&self, connection: &mut Connection, due: &mut Due, rows: Vec<Row>) -> Result<(), ReadError> {
        let mut crossed = Crossed::default();
        for row in rows {
            // A process that was stopped in between may have lost the right to read.
            self.keep_hold(connection, due).await?;
            match row.event(self.crossing.bytes_max()) {
                Ok(event) => self.crossing.cross(event, row.written_unix_ms(), &mut crossed).await,
                Err(reason) => {
                    let source = format!("/postgres/{}", self.source.outbox.as_str());
                    self.crossing.dead_letter(&row.id.to_string(), &source, row.shown(), reason);
                }
            }
        }
        self.crossing.settle(crossed).await;
        Ok(())
    }

    async fn keep_hold(&self, connection: &mut Connection, due: &mut Due) -> Result<(), ReadError> {
        if Instant::now() >= due.hold {
            if !self.cursor.hold(connection).await? {
                return Err(self.contested());
            }
            due.hold = Instant::now() + Cursor::HOLD_AGAIN;
        }
        Ok(())
    }

    async fn clear(&self, connection: &mut Connection) -> Result<(), ReadError> {
        let removed = self.cursor.clear(connection, self.source.retain.get(), self.source.forget_after.get()).await?;
        for node in &removed.nodes {
            telemetry::bus_forgotten(&self.crossing.label, node);
        }
        if removed.unread > 0 {
            let why = "rows were removed after `retain` before a node had read them";
            telemetry::bus_missed(&self.crossing.label, removed.unread, why);
        }
        Ok(())
    }
}
