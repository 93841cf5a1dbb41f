//! Keys with values and revisions in SQLite.

use std::time::Duration;

use async_trait::async_trait;
use sqlx::{Sqlite, SqliteConnection, Transaction};

use super::super::keys::{range, signed, unsigned};
use super::SqliteStore;
use tidegate_core::flow::kv::{KeyValue, KvEntry, KvError, KvKey, add, expect_revision, expiry_ms};

/// Takes the next revision of all keys.
pub(super) const NEXT_REVISION: &str = "UPDATE tidegate_kv_revision SET revision = revision + 1 RETURNING revision";

/// An existing key.
struct Found {
    entry: KvEntry,
    expires_at_ms: Option<i64>,
}

#[async_trait]
impl KeyValue for SqliteStore {
    async fn open(&self) -> Result<(), KvError> {
        self.database.open().await.map_err(KvError::Unavailable)
    }

    async fn get(&self, key: KvKey<'_>) -> Result<Option<KvEntry>, KvError> {
        let reader = self.database.reader().map_err(KvError::Unavailable)?;
        let mut connection = reader.acquire().await.map_err(|error| self.away(&error))?;
        let found = find(&mut connection, key, self.database.now_ms()).await.map_err(|error| self.away(&error))?;
        Ok(found.map(|found| found.entry))
    }

    async fn put(
        &self,
        key: KvKey<'_>,
        value: &[u8],
        if_revision: Option<u64>,
        ttl: Option<Duration>,
    ) -> Result<u64, KvError> {
        let mut write = self.begin().await?;
        let now_ms = self.database.now_ms();
        if if_revision.is_some() {
            let found = find(&mut write, key, now_ms).await.map_err(|error| self.away(&error))?;
            expect_revision(found.map_or(0, |found| found.entry.revision), if_revision)?;
        }
        let expires_at_ms = expiry_ms(unsigned(now_ms), ttl).map(signed);
        let revision = upsert(&mut write, key, value, expires_at_ms).await.map_err(|error| self.away(&error))?;
        write.commit().await.map_err(|error| self.away(&error))?;
        Ok(revision)
    }

    async fn delete(&self, key: KvKey<'_>, if_revision: Option<u64>) -> Result<bool, KvError> {
        let mut write = self.begin().await?;
        let found = find(&mut write, key, self.database.now_ms()).await.map_err(|error| self.away(&error))?;
        expect_revision(found.as_ref().map_or(0, |found| found.entry.revision), if_revision)?;
        if found.is_none() {
            return Ok(false);
        }
        sqlx::query("DELETE FROM tidegate_kv WHERE bucket = ? AND key = ?")
            .bind(key.bucket)
            .bind(key.key.as_bytes())
            .execute(&mut *write)
            .await
            .map_err(|error| self.away(&error))?;
        write.commit().await.map_err(|error| self.away(&error))?;
        Ok(true)
    }

    async fn increment(&self, key: KvKey<'_>, delta: i64, ttl: Option<Duration>) -> Result<i64, KvError> {
        let mut write = self.begin().await?;
        let now_ms = self.database.now_ms();
        let found = find(&mut write, key, now_ms).await.map_err(|error| self.away(&error))?;
        let (sum, expires_at_ms) = match found {
            Some(found) => (add(Some(&found.entry.value), delta)?, found.expires_at_ms),
            None => (add(None, delta)?, expiry_ms(unsigned(now_ms), ttl).map(signed)),
        };
        let value = sum.to_string();
        upsert(&mut write, key, value.as_bytes(), expires_at_ms).await.map_err(|error| self.away(&error))?;
        write.commit().await.map_err(|error| self.away(&error))?;
        Ok(sum)
    }

    async fn keys(&self, bucket: &str, prefix: &str, after: Option<&str>, limit: u32) -> Result<Vec<String>, KvError> {
        let reader = self.database.reader().map_err(KvError::Unavailable)?;
        let (start, end) = range(prefix, after);
        let found: Vec<Vec<u8>> = sqlx::query_scalar(
            "SELECT key FROM tidegate_kv WHERE bucket = ? AND key >= ? AND key < ? \
             AND (expires_at_ms IS NULL OR expires_at_ms > ?) ORDER BY key LIMIT ?",
        )
        .bind(bucket)
        .bind(start)
        .bind(end)
        .bind(self.database.now_ms())
        .bind(limit)
        .fetch_all(&reader)
        .await
        .map_err(|error| self.away(&error))?;
        Ok(found.into_iter().map(|key| String::from_utf8_lossy(&key).into_owned()).collect())
    }
}

impl SqliteStore {
    async fn begin(&self) -> Result<Transaction<'static, Sqlite>, KvError> {
        self.database.write().await.map_err(KvError::Unavailable)
    }

    fn away(&self, error: &sqlx::Error) -> KvError {
        KvError::Unavailable(self.database.failed(error))
    }
}

async fn find(connection: &mut SqliteConnection, key: KvKey<'_>, now_ms: i64) -> Result<Option<Found>, sqlx::Error> {
    let row: Option<(Vec<u8>, i64, Option<i64>)> = sqlx::query_as(
        "SELECT value, revision, expires_at_ms FROM tidegate_kv \
         WHERE bucket = ? AND key = ? AND (expires_at_ms IS NULL OR expires_at_ms > ?)",
    )
    .bind(key.bucket)
    .bind(key.key.as_bytes())
    .bind(now_ms)
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|(value, revision, expires_at_ms)| {
        let entry = KvEntry { value, revision: unsigned(revision) };
        Found { entry, expires_at_ms }
    }))
}

/// Writes the key with the next revision, and returns the revision.
async fn upsert(
    connection: &mut SqliteConnection,
    key: KvKey<'_>,
    value: &[u8],
    expires_at_ms: Option<i64>,
) -> Result<u64, sqlx::Error> {
    let revision: i64 = sqlx::query_scalar(NEXT_REVISION).fetch_one(&mut *connection).await?;
    sqlx::query(
        "INSERT INTO tidegate_kv (bucket, key, value, revision, expires_at_ms) VALUES (?, ?, ?, ?, ?) \
         ON CONFLICT (bucket, key) DO UPDATE \
         SET value = excluded.value, revision = excluded.revision, expires_at_ms = excluded.expires_at_ms",
    )
    .bind(key.bucket)
    .bind(key.key.as_bytes())
    .bind(value)
    .bind(revision)
    .bind(expires_at_ms)
    .execute(connection)
    .await?;
    Ok(unsigned(revision))
}

/// Removes at most so many expired keys, and returns how many there were.
pub(super) async fn sweep(connection: &mut SqliteConnection, now_ms: i64, keys_max: u64) -> Result<u64, sqlx::Error> {
    sqlx::query(
        "DELETE FROM tidegate_kv WHERE rowid IN (SELECT rowid FROM tidegate_kv WHERE expires_at_ms <= ? LIMIT ?)",
    )
    .bind(now_ms)
    .bind(signed(keys_max))
    .execute(connection)
    .await
    .map(|done| done.rows_affected())
}
