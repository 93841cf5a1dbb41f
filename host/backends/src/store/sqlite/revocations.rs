//! Revocations in SQLite. No other process writes to the file, so there is never news of others.

use async_trait::async_trait;

use super::SqliteStore;
use tidegate_core::flow::revoke::{Kept, Revocation, RevocationStore, StoreAway};
use tidegate_core::protocol::Topic;

/// A revocation as a row: id, user, token, topic, issued_before, reason, at, until.
type Row = (String, Option<String>, Option<String>, Option<String>, Option<i64>, Option<String>, i64, i64);

#[async_trait]
impl RevocationStore for SqliteStore {
    async fn keep(&self, revocation: &Revocation) -> Result<(), StoreAway> {
        self.database.open().await.map_err(StoreAway)?;
        let mut write = self.database.write().await.map_err(StoreAway)?;
        sqlx::query(
            "INSERT INTO tidegate_revocations \
             (id, user_id, token_id, topic, issued_before, reason, at_unix_s, until_unix_s) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
        )
        .bind(&revocation.id)
        .bind(&revocation.user)
        .bind(&revocation.token)
        .bind(revocation.topic.as_ref().map(Topic::as_str))
        .bind(revocation.issued_before.map(signed))
        .bind(&revocation.reason)
        .bind(signed(revocation.at_unix_s))
        .bind(signed(revocation.until_unix_s))
        .execute(&mut *write)
        .await
        .map_err(|error| self.gone(&error))?;
        write.commit().await.map_err(|error| self.gone(&error))
    }

    async fn kept(&self, _: Option<u64>, now_unix_s: u64) -> Result<Kept, StoreAway> {
        // A missing file has no revocations, and is not created to find that out.
        if !self.database.is_there() {
            return Ok(Kept::default());
        }
        self.database.open().await.map_err(StoreAway)?;
        let reader = self.database.reader().map_err(StoreAway)?;
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT id, user_id, token_id, topic, issued_before, reason, at_unix_s, until_unix_s \
             FROM tidegate_revocations WHERE until_unix_s > ? ORDER BY at_unix_s, id",
        )
        .bind(signed(now_unix_s))
        .fetch_all(&reader)
        .await
        .map_err(|error| self.gone(&error))?;
        let revocations: Result<Vec<_>, _> = rows.into_iter().map(read).collect();
        Ok(Kept { revocations: revocations?, mark: 0 })
    }

    async fn forget(&self, now_unix_s: u64) -> Result<u64, StoreAway> {
        if !self.database.is_there() {
            return Ok(0);
        }
        let mut write = self.database.write().await.map_err(StoreAway)?;
        let forgotten = sqlx::query("DELETE FROM tidegate_revocations WHERE until_unix_s <= ?")
            .bind(signed(now_unix_s))
            .execute(&mut *write)
            .await
            .map_err(|error| self.gone(&error))?;
        write.commit().await.map_err(|error| self.gone(&error))?;
        Ok(forgotten.rows_affected())
    }
}

impl SqliteStore {
    fn gone(&self, error: &sqlx::Error) -> StoreAway {
        StoreAway(self.database.failed(error))
    }
}

/// A damaged row must not re-admit the user or credential that it was about.
fn read((id, user, token, topic, issued_before, reason, at, until): Row) -> Result<Revocation, StoreAway> {
    let unreadable = |what: &str| StoreAway(format!("revocation `{id}` in tidegate_revocations: {what}"));
    let topic =
        topic.as_deref().map(Topic::parse).transpose().map_err(|_| unreadable("`topic` is not a valid topic"))?;
    let unsigned = |time: i64| u64::try_from(time).map_err(|_| unreadable("a time before 1970"));
    let issued_before = issued_before.map(unsigned).transpose()?;
    let (at_unix_s, until_unix_s) = (unsigned(at)?, unsigned(until)?);
    Ok(Revocation { id, user, token, topic, issued_before, reason, at_unix_s, until_unix_s })
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
