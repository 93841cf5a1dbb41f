//! The query of a request. A query that is not UTF-8 is refused: read with a stand-in for the wrong bytes, it would name
//! something else.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;

use super::answer::Problem;

/// The parameters of a query, or why it cannot be read. Who may ask at all is judged first.
pub(super) struct Query<T>(Result<T, NoQuery>);

/// A query that cannot be read.
enum NoQuery {
    /// Its bytes are not UTF-8.
    NotUtf8,
    /// It has other parameters than the resource, or other values.
    Other,
}

impl<T> Query<T> {
    /// The parameters; `expected` tells the caller what the query of the resource may have.
    pub(super) fn expecting(self, expected: &'static str) -> Result<T, Problem> {
        self.0.map_err(|no_query| match no_query {
            NoQuery::NotUtf8 => {
                Problem::bad_request("the query is not UTF-8: percent-encode the UTF-8 bytes of a text")
            }
            NoQuery::Other => Problem::bad_request(expected),
        })
    }
}

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        if !is_utf8(parts.uri.query().unwrap_or_default()) {
            return Ok(Self(Err(NoQuery::NotUtf8)));
        }
        let read = axum::extract::Query::try_from_uri(&parts.uri);
        Ok(Self(read.map(|query| query.0).map_err(|_rejection| NoQuery::Other)))
    }
}

/// Whether what a query says is UTF-8 once its `%XX` are bytes again.
fn is_utf8(query: &str) -> bool {
    percent_decode_str(query).decode_utf8().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_utf8_or_refused() {
        for query in [
            "",
            "key=d1",
            "key=%22d%201%22&x=+",
            "key=%C3%A9",
            "key=\u{e9}",
            "key=100%",
            "key=%zz%4%+f",
            "key=%e2%82%AC",
        ] {
            assert!(is_utf8(query), "{query}");
        }
        for query in ["key=%ff", "a=1&key=%C3", "key=%C3%28", "%80=1", "key=%ed%a0%80"] {
            assert!(!is_utf8(query), "{query}");
        }
    }
}
