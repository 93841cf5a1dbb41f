//! Dead letters in SQLite.

use std::sync::Arc;

use async_trait::async_trait;
use sqlx::SqliteConnection;

use super::super::keys::signed;
use super::super::letters::{LetterTable, Row, Written, of_row, rows_of, shares, to_row};
use super::database::Database;
use tidegate_core::flow::DeadLetter;

/// Drops the oldest letters of a team beyond its share. The rows of its rules come as a list in JSON.
const TRIM_TEAM: &str = "DELETE FROM tidegate_dead_letters WHERE rule_to IN (SELECT value FROM json_each(?1)) AND id <= \
     (SELECT id FROM tidegate_dead_letters WHERE rule_to IN (SELECT value FROM json_each(?1)) \
     ORDER BY id DESC LIMIT 1 OFFSET ?2)";
const COUNT_TEAM: &str =
    "SELECT count(*) FROM tidegate_dead_letters WHERE rule_to IN (SELECT value FROM json_each(?1))";

/// The table in one file.
pub(super) struct SqliteLetters(pub(super) Arc<Database>);

#[async_trait]
impl LetterTable for SqliteLetters {
    async fn open(&self, make: bool) -> Result<bool, String> {
        if !make && !self.0.is_there() {
            return Ok(false);
        }
        self.0.open().await.map(|()| true)
    }

    async fn insert(&self, letters: &[DeadLetter], max: usize) -> Result<Written, String> {
        let mut write = self.0.write().await?;
        let written = insert(&mut write, letters, max).await.map_err(|error| self.0.failed(&error))?;
        write.commit().await.map_err(|error| self.0.failed(&error))?;
        Ok(written)
    }

    async fn newest(&self, before: Option<&str>, limit: usize) -> Result<(Vec<DeadLetter>, usize), String> {
        let reader = self.0.reader()?;
        let rows = sqlx::query_as::<_, Row>(
            "SELECT id, at_unix_s, rule_on, rule_to, reason, event FROM tidegate_dead_letters \
             WHERE ?1 IS NULL OR id < ?1 ORDER BY id DESC LIMIT ?2",
        );
        let rows = rows
            .bind(before)
            .bind(signed(limit as u64))
            .fetch_all(&reader)
            .await
            .map_err(|error| self.0.failed(&error))?;
        let count = sqlx::query_scalar("SELECT count(*) FROM tidegate_dead_letters").fetch_one(&reader).await;
        let count: i64 = count.map_err(|error| self.0.failed(&error))?;
        Ok((rows.into_iter().filter_map(of_row).collect(), usize::try_from(count).unwrap_or_default()))
    }

    async fn find(&self, id: &str) -> Result<Option<DeadLetter>, String> {
        let row = sqlx::query_as::<_, Row>(
            "SELECT id, at_unix_s, rule_on, rule_to, reason, event FROM tidegate_dead_letters WHERE id = ?",
        );
        let row = row.bind(id).fetch_optional(&self.0.reader()?).await.map_err(|error| self.0.failed(&error))?;
        Ok(row.and_then(of_row))
    }

    async fn take(&self, id: &str) -> Result<Option<DeadLetter>, String> {
        let mut write = self.0.write().await?;
        let row = sqlx::query_as::<_, Row>(
            "DELETE FROM tidegate_dead_letters WHERE id = ? \
             RETURNING id, at_unix_s, rule_on, rule_to, reason, event",
        );
        let row = row.bind(id).fetch_optional(&mut *write).await.map_err(|error| self.0.failed(&error))?;
        write.commit().await.map_err(|error| self.0.failed(&error))?;
        Ok(row.and_then(of_row))
    }
}

async fn insert(connection: &mut SqliteConnection, letters: &[DeadLetter], max: usize) -> Result<Written, sqlx::Error> {
    for letter in letters {
        let (id, at_unix_s, on, to, reason, event) = to_row(letter);
        sqlx::query(
            "INSERT OR IGNORE INTO tidegate_dead_letters (id, at_unix_s, rule_on, rule_to, reason, event) \
             VALUES (?, ?, ?, ?, ?, ?)",
        )
        .bind(id)
        .bind(at_unix_s)
        .bind(on)
        .bind(to)
        .bind(reason)
        .bind(event)
        .execute(&mut *connection)
        .await?;
    }
    let mut of_teams = Vec::new();
    for share in shares(letters) {
        let rows = serde_json::Value::from(rows_of(share)).to_string();
        let dropped = sqlx::query(TRIM_TEAM).bind(&rows).bind(signed(share.max() as u64)).execute(&mut *connection);
        let dropped = dropped.await?.rows_affected();
        let kept: i64 = sqlx::query_scalar(COUNT_TEAM).bind(&rows).fetch_one(&mut *connection).await?;
        of_teams.push((usize::try_from(kept).unwrap_or_default(), dropped));
    }
    let dropped = sqlx::query(
        "DELETE FROM tidegate_dead_letters WHERE id <= \
         (SELECT id FROM tidegate_dead_letters ORDER BY id DESC LIMIT 1 OFFSET ?)",
    )
    .bind(signed(max as u64))
    .execute(&mut *connection)
    .await?
    .rows_affected();
    let kept: i64 =
        sqlx::query_scalar("SELECT count(*) FROM tidegate_dead_letters").fetch_one(&mut *connection).await?;
    let dropped = dropped + of_teams.iter().map(|(_, dropped)| dropped).sum::<u64>();
    Ok(Written { dropped, kept: usize::try_from(kept).unwrap_or_default(), of_teams })
}
