//! Named queries on the company's tables, each in a read-only transaction with a time limit.

use std::time::Duration;

use async_trait::async_trait;
use futures_util::TryStreamExt as _;
use sqlx::pool::PoolConnection;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgArguments, PgColumn, PgConnection, PgPool, PgTypeInfo, Postgres};
use sqlx::{
    Arguments as _, AssertSqlSafe, Column as _, Either, Executor as _, SqlSafeStr as _, Statement as _, TypeInfo as _,
};
use tokio::sync::OnceCell;

use super::super::statement::Question;
use super::connect::{Connector, Pools, cause, sqlstate};
use super::migrate::could_migrate;
use super::question::{bounded, in_json, read};
use super::{PostgresSettings, PostgresStore};
use tidegate_core::config::PostgresUrl;
use tidegate_core::flow::queries::{
    ColumnKind, Queries, Query, QueryBounds, QueryColumn, QueryError, QueryMistake, QueryParam,
};

/// How long checking a query may take.
const PREPARE_TIME_MAX: Duration = Duration::from_secs(5);
/// Ends what a query began, whatever it was: settings end with the transaction, locks of the session do not.
const END: &str = "ROLLBACK; SELECT pg_advisory_unlock_all()";
/// Error classes caused by the statement: syntax and names and rights, values, unsupported features, writing in a
/// read-only transaction, and limits.
const OF_THE_STATEMENT: [&str; 5] = ["42", "22", "0A", "25", "54"];
/// Errors for a text that is not a value of the parameter's type: its form, its range, its date, its characters.
const OF_A_PARAMETER: [&str; 5] = ["22P02", "22003", "22007", "22008", "22021"];

#[async_trait]
impl Queries for PostgresStore {
    async fn prepare(&self, sql: &str) -> Result<Query, QueryMistake> {
        self.database.open().await.map_err(QueryMistake::Unavailable)?;
        let asker = self.database.asker().map_err(QueryMistake::Unavailable)?;
        prepare(&asker, sql).await
    }

    async fn run(&self, query: &Query, params: &[QueryParam], bounds: QueryBounds) -> Result<String, QueryError> {
        let asker = self.database.asker().map_err(QueryError::Unavailable)?;
        ask(&asker, query, params, bounds).await.map_err(|why| why.told(|error| self.database.failed(error)))
    }
}

/// The database of a server that need not run, seen from outside: nothing is created and nothing is written.
pub struct PostgresLook {
    connector: Connector,
    pools: OnceCell<Pools>,
}

impl PostgresLook {
    /// A look at this database; nothing is connected yet.
    #[must_use]
    pub fn at(url: PostgresUrl, settings: PostgresSettings) -> Self {
        Self { connector: Connector::new(url, settings), pools: OnceCell::new() }
    }

    /// Whether a server could work with it.
    ///
    /// # Errors
    /// Why not, with the address but without the password.
    pub async fn could_serve(&self) -> Result<(), String> {
        let looked = async { could_migrate(&mut self.connector.connect().await?).await };
        looked.await.map_err(|why| format!("`{}`: {why}", self.connector.url))
    }

    async fn asker(&self) -> Result<PgPool, String> {
        let pools = self.pools.get_or_try_init(async || {
            // A pool would try again and again, and not say why it fails.
            self.connector.connect().await?;
            self.connector.pools()
        });
        let pools = pools.await.map_err(|why| format!("`{}`: {why}", self.connector.url))?;
        Ok(pools.asker.clone())
    }
}

#[async_trait]
impl Queries for PostgresLook {
    async fn prepare(&self, sql: &str) -> Result<Query, QueryMistake> {
        prepare(&self.asker().await.map_err(QueryMistake::Unavailable)?, sql).await
    }

    async fn run(&self, query: &Query, params: &[QueryParam], bounds: QueryBounds) -> Result<String, QueryError> {
        let asker = self.asker().await.map_err(QueryError::Unavailable)?;
        ask(&asker, query, params, bounds).await.map_err(|why| why.told(cause))
    }
}

