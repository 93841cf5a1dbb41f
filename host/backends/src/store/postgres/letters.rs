//! Dead letters in PostgreSQL, shared by the nodes.

use std::sync::Arc;

use async_trait::async_trait;
use sha2::{Digest as _, Sha256};
use sqlx::postgres::PgPool;

use super::super::keys::signed;
use super::super::letters::{LetterTable, Row, Written, of_row, rows_of, shares, to_row};
use super::database::Database;
use tidegate_core::flow::DeadLetter;

/// Writes letters. A letter from an earlier attempt, or from another node, stays unchanged: where each node reads every
/// event for itself, an event that cannot cross fails on each node, and one retry reaches all.
const INSERT: &str = "INSERT INTO tidegate.dead_letters (id, at_unix_s, rule_on, rule_to, reason, event, digest) \
     SELECT * FROM unnest($1::text[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bytea[]) \
     ON CONFLICT DO NOTHING";
const TRIM: &str = "DELETE FROM tidegate.dead_letters WHERE id <= \
     (SELECT id FROM tidegate.dead_letters ORDER BY id DESC LIMIT 1 OFFSET $1)";
/// The same among the letters of one team.
const TRIM_TEAM: &str = "DELETE FROM tidegate.dead_letters WHERE rule_to = ANY($1) AND id <= \
     (SELECT id FROM tidegate.dead_letters WHERE rule_to = ANY($1) ORDER BY id DESC LIMIT 1 OFFSET $2)";
const COUNT_TEAM: &str = "SELECT count(*) FROM tidegate.dead_letters WHERE rule_to = ANY($1)";
const COUNT: &str = "SELECT count(*) FROM tidegate.dead_letters";

/// The table in one database.
pub(super) struct PostgresLetters(pub(super) Arc<Database>);

#[async_trait]
impl LetterTable for PostgresLetters {
    async fn open(&self, _make: bool) -> Result<bool, String> {
        self.0.open().await.map(|()| true)
    }

    async fn insert(&self, letters: &[DeadLetter], max: usize) -> Result<Written, String> {
        self.0.call(|pool| async move { insert(&pool, letters, max).await }).await
    }

    async fn newest(&self, before: Option<&str>, limit: usize) -> Result<(Vec<DeadLetter>, usize), String> {
        let (rows, count) = self
            .0
            .call(|pool| async move {
                let rows = sqlx::query_as::<_, Row>(
                    "SELECT id, at_unix_s, rule_on, rule_to, reason, event FROM tidegate.dead_letters \
                     WHERE $1::text IS NULL OR id < $1 ORDER BY id DESC LIMIT $2",
                );
                let rows = rows.bind(before).bind(signed(limit as u64)).fetch_all(&pool).await?;
                let count: i64 = sqlx::query_scalar(COUNT).fetch_one(&pool).await?;
                Ok((rows, count))
            })
            .await?;
        Ok((rows.into_iter().filter_map(of_row).collect(), usize::try_from(count).unwrap_or_default()))
    }

    async fn find(&self, id: &str) -> Result<Option<DeadLetter>, String> {
        let row = sqlx::query_as::<_, Row>(
            "SELECT id, at_unix_s, rule_on, rule_to, reason, event FROM tidegate.dead_letters WHERE id = $1",
        );
        let row = self.0.call(|pool| async move { row.bind(id).fetch_optional(&pool).await }).await?;
        Ok(row.and_then(of_row))
    }

    async fn take(&self, id: &str) -> Result<Option<DeadLetter>, String> {
        let row = sqlx::query_as::<_, Row>(
            "DELETE FROM tidegate.dead_letters WHERE id = $1 RETURNING id, at_unix_s, rule_on, rule_to, reason, event",
        );
        let row = self.0.call(|pool| async move { row.bind(id).fetch_optional(&pool).await }).await?;
        Ok(row.and_then(of_row))
    }
}

async fn insert(pool: &PgPool, letters: &[DeadLetter], max: usize) -> Result<Written, sqlx::Error> {
    let (mut ids, mut times, mut ons) = (Vec::new(), Vec::new(), Vec::new());
    let (mut tos, mut reasons, mut events) = (Vec::new(), Vec::new(), Vec::new());
    let mut digests = Vec::new();
    for (id, at_unix_s, on, to, reason, event) in letters.iter().map(to_row) {
        digests.push(digest(&on, &to, &event));
        ids.push(id);
        times.push(at_unix_s);
        ons.push(on);
        tos.push(to);
        reasons.push(reason);
        events.push(event);
    }
    let insert = sqlx::query(INSERT).bind(ids).bind(times).bind(ons).bind(tos).bind(reasons).bind(events);
    insert.bind(digests).execute(pool).await?;
    let mut of_teams = Vec::new();
    for share in shares(letters) {
        let rows = rows_of(share);
        let trim = sqlx::query(TRIM_TEAM).bind(&rows).bind(signed(share.max() as u64));
        let dropped = trim.execute(pool).await?.rows_affected();
        let kept: i64 = sqlx::query_scalar(COUNT_TEAM).bind(&rows).fetch_one(pool).await?;
        of_teams.push((usize::try_from(kept).unwrap_or_default(), dropped));
    }
    let dropped = sqlx::query(TRIM).bind(signed(max as u64)).execute(pool).await?.rows_affected();
    let kept: i64 = sqlx::query_scalar(COUNT).fetch_one(pool).await?;
    let dropped = dropped + of_teams.iter().map(|(_, dropped)| dropped).sum::<u64>();
    Ok(Written { dropped, kept: usize::try_from(kept).unwrap_or_default(), of_teams })
}

/// Equal for the letters of different nodes about the same event and rule.
fn digest(on: &str, to: &str, event: &str) -> Vec<u8> {
    let mut digest = Sha256::new();
    for part in [on, to, event] {
        digest.update(part.as_bytes());
        digest.update([0]);
    }
    digest.finalize().to_vec()
}
