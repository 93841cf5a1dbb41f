//! Named queries as a port: what lies behind `tidegate:sql`. Grants, rates and the time a query may take are the caller's
//! business.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

/// Questions to a database, which they never change.
#[async_trait]
pub trait Queries: Send + Sync + 'static {
    /// Makes sure that this is one question which the database can answer. Called before the plugin that is granted it
    /// serves.
    ///
    /// # Errors
    /// [`QueryMistake`].
    async fn prepare(&self, sql: &str) -> Result<Query, QueryMistake>;

    /// Asks it. `params` are as many as the query takes. Dropping the future ends the work of the database as well.
    ///
    /// # Errors
    /// [`QueryError`].
    async fn run(&self, query: &Query, params: &[QueryParam], bounds: QueryBounds) -> Result<String, QueryError>;
}

/// A question that was prepared.
#[derive(Debug, Clone)]
pub struct Query {
    /// The statement, as the database is asked it.
    pub sql: Arc<str>,
    /// How many parameters it takes; `None` when nobody looked.
    pub params: Option<usize>,
    /// What a row of its answer is; `None` when nobody looked.
    pub columns: Option<Vec<QueryColumn>>,
}

/// One column of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryColumn {
    /// Its name.
    pub name: String,
    /// What it holds, as far as the database says.
    pub kind: ColumnKind,
    /// The type as the database calls it.
    pub called: String,
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnKind {
    /// Integers.
    Integer,
    /// Numbers that keep their digits.
    Decimal,
    /// Numbers that do not.
    Float,
    /// Texts, and what is written as one.
    Text,
    /// Truth values.
    Bool,
    /// JSON.
    Json,
    /// Lists.
    List,
    /// Bytes.
    Bytes,
    /// Moments; they are answered as RFC 3339 with an offset.
    Moment,
    /// Dates and times that do not say of which zone, and spans of time.
    LocalTime,
    /// Anything: the database does not say, or it is a type of the company's.
    Unknown,
}

/// A value in place of `$1`.
#[derive(Debug, Clone, PartialEq)]
pub enum QueryParam {
    /// NULL.
    Null,
    /// True or false.
    Bool(bool),
    /// An integer.
    Integer(i64),
    /// Any other number.
    Real(f64),
    /// A text.
    Text(String),
}

/// How much one answer may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueryBounds {
    /// Rows.
    pub rows_max: usize,
    /// The whole answer as JSON text, in bytes.
    pub bytes_max: usize,
    /// The time; the caller goes away by itself then, and the database need not work any longer.
    pub time_max: Duration,
}

/// Why a query cannot be granted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryMistake {
    /// It is no single question, or the database does not understand it.
    #[error("{0}")]
    Refused(String),
    /// The database is away; nothing was found out about the query.
    #[error("{0}")]
    Unavailable(String),
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// There are more rows than the bounds say.
    #[error("the answer has too many rows")]
    TooManyRows,
    /// There are more bytes than the bounds say.
    #[error("the answer has too many bytes")]
    TooManyBytes,
    /// A parameter is no value of the type that stands in its place.
    #[error("{0}")]
    Params(String),
    /// The database is away, or refused.
    #[error("{0}")]
    Unavailable(String),
}
