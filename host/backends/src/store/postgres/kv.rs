//! Keys with values and revisions in PostgreSQL. Each operation is one statement, so that concurrent nodes see complete
//! rows, and no node waits for another between two statements.

use std::time::Duration;

use async_trait::async_trait;
use sqlx::postgres::{PgPool, PgQueryResult};

use super::super::keys::{range, signed, unsigned};
use super::PostgresStore;
use tidegate_core::flow::kv::{KeyValue, KvEntry, KvError, KvKey, expiry_ms};

/// Writes the row, whatever was there. It first looks for an existing row, so that only one of two revisions is used;
/// if another node creates the row meanwhile, it is overwritten.
const PUT: &str = "WITH updated AS (
    UPDATE tidegate.kv SET value = $3, revision = nextval('tidegate.kv_revision'), expires_at_ms = $4
    WHERE bucket = $1 AND key = $2 RETURNING revision
), inserted AS (
    INSERT INTO tidegate.kv AS kv (bucket, key, value, revision, expires_at_ms)
    SELECT $1, $2, $3, nextval('tidegate.kv_revision'), $4 WHERE NOT EXISTS (SELECT FROM updated)
    ON CONFLICT (bucket, key) DO UPDATE
    SET value = excluded.value, revision = nextval('tidegate.kv_revision'), expires_at_ms = excluded.expires_at_ms
    RETURNING revision
) SELECT revision FROM updated UNION ALL SELECT revision FROM inserted";

/// Creates the row if there is none, or only an expired one; returns no row otherwise.
const PUT_NEW: &str = "WITH updated AS (
    UPDATE tidegate.kv SET value = $3, revision = nextval('tidegate.kv_revision'), expires_at_ms = $4
    WHERE bucket = $1 AND key = $2 AND expires_at_ms <= $5 RETURNING revision
), inserted AS (
    INSERT INTO tidegate.kv AS kv (bucket, key, value, revision, expires_at_ms)
    SELECT $1, $2, $3, nextval('tidegate.kv_revision'), $4
    WHERE NOT EXISTS (SELECT FROM updated)
    AND NOT EXISTS (SELECT FROM tidegate.kv WHERE bucket = $1 AND key = $2 AND coalesce(expires_at_ms > $5, true))
    ON CONFLICT (bucket, key) DO NOTHING
    RETURNING revision
) SELECT revision FROM updated UNION ALL SELECT revision FROM inserted";

/// Writes the row with this revision; returns no row if it has another one.
const PUT_OVER: &str = "UPDATE tidegate.kv
    SET value = $3, revision = nextval('tidegate.kv_revision'), expires_at_ms = $4
    WHERE bucket = $1 AND key = $2 AND coalesce(expires_at_ms > $5, true) AND revision = $6 RETURNING revision";

/// Adds to the number in a row, or creates the row; returns no row if the value is not a number, or if the sum is too
/// large. A value is bytes: if they are not ASCII digits, their escaped text has no digits either.
const INCREMENT: &str = "WITH updated AS (
    UPDATE tidegate.kv AS kv SET
        value = CASE WHEN expires_at_ms <= $5 THEN convert_to($3::text, 'UTF8')
            ELSE convert_to((encode(value, 'escape')::numeric + $3)::text, 'UTF8') END,
        expires_at_ms = CASE WHEN expires_at_ms <= $5 THEN $4 ELSE expires_at_ms END,
        revision = nextval('tidegate.kv_revision')
    WHERE bucket = $1 AND key = $2 AND CASE WHEN expires_at_ms <= $5 THEN true
        WHEN encode(value, 'escape') !~ '^[+-]?[0-9]+$' THEN false
        ELSE encode(value, 'escape')::numeric BETWEEN -9223372036854775808 AND 9223372036854775807
            AND encode(value, 'escape')::numeric + $3 BETWEEN -9223372036854775808 AND 9223372036854775807 END
    RETURNING value
), inserted AS (
    INSERT INTO tidegate.kv AS kv (bucket, key, value, revision, expires_at_ms)
    SELECT $1, $2, convert_to($3::text, 'UTF8'), nextval('tidegate.kv_revision'), $4
    WHERE NOT EXISTS (SELECT FROM updated)
    ON CONFLICT (bucket, key) DO NOTHING
    RETURNING value
) SELECT convert_from(value, 'UTF8')::bigint FROM (TABLE updated UNION ALL TABLE inserted) AS written";

#[async_trait]
impl KeyValue for PostgresStore {
    async fn open(&self) -> Result<(), KvError> {
        self.database.open().await.map_err(KvError::Unavailable)
    }

    async fn get(&self, key: KvKey<'_>) -> Result<Option<KvEntry>, KvError> {
        let now_ms = self.database.now_ms();
        let found: Option<(Vec<u8>, i64)> = self
            .kv(|pool| async move {
                let found = sqlx::query_as(
                    "SELECT value, revision FROM tidegate.kv \
                     WHERE bucket = $1 AND key = $2 AND coalesce(expires_at_ms > $3, true)",
                );
                found.bind(key.bucket).bind(key.key.as_bytes()).bind(now_ms).fetch_optional(&pool).await
            })
            .await?;
        Ok(found.map(|(value, revision)| KvEntry { value, revision: unsigned(revision) }))
    }

