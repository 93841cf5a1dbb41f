//! When sessions of a web application were used, in PostgreSQL: nodes write what they know, and the known time only
//! widens.

use async_trait::async_trait;

use super::super::keys::{signed, unsigned};
use super::PostgresStore;
use tidegate_core::flow::sessions::{SessionKey, SessionUse, Sessions, SessionsError};

/// In the order of the keys, so that nodes that write some of the same sessions at the same time wait for each other in
/// turn.
const WRITE_BACK: &str = "INSERT INTO tidegate.sessions AS known (key, first_unix_s, last_unix_s)
    SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[]) AS used (key, first, last) ORDER BY key
    ON CONFLICT (key) DO UPDATE SET
        first_unix_s = least(known.first_unix_s, excluded.first_unix_s),
        last_unix_s = greatest(known.last_unix_s, excluded.last_unix_s)";

#[async_trait]
impl Sessions for PostgresStore {
    async fn open(&self) -> Result<(), SessionsError> {
        self.database.open().await.map_err(SessionsError)
    }

    async fn used(&self, key: &SessionKey) -> Result<Option<SessionUse>, SessionsError> {
        let found = sqlx::query_as("SELECT first_unix_s, last_unix_s FROM tidegate.sessions WHERE key = $1");
        let found = found.bind(key.as_str());
        let found: Option<(i64, i64)> =
            self.database.call(|pool| async move { found.fetch_optional(&pool).await }).await.map_err(SessionsError)?;
        Ok(found.map(|(first, last)| SessionUse { first_unix_s: unsigned(first), last_unix_s: unsigned(last) }))
    }

    async fn write_back(&self, used: &[(SessionKey, SessionUse)]) -> Result<(), SessionsError> {
        let keys: Vec<&str> = used.iter().map(|(key, _)| key.as_str()).collect();
        let first: Vec<i64> = used.iter().map(|(_, used)| signed(used.first_unix_s)).collect();
        let last: Vec<i64> = used.iter().map(|(_, used)| signed(used.last_unix_s)).collect();
        let write = sqlx::query(WRITE_BACK).bind(keys).bind(first).bind(last);
        self.database.call(|pool| async move { write.execute(&pool).await }).await.map_err(SessionsError)?;
        Ok(())
    }

    async fn forget(&self, last_before_unix_s: u64) -> Result<u64, SessionsError> {
        let forget =
            sqlx::query("DELETE FROM tidegate.sessions WHERE last_unix_s < $1").bind(signed(last_before_unix_s));
        let done =
            self.database.call(|pool| async move { forget.execute(&pool).await }).await.map_err(SessionsError)?;
        Ok(done.rows_affected())
    }
}
