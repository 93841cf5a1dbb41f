//! A connection to the outbox's database: made, looked after for the table, every answer in time or it is over.

use std::str::FromStr as _;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Postgres, Transaction};
use tokio::time::timeout;

use crate::config::{PostgresSource, PostgresUrl, TableName};

/// Why the outbox cannot be read now.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    /// The database is away, or says no.
    #[error("{place}: {cause}")]
    Database {
        /// Where, without the password.
        place: String,
        /// What it said.
        cause: sqlx::Error,
    },
    /// It did not answer.
    #[error("{place}: no answer for {timeout:?}")]
    Silent {
        /// Where, without the password.
        place: String,
        /// How long.
        timeout: Duration,
    },
    /// The table is not there and cannot be made.
    #[error(
        "{place}: the table `{table}` is not there and could not be made: {cause}; the manual has its SQL (`tidegate_outbox`)"
    )]
    NoTable {
        /// Where, without the password.
        place: String,
        /// Its name.
        table: String,
        /// What the database said.
        cause: sqlx::Error,
    },
    /// Another process reads under this node's name.
    #[error("another process reads as node `{node}`: give each node its own `node`, or wait until that one is gone")]
    Contested {
        /// The name.
        node: String,
    },
}

/// The connection.
pub(super) struct Link {
    connection: PgConnection,
    place: String,
    timeout: Duration,
}

/// What a step of work answers.
pub(super) type Step<T> = Result<T, sqlx::Error>;

impl Link {
    /// Connects, and makes the table where it is not there.
    pub(super) async fn open(source: &PostgresSource) -> Result<Self, ReadError> {
        let (place, limit) = (source.url.to_string(), source.timeout.get());
        let connected = async {
            let options = PgConnectOptions::from_str(source.url.expose())?.application_name("tidegate");
            PgConnection::connect_with(&options).await
        };
        let connection = match timeout(limit, connected).await {
            Ok(Ok(connection)) => connection,
            Ok(Err(cause)) => return Err(ReadError::Database { place, cause }),
            Err(_) => return Err(ReadError::Silent { place, timeout: limit }),
        };
        let mut link = Self { connection, place, timeout: limit };
        match link.run(async |transaction| ensure_table(transaction, &source.outbox).await).await {
            Err(ReadError::Database { place, cause: cause @ sqlx::Error::Database(_) }) => {
                Err(ReadError::NoTable { place, table: source.outbox.as_str().to_owned(), cause })
            }
            made => made.map(|()| link),
        }
    }

    /// Does something in a transaction of its own: a pooler gives a connection for that long. After an error the link is
    /// not to be used any more.
    pub(super) async fn run<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut Transaction<'_, Postgres>) -> Step<T>,
    ) -> Result<T, ReadError> {
        let worked = async {
            let mut transaction = self.connection.begin().await?;
            let looks = sqlx::query(PostgresUrl::PASSES_OWN_SCHEMA).bind(true).persistent(false);
            looks.execute(&mut *transaction).await?;
            let done = work(&mut transaction).await?;
            transaction.commit().await?;
            Ok(done)
        };
        match timeout(self.timeout, worked).await {
            Ok(done) => done.map_err(|cause| ReadError::Database { place: self.place.clone(), cause }),
            Err(_) => Err(ReadError::Silent { place: self.place.clone(), timeout: self.timeout }),
        }
    }
}

/// Makes the tables unless they are there; of several nodes that start at once, one does.
async fn ensure_table(transaction: &mut Transaction<'_, Postgres>, table: &TableName) -> Step<()> {
    let is_there = "select to_regclass($1) is not null";
    let there = async |transaction: &mut Transaction<'_, Postgres>| {
        sqlx::query_scalar::<_, bool>(is_there)
            .bind(table.as_str())
            .persistent(false)
            .fetch_one(&mut **transaction)
            .await
    };
    if there(transaction).await? {
        return Ok(());
    }
    let lock = "select pg_advisory_xact_lock(hashtext('tidegate outbox'), hashtext($1))";
    sqlx::query(lock).bind(table.as_str()).persistent(false).execute(&mut **transaction).await?;
    if !there(transaction).await? {
        sqlx::raw_sql(AssertSqlSafe(definition(table))).execute(&mut **transaction).await?;
    }
    Ok(())
}

/// The SQL that makes an outbox.
fn definition(table: &TableName) -> String {
    let name = table.as_str();
    let (schema, base) = name.rsplit_once('.').map_or(("", name), |(schema, base)| (schema, base));
    let publish = if base == "tidegate_outbox" { "tidegate_publish".to_owned() } else { format!("{base}_publish") };
    let publish = if schema.is_empty() { publish } else { format!("{schema}.{publish}") };
    // A table's name is checked where it is configured: it needs no quotes.
    include_str!("outbox.sql").replace("OUTBOX", name).replace("BASE", base).replace("PUBLISH", &publish)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_belongs_to_an_outbox_is_named_after_it() {
        let named = |text: &str| definition(&serde_json::from_str::<TableName>(&format!("{text:?}")).unwrap());
        let usual = named("tidegate_outbox");
        for part in
            ["create table tidegate_outbox (", "create function tidegate_publish(", "index tidegate_outbox_xid on"]
        {
            assert!(usual.contains(part), "{part}");
        }
        let other = named("app.events");
        for part in
            ["create table app.events (", "create function app.events_publish(", "index events_xid on app.events"]
        {
            assert!(other.contains(part), "{part}");
        }
    }
}
