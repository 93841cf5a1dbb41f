//! Connections to a PostgreSQL database: how they are made, their settings, and the meaning of their failures.

use std::str::FromStr as _;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions as _, Executor as _};
use tokio::time::timeout;

use super::PostgresSettings;
use tidegate_core::config::PostgresUrl;

/// The name under which the database server sees this one, unless the address gives another.
const APPLICATION_NAME: &str = "tidegate";
/// How long connecting may take.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the connections may take to close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// If a node stops in the middle of a write, its locks are released after this time.
const IDLE_IN_TRANSACTION_TIMEOUT: Duration = Duration::from_secs(10);

/// Makes the database server notice during a query that nobody waits for it any more. Exists since version 14.
const NOTICES_HANGUP: &str = "SELECT set_config('client_connection_check_interval', '250', false) \
     FROM pg_settings WHERE name = 'client_connection_check_interval'";

/// Errors for a prepared statement that belongs to another client, or is gone: duplicate, and unknown.
const OF_ANOTHERS_STATEMENT: [&str; 2] = ["42P05", "26000"];
const NO_POOLER: &str = "a pooler in transaction mode shares this connection with others; `store` needs the address of the server \
     itself, or of a pool in session mode";

/// Makes connections to one database.
pub(super) struct Connector {
    pub(super) url: PostgresUrl,
    pub(super) settings: PostgresSettings,
}

/// The connections of a reachable database. Each is made when it is first needed.
pub(super) struct Pools {
    pub(super) main: PgPool,
    /// For named queries, so that slow ones do not delay calls for keys.
    pub(super) asker: PgPool,
    /// One connection for the watch: a busy store is not away.
    pub(super) watcher: PgPool,
    /// One connection that listens.
    pub(super) ear: PgPool,
}

impl Connector {
    pub(super) const fn new(url: PostgresUrl, settings: PostgresSettings) -> Self {
        Self { url, settings }
    }

    /// One connection outside of the pools.
    ///
    /// # Errors
    /// Why there is none, in words for an operator.
    pub(super) async fn connect(&self) -> Result<PgConnection, String> {
        let options = self.options()?;
        let connecting = async {
            let mut connection = options.connect().await?;
            pass_own_schema(&mut connection).await?;
            Ok(connection)
        };
        match timeout(CONNECT_TIMEOUT, connecting).await {
            Ok(connected) => connected.map_err(|error: sqlx::Error| self.url.explained(&cause(&error))),
            Err(_) => Err(format!("it did not answer within {} s", CONNECT_TIMEOUT.as_secs())),
        }
    }

    /// Pools without a connection yet.
    ///
    /// # Errors
    /// What is wrong with the address.
    pub(super) fn pools(&self) -> Result<Pools, String> {
        let (options, settings) = (self.options()?, self.settings);
        let main = pool(settings.connections_max, settings.timeout, settings.timeout);
        // A query has its own time limit.
        let asker = pool(settings.query_connections_max, CONNECT_TIMEOUT, CONNECT_TIMEOUT);
        let watcher = pool(1, settings.timeout, settings.timeout);
        Ok(Pools {
            main: main.connect_lazy_with(options.clone()),
            asker: asker.connect_lazy_with(options.clone()),
            watcher: watcher.connect_lazy_with(options.clone()),
            ear: pool(1, settings.timeout, settings.timeout).connect_lazy_with(options),
        })
    }

    fn options(&self) -> Result<PgConnectOptions, String> {
        let options = PgConnectOptions::from_str(self.url.expose()).map_err(|error| cause(&error))?;
        // A pooler refuses settings that it does not know; a present-day server shows every fraction in full by
        // default.
        let options = options.disable_statement_logging().extra_float_digits(None);
        Ok(match options.get_application_name() {
            Some(_) => options,
            None => options.application_name(APPLICATION_NAME),
        })
    }
}

impl Pools {
    /// Closes every connection after its running work, within [`CLOSE_TIMEOUT`].
    pub(super) async fn close(&self) {
        let closed =
            async { tokio::join!(self.main.close(), self.asker.close(), self.watcher.close(), self.ear.close()) };
        if timeout(CLOSE_TIMEOUT, closed).await.is_err() {
            tracing::debug!("a connection to the store does not close, it is abandoned");
        }
    }
}

fn pool(connections_max: u32, acquire_timeout: Duration, statement_timeout: Duration) -> PgPoolOptions {
    let session = format!(
        "SET statement_timeout = {}; SET lock_timeout = {}; SET idle_in_transaction_session_timeout = {}; \
         SET standard_conforming_strings = on",
        statement_timeout.as_millis(),
        statement_timeout.as_millis(),
        IDLE_IN_TRANSACTION_TIMEOUT.as_millis(),
    );
    PgPoolOptions::new()
        .max_connections(connections_max)
        .acquire_timeout(acquire_timeout)
        // The next user of a broken connection notices it, and so does the watch.
        .test_before_acquire(false)
        .after_connect(move |connection, _| {
            let session = sqlx::AssertSqlSafe(session.clone());
            Box::pin(async move {
                connection.execute(sqlx::raw_sql(session)).await?;
                connection.execute(sqlx::raw_sql(NOTICES_HANGUP)).await?;
                pass_own_schema(connection).await?;
                Ok(())
            })
        })
}

async fn pass_own_schema(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query(PostgresUrl::PASSES_OWN_SCHEMA).bind(false).persistent(false).execute(connection).await.map(drop)
}

/// Why the database did not answer, without the layers around the error. Names no server, because plugins may read it.
pub(super) fn cause(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(error) if error.code().is_some_and(|code| OF_ANOTHERS_STATEMENT.contains(&&*code)) => {
            format!("{}; hint: {NO_POOLER}", error.message())
        }
        sqlx::Error::Database(error) => error.message().to_owned(),
        sqlx::Error::PoolTimedOut => "all connections are busy".to_owned(),
        sqlx::Error::Io(error) => error.to_string(),
        other => other.to_string(),
    }
}

/// The code of a refusal by the server. <https://www.postgresql.org/docs/current/errcodes-appendix.html>
pub(super) fn sqlstate(error: &sqlx::Error) -> Option<String> {
    error.as_database_error().and_then(|error| error.code()).map(|code| code.into_owned())
}

/// Whether the error does not mean that the database is away: others were first, the request took too long or was
/// wrong, or the connections were being replaced.
pub(super) fn is_passing(error: &sqlx::Error) -> bool {
    if matches!(error, sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed) {
        return true;
    }
    // Data that does not fit, a rollback, a lock that was not available, a cancelled statement.
    sqlstate(error).is_some_and(|code| ["22", "23", "40", "55P03", "57014"].iter().any(|class| code.starts_with(class)))
}