/// Checks that the database understands the statement, that the role may run it, that it changes nothing, and that its
/// columns have different names. The result takes texts and answers JSON.
async fn prepare(asker: &PgPool, sql: &str) -> Result<Query, QueryMistake> {
    let question = read(sql).map_err(QueryMistake::Refused)?;
    let mut asking = Asking::begin(asker, PREPARE_TIME_MAX).await.map_err(|error| mistake(&error))?;
    let (in_json, columns) = examine(asking.connection(), sql, &question).await?;
    asking.end().await.map_err(|error| mistake(&error))?;
    Ok(Query { sql: in_json.into(), params: Some(question.params()), columns: Some(columns) })
}

async fn examine(
    connection: &mut PgConnection,
    sql: &str,
    question: &Question<'_>,
) -> Result<(String, Vec<QueryColumn>), QueryMistake> {
    let prepared = connection.prepare(AssertSqlSafe(sql.to_owned()).into_sql_str()).await.map_err(|e| mistake(&e))?;
    let mut names: Vec<&str> = prepared.columns().iter().map(|column| column.name()).collect();
    names.sort_unstable();
    if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(QueryMistake::Refused(format!("has two columns `{}`: name one of them with `as`", pair[0])));
    }
    let types = match prepared.parameters() {
        Some(Either::Left(types)) => type_names(connection, types).await.map_err(|error| mistake(&error))?,
        _ => Vec::new(),
    };
    let in_json = in_json(question, &types, prepared.columns());
    let columns = prepared.columns().iter().map(column).collect();
    // Starts it and takes no row: at that moment the database checks rights and refuses writes.
    let nothing = vec![QueryParam::Null; question.params()];
    let begun = sqlx::query_with(AssertSqlSafe(format!("{in_json} LIMIT 0")), bound(&nothing)).persistent(false);
    match begun.execute(connection).await {
        // A type may not accept null, which says nothing about the statement.
        Err(error) if sqlstate(&error).is_some_and(|code| code.starts_with("22") || code.starts_with("23")) => {
            Ok((in_json, columns))
        }
        Err(error) => Err(mistake(&error)),
        Ok(_) => Ok((in_json, columns)),
    }
}

fn column(column: &PgColumn) -> QueryColumn {
    let called = column.type_info().name();
    let kind = match called {
        "INT2" | "INT4" | "INT8" | "OID" => ColumnKind::Integer,
        "NUMERIC" => ColumnKind::Decimal,
        "FLOAT4" | "FLOAT8" => ColumnKind::Float,
        "TEXT" | "VARCHAR" | "CHAR" | "NAME" | "UUID" | "CITEXT" | "\"CHAR\"" => ColumnKind::Text,
        "BOOL" => ColumnKind::Bool,
        "JSON" | "JSONB" => ColumnKind::Json,
        "BYTEA" => ColumnKind::Bytes,
        "TIMESTAMPTZ" => ColumnKind::Moment,
        "TIMESTAMP" | "DATE" | "TIME" | "TIMETZ" | "INTERVAL" => ColumnKind::LocalTime,
        list if list.ends_with("[]") => ColumnKind::List,
        _ => ColumnKind::Unknown,
    };
    QueryColumn { name: column.name().to_owned(), kind, called: called.to_lowercase() }
}

/// The names of the types, as a cast needs them.
async fn type_names(connection: &mut PgConnection, types: &[PgTypeInfo]) -> Result<Vec<String>, sqlx::Error> {
    let oids: Vec<Oid> = types.iter().map(|kind| kind.oid().unwrap_or(Oid(0))).collect();
    sqlx::query_scalar(
        "SELECT format_type(oid, -1) FROM unnest($1) WITH ORDINALITY AS types (oid, place) ORDER BY place",
    )
    .bind(oids)
    .fetch_all(connection)
    .await
}

