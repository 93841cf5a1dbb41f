//! Named queries: questions to the database that the server's `store` names.
//!
//! ```yaml
//! grants:
//!   queries: { member_role: "select role from vault_members where vault_id = $1 and user_id = $2" }
//! ```
//!
//! ```
//! use serde::Deserialize;
//! use tidegate_plugin::queries::{self, Query};
//!
//! const MEMBER_ROLE: Query<'_> = Query::new("member_role");
//!
//! #[derive(Deserialize)]
//! struct Member {
//!     role: String,
//! }
//!
//! fn role(vault: &str, user: &str) -> Result<Option<String>, queries::Error> {
//!     let member: Option<Member> = MEMBER_ROLE.first(&(vault, user))?;
//!     Ok(member.map(|member| member.role))
//! }
//! # tidegate_plugin::testing::set_query("member_role", |_| serde_json::json!([{ "role": "editor" }]));
//! # assert_eq!(role("v1", "u1").unwrap().as_deref(), Some("editor"));
//! ```
//!
//! In unit tests off wasm [`testing::set_query`](crate::testing::set_query) answers.

use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Refusal;
use crate::json;

/// A query, by the name in `grants.queries`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Query<'a> {
    name: &'a str,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// The name is not in `grants.queries`.
    Denied,
    /// The parameters are not as many as the query takes, or not plain values.
    InvalidParams(String),
    /// The answer has more rows than `limits.query_rows` or more bytes than `limits.query_bytes`.
    TooLarge,
    /// More calls a second than `limits.queries`.
    RateLimited,
    /// It took longer than `limits.query_time`.
    Timeout,
    /// The database is away or refused; the sentence is for the log.
    Unavailable(String),
    /// The rows are not of the type asked for.
    Unreadable(String),
}

impl<'a> Query<'a> {
    /// The query of this name.
    #[must_use]
    pub const fn new(name: &'a str) -> Self {
        Self { name }
    }

    /// All rows, each read from an object with the columns by name. `params` is a tuple or an array, one value a
    /// placeholder, or `&()` for none.
    ///
    /// # Errors
    /// [`Error`].
    pub fn rows<R: DeserializeOwned>(self, params: &impl Serialize) -> Result<Vec<R>, Error> {
        let params = match json::write(params).map_err(Error::InvalidParams)? {
            none if none == "null" => "[]".to_owned(),
            params => params,
        };
        json::read(&run(self.name, &params)?).map_err(Error::Unreadable)
    }

    /// The first row, if there is one. The others are read and dropped: let the query say `limit 1`.
    ///
    /// # Errors
    /// [`Error`].
    pub fn first<R: DeserializeOwned>(self, params: &impl Serialize) -> Result<Option<R>, Error> {
        Ok(self.rows(params)?.into_iter().next())
    }
}

#[cfg(target_arch = "wasm32")]
fn run(name: &str, params: &str) -> Result<String, Error> {
    use crate::bindings::granted_world::tidegate::sql::queries as host;
    host::run(name, params).map_err(|error| match error {
        host::Error::Denied => Error::Denied,
        host::Error::InvalidParams(why) => Error::InvalidParams(why),
        host::Error::TooLarge => Error::TooLarge,
        host::Error::RateLimited => Error::RateLimited,
        host::Error::Timeout => Error::Timeout,
        host::Error::Unavailable(why) => Error::Unavailable(why),
    })
}

#[cfg(not(target_arch = "wasm32"))]
fn run(name: &str, params: &str) -> Result<String, Error> {
    let params: Vec<_> = serde_json::from_str(params).map_err(|error| Error::InvalidParams(error.to_string()))?;
    crate::testing::query(name, &params).map(|rows| rows.to_string()).ok_or(Error::Denied)
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied => f.write_str("the query is not in `grants.queries`"),
            Self::InvalidParams(why) => write!(f, "the parameters do not fit the query: {why}"),
            Self::TooLarge => f.write_str("the answer is too large"),
            Self::RateLimited => f.write_str("more calls a second than `limits.queries`"),
            Self::Timeout => f.write_str("the query took longer than `limits.query_time`"),
            Self::Unavailable(why) => write!(f, "the database is away: {why}"),
            Self::Unreadable(why) => write!(f, "the rows are not what was expected: {why}"),
        }
    }
}

impl std::error::Error for Error {}

/// What may be better in a moment is [`Refusal::Unavailable`], the rest [`Refusal::Failed`].
impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        match error {
            Error::RateLimited | Error::Timeout | Error::Unavailable(_) => Self::Unavailable(error.to_string()),
            _ => Self::Failed(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::set_query;

    #[test]
    fn rows_are_read_into_the_type_that_is_asked_for() {
        set_query("twice", |params| json!([{ "n": params[0] }, { "n": 7 }]));
        #[derive(Debug, PartialEq, serde::Deserialize)]
        struct Row {
            n: i64,
        }
        let twice = Query::new("twice");
        assert_eq!(twice.rows::<Row>(&(3,)).unwrap(), [Row { n: 3 }, Row { n: 7 }]);
        assert_eq!(twice.first::<Row>(&[3]).unwrap(), Some(Row { n: 3 }));
        assert!(matches!(twice.rows::<String>(&(3,)), Err(Error::Unreadable(_))));
        assert_eq!(Query::new("other").rows::<Row>(&()), Err(Error::Denied));
    }
}
