//! A database that knows a few answers; it can go away and come back.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tidegate_core::flow::queries::{
    ColumnKind, Queries, Query, QueryBounds, QueryColumn, QueryError, QueryMistake, QueryParam,
};

/// Answers every question by its first parameter.
#[derive(Default)]
pub struct FakeQueries {
    rows: Mutex<HashMap<String, Vec<Value>>>,
    asked: Mutex<Vec<String>>,
    columns: Mutex<Option<Vec<QueryColumn>>>,
    away: AtomicBool,
}

impl FakeQueries {
    /// From now on the rows for this parameter are these.
    pub fn answer(&self, param: &str, rows: Vec<Value>) {
        self.rows.lock().insert(param.to_owned(), rows);
    }

    /// From now on the database is away, or there again.
    pub fn set_away(&self, away: bool) {
        self.away.store(away, Ordering::SeqCst);
    }

    /// From now on questions that are prepared answer in these columns.
    pub fn set_columns(&self, columns: &[(&str, ColumnKind)]) {
        let column = |(name, kind): &(&str, ColumnKind)| QueryColumn {
            name: (*name).to_owned(),
            kind: *kind,
            called: format!("{kind:?}").to_lowercase(),
        };
        *self.columns.lock() = Some(columns.iter().map(column).collect());
    }

    /// Every first parameter so far.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().clone()
    }
}

#[async_trait]
impl Queries for FakeQueries {
    async fn prepare(&self, sql: &str) -> Result<Query, QueryMistake> {
        if self.away.load(Ordering::SeqCst) {
            return Err(QueryMistake::Unavailable("the database is away".to_owned()));
        }
        if !sql.starts_with("select") {
            return Err(QueryMistake::Refused("is not a query".to_owned()));
        }
        let columns = self.columns.lock().clone();
        Ok(Query { sql: sql.into(), params: Some(sql.matches('$').count()), columns })
    }

    async fn run(&self, _: &Query, params: &[QueryParam], bounds: QueryBounds) -> Result<String, QueryError> {
        if self.away.load(Ordering::SeqCst) {
            return Err(QueryError::Unavailable("the database is away".to_owned()));
        }
        let Some(QueryParam::Text(param)) = params.first() else { panic!("{params:?}") };
        self.asked.lock().push(param.clone());
        let rows = self.rows.lock().get(param).cloned().unwrap_or_default();
        if rows.len() > bounds.rows_max {
            return Err(QueryError::TooManyRows);
        }
        Ok(json!(rows).to_string())
    }
}
