//! `tidegate:sql/queries`: the granted queries on the store's database, called by name, within a rate, a time and
//! sizes.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Value, json};
use tokio::time::{Instant as Moment, timeout_at};

use super::rate::Rate;
use crate::contract::queries::{self, Error};
use crate::manifest::Grants;
use crate::manifest::PluginLimits;
use crate::mistake::Mistake;
use crate::run::Guest;
use crate::tape::{self, Answer as _, Played, record};
use tidegate_core::flow::ports::Exceeded;
use tidegate_core::flow::queries::{Queries, Query, QueryBounds, QueryError, QueryMistake, QueryParam};

/// The queries that one version of a plugin may run.
pub(crate) struct QueriesGrant {
    database: Arc<dyn Queries>,
    granted: BTreeMap<String, Query>,
    bounds: QueryBounds,
    rate: Rate,
}

impl QueriesGrant {
    /// Prepares the granted queries.
    ///
    /// # Errors
    /// [`Mistake`] with the first query that the database refuses, at its line.
    pub(super) async fn new(
        database: Arc<dyn Queries>,
        grants: &Grants,
        limits: &PluginLimits,
    ) -> Result<Self, Mistake> {
        let mut granted = BTreeMap::new();
        for (name, sql) in &grants.queries {
            let query = database.prepare(sql).await.map_err(|mistake| refused(name, &mistake))?;
            granted.insert(name.clone(), query);
        }
        let bounds = QueryBounds {
            rows_max: limits.query_rows_max,
            bytes_max: limits.query_bytes_max,
            time_max: limits.query_time_max,
        };
        let rate = Rate::new(limits.queries_per_second);
        Ok(Self { database, granted, bounds, rate })
    }

    /// Sets `exceeded` to the limit that the answer would have exceeded.
    async fn run(
        &self,
        name: &str,
        params: &str,
        answer_by: Moment,
        exceeded: &mut Option<Exceeded>,
    ) -> Result<String, Error> {
        let query = self.granted.get(name).ok_or(Error::Denied)?;
        let text = params;
        let params = read_params(params, query.params).map_err(Error::InvalidParams)?;
        if !self.rate.admit() {
            return Err(Error::RateLimited);
        }
        if let Some(answer) = tape::query(name, text) {
            let answer = answer
                .and_then(|rows| if rows.len() > self.bounds.bytes_max { Err(Error::TooLarge) } else { Ok(rows) });
            if matches!(answer, Err(Error::TooLarge)) {
                *exceeded = Some(too_many("bytes", self.bounds.bytes_max));
            }
            return answer;
        }
        let deadline = (Moment::now() + self.bounds.time_max).min(answer_by);
        match timeout_at(deadline, self.database.run(query, &params, self.bounds)).await {
            Ok(Ok(rows)) => Ok(rows),
            Ok(Err(QueryError::TooManyRows)) => {
                *exceeded = Some(too_many("rows", self.bounds.rows_max));
                Err(Error::TooLarge)
            }
            Ok(Err(QueryError::TooManyBytes)) => {
                *exceeded = Some(too_many("bytes", self.bounds.bytes_max));
                Err(Error::TooLarge)
            }
            Ok(Err(QueryError::Params(why))) => Err(Error::InvalidParams(why)),
            Ok(Err(QueryError::Unavailable(why))) => {
                tape::missed(|| format!("query `{name}` with {text}: {why}; give an answer in the vector's `queries`"));
                Err(Error::Unavailable(why))
            }
            Err(_) => Err(Error::Timeout),
        }
    }
}

/// The database stops at the limit, so the actual number is unknown.
const fn too_many(unit: &'static str, max: usize) -> Exceeded {
    Exceeded { unit, found: None, max }
}

fn refused(name: &str, mistake: &QueryMistake) -> Mistake {
    let hint = match mistake {
        QueryMistake::Refused(_) => "a query must be a single `select` on tables of the database in `store`",
        QueryMistake::Unavailable(_) => "`store` in tidegate.yaml names the database",
    };
    Mistake::at(format!("/grants/queries/{name}"), format!("query `{name}`: {mistake}")).hint(hint)
}

