//! A connection to the outbox's database: it connects, checks the table, and limits the time of every answer.

use std::str::FromStr as _;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Postgres, Transaction};
use tokio::time::timeout;

use super::definition::{FUNCTIONS_VERSION, functions, parts, publish_signature, server_rights, tables};
use crate::bus::health::{Contested, SessionError};
use tidegate_core::config::{PostgresSource, PostgresUrl, TableName};

/// Why the outbox cannot be read now.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    /// The database is away, or refuses.
    #[error("{place}: {cause}")]
    Database {
        /// Where, without the password.
        place: String,
        /// The database's message.
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
    /// A connection is not possible.
    #[error("{place}: {why}")]
    Unreached {
        /// Where, without the password.
        place: String,
        /// The message, and a hint if there is one.
        why: String,
    },
    /// The tables do not exist and cannot be created.
    #[error(
        "{place}: `{table}` or `{table}_cursors` does not exist, and the role `{role}` may not create it: {cause}; hint: \
         `tidegate schema outbox --table {table} --server {role}` prints the SQL that an owner of the schema runs once"
    )]
    NoTable {
        /// Where, without the password.
        place: String,
        /// The table's name.
        table: String,
        /// The role of the connection.
        role: String,
        /// The database's message.
        cause: sqlx::Error,
    },
    /// The role lacks a right.
    #[error("{place}: the role `{role}` lacks a right: {cause}; hint: the owner runs `{grants}`")]
    NoRight {
        /// Where, without the password.
        place: String,
        /// The role of the connection.
        role: String,
        /// The statements that grant it everything that the server needs.
        grants: String,
        /// The database's message.
        cause: sqlx::Error,
    },
    /// The functions are missing or from an earlier version, and cannot be updated.
    #[error(
        "{place}: the functions of `{table}` are missing or from an earlier version, and the role `{role}` may not update \
         them: {cause}; hint: `tidegate schema outbox --table {table}` prints the SQL that their owner runs once"
    )]
    Outdated {
        /// Where, without the password.
        place: String,
        /// The table's name.
        table: String,
        /// The role of the connection.
        role: String,
        /// The database's message.
        cause: sqlx::Error,
    },
    /// Another process reads under this node's name.
    #[error(transparent)]
    Contested(#[from] Contested),
}

impl SessionError for ReadError {
    fn is_contested(&self) -> bool {
        matches!(self, Self::Contested(_))
    }
}

/// PostgreSQL's code for a missing right: `insufficient_privilege`.
const NO_RIGHT: &str = "42501";

/// The classes of error codes that pass: lost connection, transaction rolled back, no resources, object in use, operator
/// intervention, system error.
const PASSING: [&str; 6] = ["08", "40", "53", "55", "57", "58"];

/// A connection to the database.
pub(super) struct Connection {
    postgres: PgConnection,
    place: String,
    role: String,
    table: TableName,
    timeout: Duration,
}

/// The result of a step.
pub(super) type Step<T> = Result<T, sqlx::Error>;

impl Connection {
    /// Connects, and creates the tables if they do not exist.
    pub(super) async fn open(source: &PostgresSource) -> Result<Self, ReadError> {
        let (place, limit) = (source.url.to_string(), source.timeout.get());
        let unreached = |cause: sqlx::Error| ReadError::Unreached {
            place: place.clone(),
            why: source.url.explained(&cause.to_string()),
        };
        let options = options(&source.url).map_err(unreached)?;
        let role = options.get_username().to_owned();
        let postgres = match timeout(limit, PgConnection::connect_with(&options)).await {
            Ok(connected) => connected.map_err(unreached)?,
            Err(_) => return Err(ReadError::Silent { place, timeout: limit }),
        };
        let mut connection = Self { postgres, place, role, table: source.outbox.clone(), timeout: limit };
        match connection.run(async |transaction| ensure_tables(transaction, &source.outbox).await).await {
            Err(
                ReadError::Database { place, cause: cause @ sqlx::Error::Database(_) }
                | ReadError::NoRight { place, cause, .. },
            ) => Err(ReadError::NoTable {
                place,
                table: source.outbox.as_str().to_owned(),
                role: connection.role,
                cause,
            }),
            made => made.map(|()| connection),
        }
    }

    /// Creates or updates the functions. After an error do not use the connection any more.
    ///
    /// # Errors
    /// [`ReadError::Outdated`] if the database refuses: another attempt would end the same way.
    pub(super) async fn renew_functions(&mut self) -> Result<(), ReadError> {
        let table = self.table.clone();
        self.run(async |transaction| renew_functions(transaction, &table).await).await.map_err(|error| match error {
            ReadError::Database { place, cause } if is_lasting(&cause) => self.outdated(place, cause),
            ReadError::NoRight { place, cause, .. } => self.outdated(place, cause),
            other => other,
        })
    }

    fn outdated(&self, place: String, cause: sqlx::Error) -> ReadError {
        ReadError::Outdated { place, table: self.table.as_str().to_owned(), role: self.role.clone(), cause }
    }

