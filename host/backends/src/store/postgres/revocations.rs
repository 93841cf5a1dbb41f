//! Revocations in PostgreSQL, where nodes find each other's: `NOTIFY` wakes them up, and the rows in the table decide.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::postgres::PgListener;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::super::availability::Watching;
use super::super::keys::{signed, unsigned};
use super::PostgresStore;
use super::database::Database;
use tidegate_core::flow::revoke::{Kept, Revocation, RevocationStore, StoreAway};
use tidegate_core::protocol::Topic;

/// How often to look for revocations of other nodes without a notification, because a notification may be lost.
const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// How long to wait before listening again after it ended.
const LISTEN_AGAIN: Duration = Duration::from_secs(1);
const CHANNEL: &str = "tidegate_revocations";

/// Stores a revocation, unless one with this id exists, and wakes up the other nodes when it is visible.
const KEEP: &str = "WITH kept AS (
    INSERT INTO tidegate.revocations
        (id, user_id, token_id, topic, issued_before, reason, at_unix_s, until_unix_s, kept_by)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, pg_current_xact_id())
    ON CONFLICT (id) DO NOTHING RETURNING id
) SELECT pg_notify('tidegate_revocations', '') FROM kept";

/// The revocations of transactions that had not ended when the mark was made, and of later ones. An invisible
/// transaction is not older than the new mark, so none is ever left out. A mark of another server, or of a restored
/// one, is ahead of everything: then all revocations are returned.
const FIND: &str = "SELECT id, user_id, token_id, topic, issued_before, reason, at_unix_s, until_unix_s
    FROM tidegate.revocations
    WHERE until_unix_s > $1 AND (kept_by >= $2::text::xid8 OR $2::text::xid8 > pg_snapshot_xmin(pg_current_snapshot()))
    ORDER BY at_unix_s, id";

/// A revocation as a row: id, user, token, topic, issued_before, reason, at, until.
type Row = (String, Option<String>, Option<String>, Option<String>, Option<i64>, Option<String>, i64, i64);

/// Listens for revocations that other nodes store.
pub(super) struct Ear {
    heard: Arc<Notify>,
    _listening: Watching,
}

impl Ear {
    /// Listens from now on, as long as this lives.
    pub(super) fn of(database: &Arc<Database>) -> Self {
        let heard = Arc::new(Notify::new());
        let listening = Watching::over(listen(database.clone(), heard.clone()));
        Self { heard, _listening: listening }
    }
}

/// Notifies each time something is received. It has its own connection, which is made again when it breaks.
async fn listen(database: Arc<Database>, heard: Arc<Notify>) {
    loop {
        if let Ok(pool) = database.ear()
            && let Ok(mut listener) = PgListener::connect_with(&pool).await
            && listener.listen(CHANNEL).await.is_ok()
        {
            // What was stored before it listened is found by the look that follows.
            heard.notify_one();
            while let Ok(Some(_)) = listener.try_recv().await {
                heard.notify_one();
            }
        }
        sleep(LISTEN_AGAIN).await;
    }
}

#[async_trait]
impl RevocationStore for PostgresStore {
    async fn keep(&self, revocation: &Revocation) -> Result<(), StoreAway> {
        self.database.open().await.map_err(StoreAway)?;
        let keep = sqlx::query(KEEP)
            .bind(&revocation.id)
            .bind(&revocation.user)
            .bind(&revocation.token)
            .bind(revocation.topic.as_ref().map(Topic::as_str))
            .bind(revocation.issued_before.map(signed))
            .bind(&revocation.reason)
            .bind(signed(revocation.at_unix_s))
            .bind(signed(revocation.until_unix_s));
        self.database.call(|pool| async move { keep.execute(&pool).await }).await.map_err(StoreAway)?;
        Ok(())
    }

    async fn kept(&self, mark: Option<u64>, now_unix_s: u64) -> Result<Kept, StoreAway> {
        self.database.open().await.map_err(StoreAway)?;
        let (rows, mark) = self
            .database
            .call(|pool| async move {
                // Before the rows: what commits in between is found again by the next look.
                let next: String =
                    sqlx::query_scalar("SELECT pg_snapshot_xmin(pg_current_snapshot())::text").fetch_one(&pool).await?;
                let rows: Vec<Row> = sqlx::query_as(FIND)
                    .bind(signed(now_unix_s))
                    .bind(mark.unwrap_or_default().to_string())
                    .fetch_all(&pool)
                    .await?;
                Ok((rows, next))
            })
            .await
            .map_err(StoreAway)?;
        let revocations: Result<Vec<_>, _> = rows.into_iter().map(read).collect();
        Ok(Kept { revocations: revocations?, mark: mark.parse().unwrap_or_default() })
    }

    async fn forget(&self, now_unix_s: u64) -> Result<u64, StoreAway> {
        self.database.open().await.map_err(StoreAway)?;
        let forget = sqlx::query("DELETE FROM tidegate.revocations WHERE until_unix_s <= $1").bind(signed(now_unix_s));
        let done = self.database.call(|pool| async move { forget.execute(&pool).await }).await.map_err(StoreAway)?;
        Ok(done.rows_affected())
    }

    async fn news(&self) {
        let ear = self.ear.get_or_init(|| Ear::of(&self.database));
        // Without a notification it looks nevertheless.
        let _ = timeout(POLL_INTERVAL, ear.heard.notified()).await;
    }
}

/// A damaged row must not re-admit the user or credential that it was about.
fn read((id, user, token, topic, issued_before, reason, at, until): Row) -> Result<Revocation, StoreAway> {
    let topic = topic.as_deref().map(Topic::parse).transpose();
    let topic = topic.map_err(|_| StoreAway(format!("revocation `{id}`: `topic` is not a valid topic")))?;
    let (at_unix_s, until_unix_s) = (unsigned(at), unsigned(until));
    Ok(Revocation {
        id,
        user,
        token,
        topic,
        issued_before: issued_before.map(unsigned),
        reason,
        at_unix_s,
        until_unix_s,
    })
}
