//! When sessions were used, in SQLite.

use async_trait::async_trait;

use super::super::keys::{signed, unsigned};
use super::SqliteStore;
use crate::flow::sessions::{SessionKey, SessionUse, Sessions, SessionsError};

const WIDEN: &str = "INSERT INTO tidegate_sessions (key, first_unix_s, last_unix_s) VALUES (?, ?, ?) \
     ON CONFLICT (key) DO UPDATE SET first_unix_s = min(first_unix_s, excluded.first_unix_s), \
     last_unix_s = max(last_unix_s, excluded.last_unix_s)";

#[async_trait]
impl Sessions for SqliteStore {
    async fn open(&self) -> Result<(), SessionsError> {
        self.database.open().await.map_err(SessionsError)
    }

    async fn used(&self, key: &SessionKey) -> Result<Option<SessionUse>, SessionsError> {
        let reader = self.database.reader().map_err(SessionsError)?;
        let found: Option<(i64, i64)> =
            sqlx::query_as("SELECT first_unix_s, last_unix_s FROM tidegate_sessions WHERE key = ?")
                .bind(key.as_str())
                .fetch_optional(&reader)
                .await
                .map_err(|error| self.lost(&error))?;
        let used = |(first, last)| SessionUse { first_unix_s: unsigned(first), last_unix_s: unsigned(last) };
        Ok(found.map(used))
    }

    async fn write_back(&self, used: &[(SessionKey, SessionUse)]) -> Result<(), SessionsError> {
        let mut write = self.database.write().await.map_err(SessionsError)?;
        for (key, times) in used {
            sqlx::query(WIDEN)
                .bind(key.as_str())
                .bind(signed(times.first_unix_s))
                .bind(signed(times.last_unix_s))
                .execute(&mut *write)
                .await
                .map_err(|error| self.lost(&error))?;
        }
        write.commit().await.map_err(|error| self.lost(&error))
    }

    async fn forget(&self, last_before_unix_s: u64) -> Result<u64, SessionsError> {
        let mut write = self.database.write().await.map_err(SessionsError)?;
        let gone = sqlx::query("DELETE FROM tidegate_sessions WHERE last_unix_s < ?")
            .bind(signed(last_before_unix_s))
            .execute(&mut *write)
            .await
            .map_err(|error| self.lost(&error))?;
        write.commit().await.map_err(|error| self.lost(&error))?;
        Ok(gone.rows_affected())
    }
}

impl SqliteStore {
    fn lost(&self, error: &sqlx::Error) -> SessionsError {
        SessionsError(self.database.failed(error))
    }
}