    /// Runs something in its own transaction: a pooler lends a connection for that long. After an error do not use the
    /// connection any more.
    pub(super) async fn run<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut Transaction<'_, Postgres>) -> Step<T>,
    ) -> Result<T, ReadError> {
        let worked = async {
            let mut transaction = self.postgres.begin().await?;
            let looks = sqlx::query(PostgresUrl::PASSES_OWN_SCHEMA).bind(true).persistent(false);
            looks.execute(&mut *transaction).await?;
            let done = work(&mut transaction).await?;
            transaction.commit().await?;
            Ok(done)
        };
        match timeout(self.timeout, worked).await {
            Ok(done) => done.map_err(|cause| self.told(cause)),
            Err(_) => Err(ReadError::Silent { place: self.place.clone(), timeout: self.timeout }),
        }
    }

    fn told(&self, cause: sqlx::Error) -> ReadError {
        let place = self.place.clone();
        match cause.as_database_error().and_then(|error| error.code()).as_deref() {
            Some(NO_RIGHT) => {
                let grants = server_rights(&self.table, &self.role);
                ReadError::NoRight { place, role: self.role.clone(), grants, cause }
            }
            _ => ReadError::Database { place, cause },
        }
    }
}

/// Whether an error is the database's answer to the statement, and not a lost connection or a passing state of the server.
fn is_lasting(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.is_some_and(|code| !PASSING.iter().any(|class| code.starts_with(class)))
}

/// The options of a connection to this database.
pub(super) fn options(url: &PostgresUrl) -> Step<PgConnectOptions> {
    // A pooler refuses settings that it does not know, and fractions are never read.
    Ok(PgConnectOptions::from_str(url.expose())?.application_name("tidegate").extra_float_digits(None))
}

/// Whether the table and its cursors exist. Not with `to_regclass`, which remembers for the length of a transaction
/// what others have changed since.
const ARE_THERE: &str = "select count(distinct c.relname) = 2 from pg_catalog.pg_class c
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where c.relname in ($2, $2 || '_cursors') and c.relkind in ('r', 'p', 'v', 'f')
    and case when $1 = '' then n.nspname = any (current_schemas(false)) else n.nspname = $1 end";

/// Creates the tables that do not exist: both, or the one that somebody dropped. Of several nodes that start at the
/// same time only one does it.
async fn ensure_tables(transaction: &mut Transaction<'_, Postgres>, table: &TableName) -> Step<()> {
    let (schema, base) = parts(table);
    let there = async |transaction: &mut Transaction<'_, Postgres>| {
        let there = sqlx::query_scalar::<_, bool>(ARE_THERE).bind(schema).bind(base).persistent(false);
        there.fetch_one(&mut **transaction).await
    };
    if there(transaction).await? {
        return Ok(());
    }
    lock(transaction, table).await?;
    if !there(transaction).await? {
        let definition = format!("{}\n{}", tables(table), functions(table));
        sqlx::raw_sql(AssertSqlSafe(definition)).execute(&mut **transaction).await?;
    }
    Ok(())
}

/// The version in the comment on the function; 0 if there is no function, or one from before versions.
const VERSION: &str =
    "select coalesce(substring(obj_description(to_regprocedure($1), 'pg_proc') from 'version (\\d+)$')::int, 0)";

async fn renew_functions(transaction: &mut Transaction<'_, Postgres>, table: &TableName) -> Step<()> {
    let is_current = async |transaction: &mut Transaction<'_, Postgres>| {
        let version = sqlx::query_scalar::<_, i32>(VERSION).bind(publish_signature(table)).persistent(false);
        version.fetch_one(&mut **transaction).await.map(|version| version >= FUNCTIONS_VERSION)
    };
    if is_current(transaction).await? {
        return Ok(());
    }
    lock(transaction, table).await?;
    if !is_current(transaction).await? {
        sqlx::raw_sql(AssertSqlSafe(functions(table))).execute(&mut **transaction).await?;
    }
    Ok(())
}

/// Waits until no other node is creating something of this outbox.
async fn lock(transaction: &mut Transaction<'_, Postgres>, table: &TableName) -> Step<()> {
    let lock = "select pg_advisory_xact_lock(hashtext('tidegate outbox'), hashtext($1))";
    sqlx::query(lock).bind(table.as_str()).persistent(false).execute(&mut **transaction).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_that_cannot_be_made_is_told_with_the_role_and_the_command_that_prints_its_sql() {
        let (place, table, role) = ("postgres://db/app".to_owned(), "app.events".to_owned(), "tide".to_owned());
        let told = ReadError::NoTable { place, table, role, cause: sqlx::Error::PoolClosed }.to_string();
        assert!(told.contains("`app.events_cursors`") && told.contains("the role `tide`"), "{told}");
        assert!(told.contains("hint: `tidegate schema outbox --table app.events --server tide`"), "{told}");
    }
}
