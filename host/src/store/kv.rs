//! Keys with values and revisions in SQLite.

use std::time::Duration;

use async_trait::async_trait;
use sqlx::{Sqlite, SqliteConnection, Transaction};

use super::Store;
use crate::flow::kv::{KeyValue, KvEntry, KvError, KvKey, add, expect_revision, expiry_ms};

/// Keys whose time is over that one write takes away besides its own work. A write makes one key at most, so there are
/// never many left.
const SWEEP_KEYS_MAX: i64 = 16;

/// A key that is there.
struct Found {
    entry: KvEntry,
    expires_at_ms: Option<i64>,
}

#[async_trait]
impl KeyValue for Store {
    async fn open(&self) -> Result<(), KvError> {
        self.pools().await.map(|_| ()).map_err(|error| away(&error))
    }

    async fn get(&self, key: KvKey<'_>) -> Result<Option<KvEntry>, KvError> {
        let pools = self.pools().await.map_err(|error| away(&error))?;
        let mut connection = pools.reader.acquire().await.map_err(|error| away(&error))?;
        Ok(find(&mut connection, key, self.now_ms()).await?.map(|found| found.entry))
    }

    async fn put(
        &self,
        key: KvKey<'_>,
        value: &[u8],
        if_revision: Option<u64>,
        ttl: Option<Duration>,
    ) -> Result<u64, KvError> {
        let mut write = self.begin().await?;
        let now_ms = self.now_ms();
        if if_revision.is_some() {
            let found = find(&mut write, key, now_ms).await?;
            expect_revision(found.map_or(0, |found| found.entry.revision), if_revision)?;
        }
        let expires_at_ms = expiry_ms(unsigned(now_ms), ttl).map(signed);
        let revision = upsert(&mut write, key, value, expires_at_ms).await?;
        end(write, now_ms).await?;
        Ok(revision)
    }

    async fn delete(&self, key: KvKey<'_>, if_revision: Option<u64>) -> Result<bool, KvError> {
        let mut write = self.begin().await?;
        let now_ms = self.now_ms();
        let found = find(&mut write, key, now_ms).await?;
        expect_revision(found.as_ref().map_or(0, |found| found.entry.revision), if_revision)?;
        if found.is_none() {
            return Ok(false);
        }
        sqlx::query("DELETE FROM kv WHERE bucket = ? AND key = ?")
            .bind(key.bucket)
            .bind(key.key.as_bytes())
            .execute(&mut *write)
            .await
            .map_err(|error| away(&error))?;
        end(write, now_ms).await?;
        Ok(true)
    }

    async fn increment(&self, key: KvKey<'_>, delta: i64, ttl: Option<Duration>) -> Result<i64, KvError> {
        let mut write = self.begin().await?;
        let now_ms = self.now_ms();
        let (sum, expires_at_ms) = match find(&mut write, key, now_ms).await? {
            Some(found) => (add(Some(&found.entry.value), delta)?, found.expires_at_ms),
            None => (add(None, delta)?, expiry_ms(unsigned(now_ms), ttl).map(signed)),
        };
        upsert(&mut write, key, sum.to_string().as_bytes(), expires_at_ms).await?;
        end(write, now_ms).await?;
        Ok(sum)
    }

    async fn keys(&self, bucket: &str, prefix: &str, after: Option<&str>, limit: u32) -> Result<Vec<String>, KvError> {
        let pools = self.pools().await.map_err(|error| away(&error))?;
        let start = match after {
            // The next key there can be.
            Some(after) if after >= prefix => [after.as_bytes(), b"\0"].concat(),
            _ => prefix.as_bytes().to_vec(),
        };
        let found: Vec<Vec<u8>> = sqlx::query_scalar(
            "SELECT key FROM kv WHERE bucket = ? AND key >= ? AND key < ? \
             AND (expires_at_ms IS NULL OR expires_at_ms > ?) ORDER BY key LIMIT ?",
        )
        .bind(bucket)
        .bind(start)
        .bind(after_all_of(prefix))
        .bind(self.now_ms())
        .bind(limit)
        .fetch_all(&pools.reader)
        .await
        .map_err(|error| away(&error))?;
        Ok(found.into_iter().map(|key| String::from_utf8_lossy(&key).into_owned()).collect())
    }
}

