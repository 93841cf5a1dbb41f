//! Named queries on the company's tables, over connections that cannot write.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::TryStreamExt as _;
use sqlx::sqlite::{SqliteArguments, SqliteColumn, SqlitePool, SqliteRow};
use sqlx::{Arguments as _, AssertSqlSafe, Column as _, Decode, Executor as _, Row as _, Sqlite, Statement as _};
use sqlx::{SqlSafeStr as _, Transaction, TypeInfo as _, Value as _, ValueRef as _};

use super::super::statement::{Dialect, Question};
use super::SqliteStore;
use super::pools::{askers, cause};
use tidegate_core::flow::queries::{
    ColumnKind, Queries, Query, QueryBounds, QueryColumn, QueryError, QueryMistake, QueryParam,
};

/// How many steps of SQLite's machine pass until it notices that nobody waits any more: some tens of microseconds.
const STEPS_PER_LOOK: i32 = 1000;
/// The step of a statement's program that begins a transaction; its second operand is not 0 if the transaction writes.
/// <https://www.sqlite.org/opcode.html#Transaction>
const BEGINS: &str = "Transaction";

#[async_trait]
impl Queries for SqliteStore {
    async fn prepare(&self, sql: &str) -> Result<Query, QueryMistake> {
        let params = params_of(sql)?;
        self.database.open().await.map_err(QueryMistake::Unavailable)?;
        let asker = self.database.asker().map_err(QueryMistake::Unavailable)?;
        let columns = Some(examine(&asker, sql).await?);
        Ok(Query { sql: sql.into(), params: Some(params), columns })
    }

    async fn run(&self, query: &Query, params: &[QueryParam], bounds: QueryBounds) -> Result<String, QueryError> {
        let asker = self.database.asker().map_err(QueryError::Unavailable)?;
        ask(&asker, query, params, bounds).await
    }
}

fn params_of(sql: &str) -> Result<usize, QueryMistake> {
    Ok(Question::read(sql, Dialect::Sqlite).map_err(QueryMistake::Refused)?.params())
}

/// The database of a server that need not run, seen from outside: nothing is created and nothing is written.
pub struct SqliteLook {
    /// The file, or why there is none.
    file: Result<PathBuf, &'static str>,
    asker: OnceLock<SqlitePool>,
    found_no_file: AtomicBool,
}

impl SqliteLook {
    /// A look at the database in this file; nothing is opened yet.
    #[must_use]
    pub fn at(file: PathBuf) -> Self {
        Self { file: Ok(file), asker: OnceLock::new(), found_no_file: AtomicBool::new(false) }
    }

    /// A look without a database: a query must be valid, and running it fails with `why`.
    #[must_use]
    pub fn nowhere(why: &'static str) -> Self {
        Self { file: Err(why), asker: OnceLock::new(), found_no_file: AtomicBool::new(false) }
    }

    /// Whether queries were not checked because there is no file.
    pub fn has_skipped(&self) -> bool {
        self.found_no_file.load(Ordering::Relaxed)
    }

    fn asker(&self) -> Result<&SqlitePool, String> {
        let file = self.file.as_ref().map_err(|why| (*why).to_owned())?;
        if !file.exists() {
            self.found_no_file.store(true, Ordering::Relaxed);
            return Err(format!("`{}` does not exist", file.display()));
        }
        Ok(self.asker.get_or_init(|| askers(file)))
    }
}

#[async_trait]
impl Queries for SqliteLook {
    async fn prepare(&self, sql: &str) -> Result<Query, QueryMistake> {
        let params = params_of(sql)?;
        let columns = match self.asker() {
            Ok(asker) => Some(examine(asker, sql).await?),
            Err(_) => None,
        };
        Ok(Query { sql: sql.into(), params: Some(params), columns })
    }

    async fn run(&self, query: &Query, params: &[QueryParam], bounds: QueryBounds) -> Result<String, QueryError> {
        ask(self.asker().map_err(QueryError::Unavailable)?, query, params, bounds).await
    }
}

async fn ask(
    asker: &SqlitePool,
    query: &Query,
    params: &[QueryParam],
    bounds: QueryBounds,
) -> Result<String, QueryError> {
    let mut snapshot = snapshot(asker).await.map_err(|error| away(&error))?;
    // However this ends, the connection stops working on it.
    let cut = CutOnDrop(Arc::default());
    let is_cut = cut.0.clone();
    let mut handle = snapshot.lock_handle().await.map_err(|error| away(&error))?;
    handle.set_progress_handler(STEPS_PER_LOOK, move || !is_cut.load(Ordering::Relaxed));
    drop(handle);
    // Not kept prepared: the company's tables change, and with them the meaning of `*`.
    let asked = sqlx::query_with(AssertSqlSafe(query.sql.clone()), bound(params)).persistent(false);
    let mut rows = asked.fetch(&mut *snapshot);
    let mut answer = Rows::new(bounds);
    while let Some(row) = rows.try_next().await.map_err(|error| away(&error))? {
        answer.push(&row)?;
    }
    drop(rows);
    // Rows also end when the connection breaks. This call would fail then.
    snapshot.rollback().await.map_err(|error| away(&error))?;
    Ok(answer.end())
}

/// Starts reading a fixed state of the database, including the tables themselves: sqlx breaks the connection if a
/// statement has other columns when it runs than when it was prepared.
async fn snapshot(asker: &SqlitePool) -> Result<Transaction<'static, Sqlite>, sqlx::Error> {
    let mut snapshot = asker.begin_with("BEGIN DEFERRED").await?;
    // The first read takes the snapshot, and notices changed tables.
    sqlx::query("SELECT 1 FROM sqlite_schema LIMIT 1").fetch_optional(&mut *snapshot).await?;
    Ok(snapshot)
}

