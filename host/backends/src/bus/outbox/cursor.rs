//! The cursor of a node in an outbox: taking it, reading from it, moving it; and deleting the rows that every cursor
//! has passed.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Postgres, Transaction};

use super::connection::{Connection, ReadError, Step};
use super::row::Row;
use tidegate_core::config::{BusMode, PostgresSource};

/// How long a process holds a cursor without renewing its claim.
const HOLD: Duration = Duration::from_secs(5);
/// The cursor that all nodes share. No node has this name.
const SHARED: &str = "*";
/// A snapshot before every transaction: nothing is visible in it.
const BEFORE_ALL: &str = "1:1:";
/// The same in SQL.
const NOTHING_READ: &str = "'1:1:'::pg_snapshot";
/// Rows deleted in one step.
const DELETED_MAX: i64 = 1000;

/// A cursor, and its position as this process knows it.
pub(super) struct Cursor {
    table: String,
    node: String,
    mode: BusMode,
    /// Identifies this process among those that want the cursor.
    token: String,
    /// Empty until the process has held the cursor once.
    read_to: String,
    reading_to: Option<String>,
    /// The last row that was read of the rows visible in `reading_to`. Any number can be the id of a row: `None` means
    /// no row; in the table any number next to a null `reading_to` means the same.
    after_id: Option<i64>,
}

/// What [`Cursor::begin`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// The cursor, at its position.
    There,
    /// No cursor: it begins with the rows from now on, or, if shared, with all rows.
    New,
    /// The cursor is gone: it continues at the position of this process, and rows may have been deleted meanwhile.
    Gone,
    /// All cursors are gone: they were lost together, and it begins with all rows.
    Unknown,
    /// A cursor from before the database was restored: it begins with all rows.
    Restored,
}

/// What was removed.
#[derive(Debug, Default)]
pub(super) struct Removed {
    /// Nodes that were away too long.
    pub(super) nodes: Vec<String>,
    /// Rows that were kept longer than `retain` and that a node had not read.
    pub(super) unread: u64,
}

impl Cursor {
    /// After this time the claim on the cursor must be renewed. A process that was stopped longer may have lost it.
    pub(super) const HOLD_AGAIN: Duration = Duration::from_secs(2);

    pub(super) fn new(source: &PostgresSource, node: &str) -> Self {
        let node = match source.mode {
            BusMode::FanOut => node,
            BusMode::Shared => SHARED,
        };
        Self {
            table: source.outbox.as_str().to_owned(),
            node: node.to_owned(),
            mode: source.mode,
            token: uuid::Uuid::new_v4().to_string(),
            read_to: String::new(),
            reading_to: None,
            after_id: None,
        }
    }

    /// Takes the cursor, and creates it if it does not exist. `None` if another process holds it.
    pub(super) async fn begin(&mut self, connection: &mut Connection) -> Result<Option<Found>, ReadError> {
        connection
            .run(async |transaction| {
                let is_known = !self.read_to.is_empty();
                let begins = match self.mode {
                    BusMode::FanOut => "pg_current_snapshot()",
                    BusMode::Shared => NOTHING_READ,
                };
                // A cursor without a name means that the reading positions are lost.
                let make = format!(
                    "insert into CURSORS (node, read_to, reading_to, after_id)
                select $1, coalesce($2::text::pg_snapshot, (select read_to from CURSORS where node = ''), {begins}),
                $3::text::pg_snapshot, $4 on conflict do nothing"
                );
                let (reading_to, after_id) = self.begun();
                let make = sqlx::query(self.sql(&make)).bind(&self.node).bind(is_known.then_some(&self.read_to));
                let make = make.bind(reading_to).bind(after_id).persistent(false);
                let is_new = make.execute(&mut **transaction).await?.rows_affected() == 1;
                if !self.hold_in(transaction).await? {
                    return Ok(None);
                }
                let is_restored = self.load(transaction).await?;
                if is_restored {
                    self.start_over(transaction).await?;
                    return Ok(Some(Found::Restored));
                }
                Ok(Some(match (is_new, self.mode) {
                    (false, _) => Found::There,
                    (true, _) if is_known => Found::Gone,
                    (true, BusMode::FanOut) if self.read_to == BEFORE_ALL => Found::Unknown,
                    (true, _) => Found::New,
                }))
            })
            .await
    }