    async fn put(
        &self,
        key: KvKey<'_>,
        value: &[u8],
        if_revision: Option<u64>,
        ttl: Option<Duration>,
    ) -> Result<u64, KvError> {
        let now_ms = self.database.now_ms();
        let expires_at_ms = expiry_ms(unsigned(now_ms), ttl).map(signed);
        let statement = match if_revision {
            None => PUT,
            Some(0) => PUT_NEW,
            Some(_) => PUT_OVER,
        };
        let written: Option<i64> = self
            .kv(|pool| async move {
                let put = sqlx::query_scalar(statement).bind(key.bucket).bind(key.key.as_bytes());
                let put = put.bind(value).bind(expires_at_ms);
                let put = if if_revision.is_some() { put.bind(now_ms) } else { put };
                let put = match if_revision {
                    Some(revision @ 1..) => put.bind(signed(revision)),
                    _ => put,
                };
                put.fetch_optional(&pool).await
            })
            .await?;
        match written {
            Some(revision) => Ok(unsigned(revision)),
            None => Err(self.conflict(key).await),
        }
    }

    async fn delete(&self, key: KvKey<'_>, if_revision: Option<u64>) -> Result<bool, KvError> {
        let now_ms = self.database.now_ms();
        let deleted = self
            .kv(|pool| async move {
                let delete = sqlx::query(
                    "DELETE FROM tidegate.kv WHERE bucket = $1 AND key = $2 AND coalesce(expires_at_ms > $3, true) \
                     AND ($4::bigint IS NULL OR revision = $4)",
                );
                let delete = delete.bind(key.bucket).bind(key.key.as_bytes()).bind(now_ms);
                delete.bind(if_revision.map(signed)).execute(&pool).await
            })
            .await?;
        if deleted.rows_affected() > 0 {
            return Ok(true);
        }
        match (if_revision, self.conflict(key).await) {
            (None, KvError::Conflict(_)) | (Some(0), KvError::Conflict(0)) => Ok(false),
            (_, error) => Err(error),
        }
    }

    async fn increment(&self, key: KvKey<'_>, delta: i64, ttl: Option<Duration>) -> Result<i64, KvError> {
        let now_ms = self.database.now_ms();
        let expires_at_ms = expiry_ms(unsigned(now_ms), ttl).map(signed);
        // Of several nodes that find no row at the same time one creates it, and the others add to it in their second
        // attempt.
        for _ in 0..2 {
            let sum: Option<i64> = self
                .kv(|pool| async move {
                    let increment = sqlx::query_scalar(INCREMENT).bind(key.bucket).bind(key.key.as_bytes());
                    increment.bind(delta).bind(expires_at_ms).bind(now_ms).fetch_optional(&pool).await
                })
                .await?;
            if let Some(sum) = sum {
                return Ok(sum);
            }
        }
        Err(KvError::NotAnInteger)
    }

    async fn keys(&self, bucket: &str, prefix: &str, after: Option<&str>, limit: u32) -> Result<Vec<String>, KvError> {
        let now_ms = self.database.now_ms();
        let (start, end) = range(prefix, after);
        let found: Vec<Vec<u8>> = self
            .kv(|pool| async move {
                let found = sqlx::query_scalar(
                    "SELECT key FROM tidegate.kv WHERE bucket = $1 AND key >= $2 AND key < $3 \
                     AND coalesce(expires_at_ms > $4, true) ORDER BY key LIMIT $5",
                );
                let found = found.bind(bucket).bind(start).bind(end).bind(now_ms).bind(i64::from(limit));
                found.fetch_all(&pool).await
            })
            .await?;
        Ok(found.into_iter().map(|key| String::from_utf8_lossy(&key).into_owned()).collect())
    }
}

impl PostgresStore {
    async fn kv<T, F>(&self, call: impl FnOnce(PgPool) -> F) -> Result<T, KvError>
    where
        F: Future<Output = Result<T, sqlx::Error>>,
    {
        self.database.call(call).await.map_err(KvError::Unavailable)
    }

    /// The present revision of a key, for a caller that expected another one.
    async fn conflict(&self, key: KvKey<'_>) -> KvError {
        match self.get(key).await {
            Ok(found) => KvError::Conflict(found.map_or(0, |entry| entry.revision)),
            Err(error) => error,
        }
    }
}

/// Removes at most so many expired keys, and returns how many there were. Keys that another node is removing are left
/// to it.
pub(super) async fn sweep(pool: &PgPool, now_ms: i64, keys_max: u64) -> Result<u64, sqlx::Error> {
    sqlx::query(
        "DELETE FROM tidegate.kv WHERE (bucket, key) IN (SELECT bucket, key FROM tidegate.kv \
         WHERE expires_at_ms <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED)",
    )
    .bind(now_ms)
    .bind(signed(keys_max))
    .execute(pool)
    .await
    .map(|done: PgQueryResult| done.rows_affected())
}