/// Tells a connection that nobody waits for it any more.
struct CutOnDrop(Arc<AtomicBool>);

impl Drop for CutOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Checks that SQLite understands the statement, that it changes nothing, and that its columns have different names.
async fn examine(asker: &SqlitePool, sql: &str) -> Result<Vec<QueryColumn>, QueryMistake> {
    let mut snapshot = snapshot(asker).await.map_err(|error| QueryMistake::Unavailable(cause(&error)))?;
    let refused = |error| QueryMistake::Refused(cause(&error));
    let prepared = snapshot.prepare(AssertSqlSafe(sql.to_owned()).into_sql_str()).await.map_err(refused)?;
    let mut names: Vec<&str> = prepared.columns().iter().map(|column| column.name()).collect();
    names.sort_unstable();
    if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(QueryMistake::Refused(format!("has two columns `{}`: name one of them with `as`", pair[0])));
    }
    let columns = prepared.columns().iter().map(column).collect();
    let explain = sqlx::query(AssertSqlSafe(format!("EXPLAIN {sql}"))).persistent(false);
    for step in explain.fetch_all(&mut *snapshot).await.map_err(refused)? {
        let opcode: String = step.try_get("opcode").map_err(refused)?;
        let writes: i64 = step.try_get("p2").map_err(refused)?;
        if opcode == BEGINS && writes != 0 {
            return Err(QueryMistake::Refused("writes, but a query may only read".to_owned()));
        }
    }
    Ok(columns)
}

/// As declared: this says what its stored values are. A computed column has no declared type.
fn column(column: &SqliteColumn) -> QueryColumn {
    let called = column.type_info().name();
    let kind = match called {
        "INTEGER" => ColumnKind::Integer,
        "NUMERIC" => ColumnKind::Decimal,
        "REAL" => ColumnKind::Float,
        "TEXT" => ColumnKind::Text,
        "BOOLEAN" => ColumnKind::Bool,
        "BLOB" => ColumnKind::Bytes,
        "DATE" | "TIME" | "DATETIME" => ColumnKind::LocalTime,
        _ => ColumnKind::Unknown,
    };
    QueryColumn { name: column.name().to_owned(), kind, called: called.to_lowercase() }
}

fn bound(params: &[QueryParam]) -> SqliteArguments {
    let mut arguments = SqliteArguments::default();
    for param in params {
        // Encoding a plain value for SQLite does not fail.
        let _ = match param {
            QueryParam::Null => arguments.add(None::<i64>),
            QueryParam::Bool(value) => arguments.add(*value),
            QueryParam::Integer(value) => arguments.add(*value),
            QueryParam::Real(value) => arguments.add(*value),
            QueryParam::Text(value) => arguments.add(value.clone()),
        };
    }
    arguments
}

/// A growing answer: a JSON array of objects, one for each row.
struct Rows {
    text: String,
    count: usize,
    bounds: QueryBounds,
}

impl Rows {
    fn new(bounds: QueryBounds) -> Self {
        Self { text: "[".to_owned(), count: 0, bounds }
    }

    fn push(&mut self, row: &SqliteRow) -> Result<(), QueryError> {
        self.count += 1;
        if self.count > self.bounds.rows_max {
            return Err(QueryError::TooManyRows);
        }
        self.text.push_str(if self.count == 1 { "{" } else { ",{" });
        for (index, column) in row.columns().iter().enumerate() {
            if index > 0 {
                self.text.push(',');
            }
            let value = value(row, index).map_err(|error| away(&error))?;
            self.text.push_str(&format!("{}:{value}", serde_json::Value::from(column.name())));
            // The enclosing characters must still fit.
            if self.text.len() + "}]".len() > self.bounds.bytes_max {
                return Err(QueryError::TooManyBytes);
            }
        }
        self.text.push('}');
        Ok(())
    }

    fn end(mut self) -> String {
        self.text.push(']');
        self.text
    }
}

/// A value as JSON, of its own type whatever the column was declared as, except for truth values, which SQLite stores
/// as 0 and 1.
fn value(row: &SqliteRow, index: usize) -> Result<serde_json::Value, sqlx::Error> {
    let raw = row.try_get_raw(index)?;
    if raw.is_null() {
        return Ok(serde_json::Value::Null);
    }
    let value = raw.to_owned();
    let is_declared_bool = row.column(index).type_info().name() == "BOOLEAN";
    Ok(match value.type_info().name() {
        "INTEGER" | "BOOLEAN" => match read::<i64>(&value)? {
            number @ (0 | 1) if is_declared_bool => (number == 1).into(),
            number => number.into(),
        },
        // A number that JSON does not have (infinite or not a number) is null.
        "REAL" => read::<f64>(&value)?.into(),
        "BLOB" => STANDARD.encode(read::<Vec<u8>>(&value)?).into(),
        _ => read::<String>(&value)?.into(),
    })
}

fn read<'r, T: Decode<'r, Sqlite>>(value: &'r sqlx::sqlite::SqliteValue) -> Result<T, sqlx::Error> {
    T::decode(value.as_ref()).map_err(sqlx::Error::Decode)
}

fn away(error: &sqlx::Error) -> QueryError {
    QueryError::Unavailable(cause(error))
}