    /// The snapshot that is being read and the last row that was read of it, as in the table: empty if none was read.
    fn begun(&self) -> (Option<&str>, i64) {
        match (&self.reading_to, self.after_id) {
            (Some(reading_to), Some(after_id)) => (Some(reading_to), after_id),
            _ => (None, 0),
        }
    }

    /// Reads the cursor's position, and whether that is from before the database was restored.
    async fn load(&mut self, transaction: &mut Transaction<'_, Postgres>) -> Step<bool> {
        let place = "select read_to::text, reading_to::text, after_id,
            pg_snapshot_xmax(read_to)::text::numeric > pg_snapshot_xmax(pg_current_snapshot())::text::numeric
            from CURSORS where node = $1";
        let place = sqlx::query_as(self.sql(place)).bind(&self.node).persistent(false);
        let (after_id, is_restored): (i64, bool);
        (self.read_to, self.reading_to, after_id, is_restored) = place.fetch_one(&mut **transaction).await?;
        self.after_id = self.reading_to.is_some().then_some(after_id);
        Ok(is_restored)
    }

    /// In a restored database transactions have numbers that cursors and rows know from before.
    async fn start_over(&mut self, transaction: &mut Transaction<'_, Postgres>) -> Step<()> {
        let stamp = self.sql("update OUTBOX set xid = pg_current_xact_id()");
        sqlx::query(stamp).persistent(false).execute(&mut **transaction).await?;
        let begin = self.sql(&format!("update CURSORS set read_to = {NOTHING_READ}, reading_to = null, after_id = 0"));
        sqlx::query(begin).persistent(false).execute(&mut **transaction).await?;
        (self.read_to, self.reading_to, self.after_id) = (BEFORE_ALL.to_owned(), None, None);
        Ok(())
    }

    /// Renews this process's claim on the cursor. `false` if it has lost it.
    pub(super) async fn hold(&self, connection: &mut Connection) -> Result<bool, ReadError> {
        connection.run(async |transaction| self.hold_in(transaction).await).await
    }

    async fn hold_in(&self, transaction: &mut Transaction<'_, Postgres>) -> Step<bool> {
        let hold = "update CURSORS set owner = $2, seen_at = clock_timestamp() where node = $1
            and (owner is null or owner = $2 or seen_at < clock_timestamp() - make_interval(secs => $3))";
        let held = sqlx::query(self.sql(hold)).bind(&self.node).bind(&self.token).bind(HOLD.as_secs_f64());
        Ok(held.persistent(false).execute(&mut **transaction).await?.rows_affected() == 1)
    }

    /// Releases the cursor for the next process. Its position stays.
    pub(super) async fn give_up(&self, connection: &mut Connection) -> Result<(), ReadError> {
        connection
            .run(async |transaction| {
                let give_up = self.sql("update CURSORS set owner = null where node = $1 and owner = $2");
                let given_up = sqlx::query(give_up).bind(&self.node).bind(&self.token).persistent(false);
                given_up.execute(&mut **transaction).await.map(drop)
            })
            .await
    }

    /// The next rows, in order.
    pub(super) async fn read(
        &mut self,
        connection: &mut Connection,
        batch: usize,
        bytes_max: usize,
    ) -> Result<Vec<Row>, ReadError> {
        connection
            .run(async |transaction| {
                let target = match &self.reading_to {
                    Some(target) => target.clone(),
                    None => {
                        let now = sqlx::query_scalar("select pg_current_snapshot()::text").persistent(false);
                        now.fetch_one(&mut **transaction).await?
                    }
                };
                let read = format!(
                    "select {} from {} where xid >= pg_snapshot_xmin($2::text::pg_snapshot)
                and not pg_visible_in_snapshot(xid, $2::text::pg_snapshot)
                and pg_visible_in_snapshot(xid, $3::text::pg_snapshot) 
                and ($4::bigint is null or id > $4) order by id limit $5",
                    Row::COLUMNS,
                    Row::FROM
                );
                let read = sqlx::query_as(self.sql(&read)).bind(bytes_max as i64).bind(&self.read_to).bind(&target);
                let read = read.bind(self.after_id).bind(batch as i64).persistent(false);
                let rows = read.fetch_all(&mut **transaction).await?;
                // If there are no rows, the old position is as good as a newer one, and nothing is written.
                if !rows.is_empty() {
                    self.reading_to = Some(target);
                }
                Ok(rows)
            })
            .await
    }

