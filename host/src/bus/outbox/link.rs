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
    /// No connection can be made.
    #[error("{place}: {why}")]
    Unreached {
        /// Where, without the password.
        place: String,
        /// What it said, and perhaps the way out.
        why: String,
    },
    /// The tables are not there and cannot be made.
    #[error(
        "{place}: `{table}` or `{table}_cursors` is not there and could not be made: {cause}; \
         hint: have a role that may run the SQL of host/src/bus/outbox/outbox.sql: `config/README.md`, \"A Postgres outbox\""
    )]
    NoTable {
        /// Where, without the password.
        place: String,
        /// The table's name.
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
    /// Connects, and makes the tables where they are not there.
    pub(super) async fn open(source: &PostgresSource) -> Result<Self, ReadError> {
        let (place, limit) = (source.url.to_string(), source.timeout.get());
        let connected = async { PgConnection::connect_with(&options(&source.url)?).await };
        let connection = match timeout(limit, connected).await {
            Ok(Ok(connection)) => connection,
            Ok(Err(cause)) => {
                return Err(ReadError::Unreached { place, why: source.url.explained(&cause.to_string()) });
            }
            Err(_) => return Err(ReadError::Silent { place, timeout: limit }),
        };
        let mut link = Self { connection, place, timeout: limit };
        match link.run(async |transaction| ensure_tables(transaction, &source.outbox).await).await {
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

/// How this database is connected to.
pub(super) fn options(url: &PostgresUrl) -> Step<PgConnectOptions> {
    // What a pooler does not know it refuses, and no fraction is read.
    Ok(PgConnectOptions::from_str(url.expose())?.application_name("tidegate").extra_float_digits(None))
}

/// Whether the table and its cursors are there. Not by `to_regclass`, which remembers for the length of a transaction what
/// others changed since.
const ARE_THERE: &str = "select count(distinct c.relname) = 2 from pg_catalog.pg_class c
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where c.relname in ($2, $2 || '_cursors') and c.relkind in ('r', 'p', 'v', 'f')
    and case when $1 = '' then n.nspname = any (current_schemas(false)) else n.nspname = $1 end";

/// Makes the tables unless they are there, both or the one that somebody dropped; of several nodes that come at once, one does.
async fn ensure_tables(transaction: &mut Transaction<'_, Postgres>, table: &TableName) -> Step<()> {
    let (schema, base) = parts(table);
    let there = async |transaction: &mut Transaction<'_, Postgres>| {
        let there = sqlx::query_scalar::<_, bool>(ARE_THERE).bind(schema).bind(base).persistent(false);
        there.fetch_one(&mut **transaction).await
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

/// The schema of a table, empty where it has none, and its name in it.
fn parts(table: &TableName) -> (&str, &str) {
    table.as_str().rsplit_once('.').unwrap_or(("", table.as_str()))
}

/// The SQL that makes an outbox.
fn definition(table: &TableName) -> String {
    let name = table.as_str();
    let (schema, base) = parts(table);
    let publish = if base == "tidegate_outbox" { "tidegate_publish".to_owned() } else { format!("{base}_publish") };
    let publish = if schema.is_empty() { publish } else { format!("{schema}.{publish}") };
    // A table's name is checked where it is configured: it needs no quotes.
    include_str!("outbox.sql").replace("OUTBOX", name).replace("BASE", base).replace("PUBLISH", &publish)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_that_cannot_be_made_is_told_with_where_its_sql_is() {
        let (place, table) = ("postgres://db/app".to_owned(), "app.events".to_owned());
        let told = ReadError::NoTable { place, table, cause: sqlx::Error::PoolClosed }.to_string();
        assert!(told.contains("`app.events_cursors`") && told.contains("hint: "), "{told}");
        let heading = told.split('"').nth(1).unwrap();
        assert!(told.contains("`config/README.md`"), "{told}");
        assert!(include_str!("../../../../config/README.md").contains(&format!("\n## {heading}\n")), "{told}");
    }

    #[test]
    fn what_belongs_to_an_outbox_is_named_after_it() {
        let named = |text: &str| definition(&serde_json::from_str::<TableName>(&format!("{text:?}")).unwrap());
        let usual = named("tidegate_outbox");
        for part in
            ["create table if not exists tidegate_outbox (", "function tidegate_publish(", "tidegate_outbox_xid on"]
        {
            assert!(usual.contains(part), "{part}");
        }
        let other = named("app.events");
        for part in
            ["create table if not exists app.events (", "function app.events_publish(", "events_xid on app.events"]
        {
            assert!(other.contains(part), "{part}");
        }
    }
}
