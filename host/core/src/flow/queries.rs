//! Named queries as a port: the service behind `tidegate:sql`. The caller checks grants, rates and the time of a query.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

/// Queries to a database, which they never change.
#[async_trait]
pub trait Queries: Send + Sync + 'static {
    /// Checks that this is a single query that the database can answer. Called before the plugin with this grant
    /// serves.
    ///
    /// # Errors
    /// [`QueryMistake`].
    async fn prepare(&self, sql: &str) -> Result<Query, QueryMistake>;

    /// Runs the query. `params` has as many values as the query has parameters. Dropping the future also ends the work
    /// of the database.
    ///
    /// # Errors
    /// [`QueryError`].
    async fn run(&self, query: &Query, params: &[QueryParam], bounds: QueryBounds) -> Result<String, QueryError>;
}

/// A prepared query.
#[derive(Debug, Clone)]
pub struct Query {
    /// The statement as the database receives it.
    pub sql: Arc<str>,
    /// How many parameters it has; `None` if nobody checked.
    pub params: Option<usize>,
    /// The columns of a row; `None` if nobody checked.
    pub columns: Option<Vec<QueryColumn>>,
}

/// One column of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryColumn {
    /// Its name.
    pub name: String,
    /// The kind of its values, as far as the database says.
    pub kind: ColumnKind,
    /// The name of the type in the database.
    pub called: String,
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnKind {
    /// Integers.
    Integer,
    /// Numbers with exact digits.
    Decimal,
    /// Numbers without exact digits.
    Float,
    /// Texts, and types that are written as texts.
    Text,
    /// Truth values.
    Bool,
    /// JSON.
    Json,
    /// Lists.
    List,
    /// Bytes.
    Bytes,
    /// Moments; answers have them as RFC 3339 with an offset.
    Moment,
    /// Dates and times without a time zone, and intervals.
    LocalTime,
    /// Anything: the database does not say, or it is a custom type.
    Unknown,
}

/// A value for `$1`.
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

/// The limits of one answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueryBounds {
    /// Rows.
    pub rows_max: usize,
    /// The whole answer as JSON text, in bytes.
    pub bytes_max: usize,
    /// The time. The caller stops waiting after it by itself, and the database should stop working.
    pub time_max: Duration,
}

/// Why a query cannot be granted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryMistake {
    /// It is not a single query, or the database does not understand it.
    #[error("{0}")]
    Refused(String),
    /// The database is away, so the query could not be checked.
    #[error("{0}")]
    Unavailable(String),
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// There are more rows than the limit.
    #[error("the answer has too many rows")]
    TooManyRows,
    /// There are more bytes than the limit.
    #[error("the answer has too many bytes")]
    TooManyBytes,
    /// A parameter's value does not fit its type.
    #[error("{0}")]
    Params(String),
    /// The database is away, or refused the query.
    #[error("{0}")]
    Unavailable(String),
}