    /// Moves the cursor behind rows that have crossed; `is_all` if no more rows were visible in the present snapshot.
    /// `false` if this process does not hold the cursor any more.
    pub(super) async fn advance(
        &mut self,
        connection: &mut Connection,
        last_id: Option<i64>,
        is_all: bool,
    ) -> Result<bool, ReadError> {
        self.after_id = last_id.or(self.after_id);
        if is_all && let Some(reached) = self.reading_to.take() {
            (self.read_to, self.after_id) = (reached, None);
        }
        let moved =
            "update CURSORS set read_to = $3::text::pg_snapshot, reading_to = $4::text::pg_snapshot, after_id = $5,
            seen_at = clock_timestamp() where node = $1 and owner = $2";
        connection
            .run(async |transaction| {
                let moved = sqlx::query(self.sql(moved)).bind(&self.node).bind(&self.token).bind(&self.read_to);
                let (reading_to, after_id) = self.begun();
                let moved = moved.bind(reading_to).bind(after_id).persistent(false);
                Ok(moved.execute(&mut **transaction).await?.rows_affected() == 1)
            })
            .await
    }

    /// Whether a list of rows was begun and is not finished.
    pub(super) const fn is_reading(&self) -> bool {
        self.reading_to.is_some()
    }

    /// Deletes cursors of nodes that are gone, rows that every cursor has passed, and rows that are too old.
    pub(super) async fn clear(
        &self,
        connection: &mut Connection,
        retain: Duration,
        forget_after: Duration,
    ) -> Result<Removed, ReadError> {
        let forget = "delete from CURSORS where node not in ($1, '*')
            and seen_at < clock_timestamp() - make_interval(secs => $2) returning node";
        let mut nodes: Vec<String> = connection
            .run(async |transaction| {
                let forget = sqlx::query_scalar(self.sql(forget)).bind(&self.node).bind(forget_after.as_secs_f64());
                forget.persistent(false).fetch_all(&mut **transaction).await
            })
            .await?;
        nodes.retain(|node| !node.is_empty());
        let is_read = "exists (select from CURSORS) and not exists
            (select from CURSORS c where not pg_visible_in_snapshot(o.xid, c.read_to))";
        while self.delete(connection, is_read, Duration::ZERO).await? == DELETED_MAX as u64 {}
        let mut unread = 0;
        loop {
            let deleted = self.delete(connection, "true", retain).await?;
            unread += deleted;
            if deleted < DELETED_MAX as u64 {
                return Ok(Removed { nodes, unread });
            }
        }
    }

    /// Deletes rows of at least this age that meet a condition.
    async fn delete(&self, connection: &mut Connection, holds: &str, age: Duration) -> Result<u64, ReadError> {
        let delete = format!(
            "delete from OUTBOX where id in (select o.id from OUTBOX o where {holds}
            and ($1 = 0 or o.created_at <= clock_timestamp() - make_interval(secs => $1)) order by o.id limit $2 for update skip locked)"
        );
        connection
            .run(async |transaction| {
                let deleted = sqlx::query(self.sql(&delete)).bind(age.as_secs_f64()).bind(DELETED_MAX);
                Ok(deleted.persistent(false).execute(&mut **transaction).await?.rows_affected())
            })
            .await
    }

    /// SQL for this outbox. The table's name was checked in the configuration; everything else is bound.
    fn sql(&self, text: &str) -> AssertSqlSafe<String> {
        let cursors = format!("{}_cursors", self.table);
        AssertSqlSafe(text.replace("CURSORS", &cursors).replace("OUTBOX", &self.table))
    }
}
