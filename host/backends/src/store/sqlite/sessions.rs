//! When sessions were used, in SQLite.

use async_trait::async_trait;

use super::super::keys::{signed, unsigned};
use super::SqliteStore;
use tidegate_core::flow::sessions::{SessionKey, SessionUse, Sessions, SessionsError};

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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use tidegate_core::flow::ports::SystemClock;

    #[tokio::test]
    async fn what_is_known_of_a_session_only_widens_and_what_is_old_is_forgotten() {
        let directory = tempfile::tempdir().unwrap();
        let store = SqliteStore::new(directory.path().join("t.db"), Arc::new(SystemClock));
        let (a, b) = (SessionKey::new("a"), SessionKey::new("b"));
        let times = |first_unix_s, last_unix_s| SessionUse { first_unix_s, last_unix_s };
        store.open().await.unwrap();
        assert_eq!(store.used(&a).await, Ok(None));
        store.write_back(&[(a.clone(), times(10, 20)), (b.clone(), times(5, 6))]).await.unwrap();
        store.write_back(&[(a.clone(), times(12, 15))]).await.unwrap();
        assert_eq!(store.used(&a).await, Ok(Some(times(10, 20))));
        store.write_back(&[(a.clone(), times(8, 30))]).await.unwrap();
        assert_eq!(store.used(&a).await, Ok(Some(times(8, 30))));
        assert_eq!(store.forget(30).await, Ok(1));
        assert_eq!((store.used(&a).await, store.used(&b).await), (Ok(Some(times(8, 30))), Ok(None)));
        store.close().await;
    }
}