fn mistake(error: &sqlx::Error) -> QueryMistake {
    let of_the_statement =
        sqlstate(error).is_some_and(|code| OF_THE_STATEMENT.iter().any(|class| code.starts_with(class)));
    if of_the_statement { QueryMistake::Refused(cause(error)) } else { QueryMistake::Unavailable(cause(error)) }
}

/// Why a query was not answered.
enum Unanswered {
    TooManyRows,
    TooManyBytes,
    Failed(sqlx::Error),
}

impl Unanswered {
    fn told(self, failed: impl FnOnce(&sqlx::Error) -> String) -> QueryError {
        let error = match self {
            Self::TooManyRows => return QueryError::TooManyRows,
            Self::TooManyBytes => return QueryError::TooManyBytes,
            Self::Failed(error) => error,
        };
        let told = failed(&error);
        let of_a_parameter = sqlstate(&error).is_some_and(|code| OF_A_PARAMETER.contains(&code.as_str()));
        if of_a_parameter { QueryError::Params(told) } else { QueryError::Unavailable(told) }
    }
}

impl From<sqlx::Error> for Unanswered {
    fn from(error: sqlx::Error) -> Self {
        Self::Failed(error)
    }
}

async fn ask(asker: &PgPool, query: &Query, params: &[QueryParam], bounds: QueryBounds) -> Result<String, Unanswered> {
    let mut asking = Asking::begin(asker, bounds.time_max).await?;
    let sql = AssertSqlSafe(bounded(&query.sql, bounds.rows_max, bounds.bytes_max));
    // Not kept prepared: the company's tables change, and with them the meaning of `*`.
    let asked = sqlx::query_scalar_with::<_, Option<String>, _>(sql, bound(params)).persistent(false);
    let mut rows = asked.fetch(asking.connection());
    let mut answer = "[".to_owned();
    let mut count = 0;
    while let Some(row) = rows.try_next().await? {
        count += 1;
        if count > bounds.rows_max {
            return Err(Unanswered::TooManyRows);
        }
        let row = row.ok_or(Unanswered::TooManyBytes)?;
        if count > 1 {
            answer.push(',');
        }
        // The enclosing characters must still fit.
        if answer.len() + row.len() + "]".len() > bounds.bytes_max {
            return Err(Unanswered::TooManyBytes);
        }
        answer.push_str(&row);
    }
    drop(rows);
    asking.end().await?;
    answer.push(']');
    Ok(answer)
}

/// A read-only transaction. If it is dropped before its end, the connection is closed, which makes the server stop
/// working.
struct Asking {
    connection: PoolConnection<Postgres>,
    ended: bool,
}

impl Asking {
    async fn begin(asker: &PgPool, time_max: Duration) -> Result<Self, sqlx::Error> {
        let mut asking = Self { connection: asker.acquire().await?, ended: false };
        let begin =
            format!("BEGIN TRANSACTION READ ONLY; SET LOCAL statement_timeout = {}", time_max.as_millis().max(1));
        asking.connection().execute(sqlx::raw_sql(AssertSqlSafe(begin))).await?;
        Ok(asking)
    }

    fn connection(&mut self) -> &mut PgConnection {
        &mut self.connection
    }

    /// Returns the connection in its original state.
    async fn end(mut self) -> Result<(), sqlx::Error> {
        self.connection().execute(sqlx::raw_sql(END)).await?;
        self.ended = true;
        Ok(())
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        if !self.ended {
            self.connection.close_on_drop();
        }
    }
}

/// Parameters as texts; the statement takes them in this form.
fn bound(params: &[QueryParam]) -> PgArguments {
    let mut arguments = PgArguments::default();
    for param in params {
        let text = match param {
            QueryParam::Null => None,
            QueryParam::Bool(value) => Some(value.to_string()),
            QueryParam::Integer(value) => Some(value.to_string()),
            QueryParam::Real(value) => Some(value.to_string()),
            QueryParam::Text(value) => Some(value.clone()),
        };
        // A text can always be encoded.
        let _ = arguments.add(text);
    }
    arguments
}