impl Store {
    fn now_ms(&self) -> i64 {
        signed(self.clock.now_unix_ms())
    }

    /// Begins a write, which has the database to itself. Dropped before [`end`], it did not happen.
    async fn begin(&self) -> Result<Transaction<'static, Sqlite>, KvError> {
        let pools = self.pools().await.map_err(|error| away(&error))?;
        pools.writer.begin_with("BEGIN IMMEDIATE").await.map_err(|error| away(&error))
    }
}

async fn find(connection: &mut SqliteConnection, key: KvKey<'_>, now_ms: i64) -> Result<Option<Found>, KvError> {
    let row: Option<(Vec<u8>, i64, Option<i64>)> = sqlx::query_as(
        "SELECT value, revision, expires_at_ms FROM kv \
         WHERE bucket = ? AND key = ? AND (expires_at_ms IS NULL OR expires_at_ms > ?)",
    )
    .bind(key.bucket)
    .bind(key.key.as_bytes())
    .bind(now_ms)
    .fetch_optional(connection)
    .await
    .map_err(|error| away(&error))?;
    Ok(row.map(|(value, revision, expires_at_ms)| {
        let entry = KvEntry { value, revision: unsigned(revision) };
        Found { entry, expires_at_ms }
    }))
}

/// Writes the key under the next revision, and tells it.
async fn upsert(
    connection: &mut SqliteConnection,
    key: KvKey<'_>,
    value: &[u8],
    expires_at_ms: Option<i64>,
) -> Result<u64, KvError> {
    let revision: i64 = sqlx::query_scalar("UPDATE kv_revision SET revision = revision + 1 RETURNING revision")
        .fetch_one(&mut *connection)
        .await
        .map_err(|error| away(&error))?;
    sqlx::query(
        "INSERT INTO kv (bucket, key, value, revision, expires_at_ms) VALUES (?, ?, ?, ?, ?) \
         ON CONFLICT (bucket, key) DO UPDATE \
         SET value = excluded.value, revision = excluded.revision, expires_at_ms = excluded.expires_at_ms",
    )
    .bind(key.bucket)
    .bind(key.key.as_bytes())
    .bind(value)
    .bind(revision)
    .bind(expires_at_ms)
    .execute(connection)
    .await
    .map_err(|error| away(&error))?;
    Ok(unsigned(revision))
}

/// Takes away some keys whose time is over, and makes the write happen.
async fn end(mut write: Transaction<'static, Sqlite>, now_ms: i64) -> Result<(), KvError> {
    sqlx::query("DELETE FROM kv WHERE rowid IN (SELECT rowid FROM kv WHERE expires_at_ms <= ? LIMIT ?)")
        .bind(now_ms)
        .bind(SWEEP_KEYS_MAX)
        .execute(&mut *write)
        .await
        .map_err(|error| away(&error))?;
    write.commit().await.map_err(|error| away(&error))
}

/// Bytes greater than every text that begins with the prefix, and no greater than any other text that is.
fn after_all_of(prefix: &str) -> Vec<u8> {
    let mut bytes = prefix.as_bytes().to_vec();
    match bytes.last_mut() {
        // No byte of UTF-8 is 255: the last one can grow.
        Some(last) => *last += 1,
        None => bytes.push(u8::MAX),
    }
    bytes
}

fn away(error: &sqlx::Error) -> KvError {
    tracing::warn!(%error, "the store does not answer");
    KvError::Unavailable(error.to_string())
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::StorePlace;
    use crate::flow::ports::SystemClock;

    #[tokio::test]
    async fn keys_whose_time_is_over_are_taken_away_by_later_writes() {
        let store = Store::new(StorePlace::SqliteMemory, Arc::new(SystemClock));
        let key = |key| KvKey { bucket: "b", key };
        for name in ["1", "2", "3"] {
            store.put(key(name), b"v", None, Some(Duration::ZERO)).await.unwrap();
        }
        store.put(key("stays"), b"v", None, None).await.unwrap();
        let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM kv")
            .fetch_one(&store.pools().await.unwrap().reader)
            .await
            .unwrap();
        assert_eq!(rows, 1);
    }

    #[test]
    fn a_prefix_ends_where_the_next_one_begins() {
        assert_eq!(after_all_of("ab"), b"ac");
        assert!(after_all_of("").as_slice() > char::MAX.to_string().as_bytes());
    }
}