impl queries::Host for Guest {
    async fn run(&mut self, name: String, params: String) -> Result<String, Error> {
        let call = self.begin_host_call("queries");
        let capabilities = self.capabilities.clone();
        let mut exceeded = None;
        let asked = || json!([name, params]);
        let played = if capabilities.queries.granted.contains_key(&name) {
            tape::play("queries.run", asked)
        } else {
            Played::Host
        };
        let answer = match played.read().await {
            Some(answer) => {
                if matches!(answer, Err(Error::TooLarge)) {
                    exceeded = Some(too_many("bytes", capabilities.queries.bounds.bytes_max));
                }
                answer
            }
            None => {
                let asked = record::asks("queries.run", asked);
                let answer = capabilities.queries.run(&name, &params, self.answer_by(), &mut exceeded).await;
                record::answers(asked, || answer.to_json());
                answer
            }
        };
        if let Some(exceeded) = exceeded {
            self.host.exceeds(exceeded);
        }
        self.end_host_call(call, answer.as_ref().map_or_else(outcome, |_| "ok"));
        answer
    }
}

fn outcome(error: &Error) -> &'static str {
    match error {
        Error::Denied => "denied",
        Error::InvalidParams(_) => "invalid_params",
        Error::TooLarge => "too_large",
        Error::RateLimited => "rate_limited",
        Error::Timeout => "timeout",
        Error::Unavailable(_) => "unavailable",
    }
}

/// Reads a JSON array of so many plain values; `None` allows any number.
fn read_params(params: &str, expected: Option<usize>) -> Result<Vec<QueryParam>, String> {
    let values: Vec<Value> =
        serde_json::from_str(params).map_err(|error| format!("the parameters are not a JSON array: {error}"))?;
    if let Some(expected) = expected.filter(|expected| *expected != values.len()) {
        return Err(format!("the query takes {expected} parameters, {} were given", values.len()));
    }
    let read = |(index, value)| read_param(value).map_err(|what| format!("`${}` is {what}", index + 1));
    values.into_iter().enumerate().map(read).collect()
}

fn read_param(value: Value) -> Result<QueryParam, &'static str> {
    match value {
        Value::Null => Ok(QueryParam::Null),
        Value::Bool(value) => Ok(QueryParam::Bool(value)),
        Value::String(value) => Ok(QueryParam::Text(value)),
        Value::Number(value) if value.is_u64() && !value.is_i64() => Err("an integer beyond signed 64 bits"),
        Value::Number(value) => match (value.as_i64(), value.as_f64()) {
            (Some(value), _) => Ok(QueryParam::Integer(value)),
            (None, Some(value)) => Ok(QueryParam::Real(value)),
            (None, None) => Err("a number beyond 64 bits"),
        },
        Value::Array(_) => Err("an array: pass it as JSON text, and read it with `json_each`"),
        Value::Object(_) => Err("an object: pass it as JSON text, and read it with `json_each`"),
    }
}

/// Stands in for the database where there is none.
#[derive(Debug, Clone, Copy)]
pub enum NoDatabase {
    /// Plugins load, and their queries fail with `unavailable` and this sentence. For tools that serve nothing.
    Unavailable(&'static str),
    /// A plugin with a granted query does not load, for this reason.
    Refused(&'static str),
}

#[async_trait]
impl Queries for NoDatabase {
    async fn prepare(&self, sql: &str) -> Result<Query, QueryMistake> {
        match self {
            Self::Unavailable(_) => Ok(Query { sql: sql.into(), params: None, columns: None }),
            Self::Refused(why) => Err(QueryMistake::Unavailable((*why).to_owned())),
        }
    }

    async fn run(&self, _: &Query, _: &[QueryParam], _: QueryBounds) -> Result<String, QueryError> {
        let (Self::Unavailable(why) | Self::Refused(why)) = self;
        Err(QueryError::Unavailable((*why).to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_plain_values_as_many_as_the_query_takes() {
        let read = |params| read_params(params, Some(2));
        assert_eq!(read("[null, true]"), Ok(vec![QueryParam::Null, QueryParam::Bool(true)]));
        assert_eq!(read("[-7, 1.5]"), Ok(vec![QueryParam::Integer(-7), QueryParam::Real(1.5)]));
        assert_eq!(read(r#"["a", 1e3]"#), Ok(vec![QueryParam::Text("a".to_owned()), QueryParam::Real(1000.0)]));
        for (params, reason) in [
            ("[1]", "the query takes 2 parameters, 1 were given"),
            ("{}", "the parameters are not a JSON array"),
            ("", "the parameters are not a JSON array"),
            ("[1, [2]]", "`$2` is an array"),
            ("[{}, 1]", "`$1` is an object"),
            ("[18446744073709551615, 1]", "`$1` is an integer beyond"),
        ] {
            let told = read(params).unwrap_err();
            assert!(told.starts_with(reason), "{params}: {told}");
        }
    }
}
